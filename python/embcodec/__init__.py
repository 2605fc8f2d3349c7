"""Compress embeddings without losing what they are used for.

>>> import embcodec
>>> codec = embcodec.Codec("PCA128,SQ8").fit(x)          # x (n, d) float32, or an iterator of batches
>>> codes = codec.encode(x)                               # uint8 (n, codec.code_size)
>>> scores, ids = codec.search(codes, queries, k=10)
>>> codec.save("codec.safetensors"); codec = embcodec.load("codec.safetensors")

`embcodec.kernels` holds the functions underneath, for authors of other libraries.
"""

from importlib.metadata import PackageNotFoundError, version

from embcodec import kernels
from embcodec._device import synchronize
from embcodec._errors import BackendUnavailableError
from embcodec._threads import available_isa, get_isa, get_num_threads, set_isa, set_num_threads
from embcodec.codecs import Codec, load

try:
    __version__ = version("embcodec")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

__all__ = [
    "BackendUnavailableError",
    "Codec",
    "__version__",
    "available_isa",
    "get_isa",
    "get_num_threads",
    "kernels",
    "load",
    "set_isa",
    "set_num_threads",
    "synchronize",
]
