"""Lines that move data: scalar quantization, signs, rotation, the largest values of a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec import Codec, kernels

from .base import FAISS, OURS, Call, Contest, Data, Goal, Line, distortion, installed

HALVES = {"F16": ("float16", "QT_fp16"), "BF16": ("bfloat16", "QT_bf16")}
"""Codecs of half precision, what kernels call theirs, and what FAISS does."""


def _faiss_sq(data: Data, bits: int) -> Any:
    import faiss

    quantizer = faiss.ScalarQuantizer(data.d, getattr(faiss.ScalarQuantizer, f"QT_{bits}bit"))
    quantizer.train(data.x)
    return quantizer


def _sq(data: Data, bits: int) -> tuple[Any, Any]:
    coder = Codec(f"SQ{bits}").fit(data.x)._chain.coder
    return coder.lo, coder.step


def sq_encode(data: Data, bits: int) -> Contest:
    x, (lo, step) = data.x, _sq(data, bits)
    out = np.empty((data.n, kernels._checks.code_size(data.d, bits)), np.uint8)
    ours: Call = lambda: kernels.sq_encode(x, lo, step, bits, out=out, threads=data.threads)  # noqa: E731
    ours()
    quality = {OURS: distortion(x, kernels.sq_decode(out, lo, step, bits))}
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        quantizer, theirs = _faiss_sq(data, bits), np.empty_like(out)
        peers[FAISS] = lambda: quantizer.compute_codes_c(faiss.swig_ptr(x), faiss.swig_ptr(theirs), data.n)
        peers[FAISS]()
        quality[FAISS] = distortion(x, quantizer.decode(theirs))
    return Contest(
        ours, peers, bytes=x.nbytes + out.nbytes, quality=quality, better="less", measure="distortion"
    )


def sq_decode(data: Data, bits: int) -> Contest:
    x, (lo, step) = data.x, _sq(data, bits)
    codes, out = kernels.sq_encode(x, lo, step, bits), np.empty_like(x)
    ours: Call = lambda: kernels.sq_decode(codes, lo, step, bits, out=out, threads=data.threads)  # noqa: E731
    ours()
    quality = {OURS: distortion(x, out)}
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        quantizer, decoded = _faiss_sq(data, bits), np.empty_like(x)
        theirs = quantizer.compute_codes(x)
        peers[FAISS] = lambda: quantizer.decode_c(faiss.swig_ptr(theirs), faiss.swig_ptr(decoded), data.n)
        peers[FAISS]()
        quality[FAISS] = distortion(x, decoded)
    return Contest(
        ours, peers, bytes=x.nbytes + codes.nbytes, quality=quality, better="less", measure="distortion"
    )


def half_encode(data: Data, spec: str) -> Contest:
    x, half = data.x, HALVES[spec][0]
    out, theirs = np.empty((2, data.n, 2 * data.d), np.uint8)
    ours: Call = lambda: kernels.half_encode(x, half, out=out, threads=data.threads)  # noqa: E731
    peers: dict[str, Call] = {}
    if half == "float16":
        halves = np.empty_like(x, np.float16)
        peers["NumPy"] = lambda: np.copyto(halves, x, casting="same_kind")
    if installed("faiss"):
        import faiss

        quantizer = _faiss_half(data, spec)
        peers[FAISS] = lambda: quantizer.compute_codes_c(faiss.swig_ptr(x), faiss.swig_ptr(theirs), data.n)
    return Contest(ours, peers, bytes=x.nbytes + out.nbytes)


def half_decode(data: Data, spec: str) -> Contest:
    half = HALVES[spec][0]
    codes, (out, theirs) = kernels.half_encode(data.x, half), np.empty((2, *data.x.shape), np.float32)
    ours: Call = lambda: kernels.half_decode(codes, half, out=out, threads=data.threads)  # noqa: E731
    peers: dict[str, Call] = {}
    if half == "float16":
        peers["NumPy"] = lambda: np.copyto(theirs, codes.view(np.float16))
    if installed("faiss"):
        import faiss

        quantizer = _faiss_half(data, spec)
        peers[FAISS] = lambda: quantizer.decode_c(faiss.swig_ptr(codes), faiss.swig_ptr(theirs), data.n)
    return Contest(ours, peers, bytes=codes.nbytes + out.nbytes)


def _faiss_half(data: Data, spec: str) -> Any:
    import faiss

    return faiss.ScalarQuantizer(data.d, getattr(faiss.ScalarQuantizer, HALVES[spec][1]))


def levels_encode(data: Data) -> Contest:
    codec = Codec("LM4").fit(data.head(20_000))
    peers: dict[str, Call] = {}
    if installed("turbovec"):
        from turbovec import TurboQuantIndex

        index = TurboQuantIndex(dim=data.d, bit_width=4)
        index.calibrate(data.head(20_000))
        empty = index.to_bytes()
        peers["turbovec"] = lambda: TurboQuantIndex.from_bytes(empty).add(data.x)
    return Contest(lambda: codec.encode(data.x), peers, rows=data.n)


def rabitq_encode(data: Data) -> Contest:
    codec = Codec("RaBitQ1").fit(data.head(20_000))
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        index = faiss.index_factory(data.d, f"RR{data.d},RaBitQ", faiss.METRIC_INNER_PRODUCT)
        index.train(data.head(20_000))
        peers[FAISS] = lambda: index.sa_encode(data.x)
    return Contest(lambda: codec.encode(data.x), peers, rows=data.n)


def bits_encode(data: Data) -> Contest:
    x = data.x
    zero, out = np.zeros(data.d, np.float32), np.empty((data.n, -(-data.d // 8)), np.uint8)
    peers: dict[str, Call] = {"NumPy": lambda: np.packbits(x > 0, axis=1)}
    if installed("faiss"):
        import faiss

        theirs = np.empty_like(out)
        peers[FAISS] = lambda: faiss.fvecs2bitvecs(faiss.swig_ptr(x), faiss.swig_ptr(theirs), data.d, data.n)
    return Contest(
        lambda: kernels.bits_encode(x, zero, out=out, threads=data.threads),
        peers,
        bytes=x.nbytes + out.nbytes,
    )


def hadamard(data: Data) -> Contest:
    x, size = data.x, kernels.hadamard_size(data.d)
    signs = np.random.default_rng(0).choice(np.float32([-1, 1]), size)
    out = np.empty((data.n, size), np.float32)
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        rotation = faiss.HadamardRotation(data.d)  # pads d to a power of two
        theirs = np.empty((data.n, rotation.d_out), np.float32)
        peers[FAISS] = lambda: rotation.apply_noalloc(data.n, faiss.swig_ptr(x), faiss.swig_ptr(theirs))
    return Contest(
        lambda: kernels.hadamard_rotate(x, signs, out=out, threads=data.threads),
        peers,
        bytes=x.nbytes + out.nbytes,
    )


def largest(data: Data, k: int = 32) -> Contest:
    x = data.x
    out = kernels.topk_encode(x, k)

    def numpy() -> Any:
        ids = np.argpartition(-np.abs(x), k - 1, axis=1)[:, :k]
        ids.sort(axis=1)
        return ids.astype(np.uint16), np.take_along_axis(x, ids, axis=1)

    peers: dict[str, Call] = {"NumPy": numpy}
    if installed("torch"):
        import torch

        torch.set_num_threads(data.threads)
        tensor = torch.from_numpy(x)

        def with_torch() -> Any:
            ids = torch.topk(tensor.abs(), k, dim=1, sorted=False).indices.sort(dim=1).values
            return ids, tensor.gather(1, ids)

        peers["torch"] = with_torch
    return Contest(
        lambda: kernels.topk_encode(x, k, out=out, threads=data.threads),
        peers,
        quality={OURS: _energy(out[1]), "NumPy": _energy(numpy()[1])},
        measure="energy kept",
    )


def _energy(values: Any) -> float:
    return round(float(np.square(values).sum(axis=1).mean()), 4)


LINES = (
    Line("SQ8 encode", Goal("share", 0.9), lambda data: sq_encode(data, 8)),
    Line("SQ8 decode", Goal("share", 0.9), lambda data: sq_decode(data, 8)),
    Line("SQ4 encode", Goal("share", 0.9), lambda data: sq_encode(data, 4)),
    Line("F16 encode", Goal("ratio", 1), lambda data: half_encode(data, "F16")),
    Line("F16 decode", Goal("ratio", 1), lambda data: half_decode(data, "F16")),
    Line("BF16 encode", Goal("ratio", 1), lambda data: half_encode(data, "BF16")),
    Line("BF16 decode", Goal("ratio", 1), lambda data: half_decode(data, "BF16")),
    Line("LM4 encode", Goal("ratio", 2, "turbovec"), levels_encode),
    Line("RaBitQ 1-bit encode", Goal("ratio", 2), rabitq_encode),
    Line("binary encode", Goal("share", 0.95, "NumPy"), bits_encode),
    Line("Hadamard rotation", Goal("share", 0.5), hadamard),
    Line("top-32", Goal("ratio", 25, "NumPy"), largest),
)
