"""Files of vectors and of codes, streamed under a memory budget: Parquet, NumPy and safetensors."""

from embcodec.io.convert import Handling, Summary, decode_file, encode_file
from embcodec.io.describe import describe
from embcodec.io.fitting import check_codec_path, fit_file
from embcodec.io.load import load_vectors
from embcodec.io.progress import Progress, Silent
from embcodec.io.results import check_answers_path, write_answers
from embcodec.io.search import Answers, search_file
from embcodec.io.sizes import format_size, parse_size

__all__ = [
    "Answers",
    "Handling",
    "Progress",
    "Silent",
    "Summary",
    "check_answers_path",
    "check_codec_path",
    "decode_file",
    "describe",
    "encode_file",
    "fit_file",
    "format_size",
    "load_vectors",
    "parse_size",
    "search_file",
    "write_answers",
]
