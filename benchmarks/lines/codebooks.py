"""Lines over codebooks: PQ encode and decode, RQ encode, k-means.

PQ has subspaces of 8 (x8) or 4 (x4) dimensions; RQ 8 stages and a beam of 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec import kernels

from .base import FAISS, OURS, Call, Contest, Data, Goal, Line, distortion, installed

FITTED = 20_000  # rows that codebooks are fitted on, and that PQ encode is timed on
RQ_CODED = 2_000
_ALL_ROWS = {"min_points_per_centroid": 1, "max_points_per_centroid": FITTED * 10}
WIDTHS = {8: 8, 4: 4}  # dimensions of a subspace, by bits: one bit a dimension


def pq_codebooks(data: Data, bits: int) -> Any:
    """(m, 2**bits, dsub) float32; the same for all."""
    return kernels.pq_fit(data.head(FITTED), data.d // WIDTHS[bits], bits, iterations=5)


def faiss_pq(codebooks: Any) -> Any:
    """FAISS's quantizer with these codebooks."""
    import faiss

    m, ksub, dsub = codebooks.shape
    quantizer = faiss.ProductQuantizer(m * dsub, m, ksub.bit_length() - 1)
    faiss.copy_array_to_vector(codebooks.ravel(), quantizer.centroids)
    return quantizer


def nano_pq(codebooks: Any) -> Any:
    """nanopq's quantizer with these codebooks."""
    import nanopq

    m, ksub, dsub = codebooks.shape
    quantizer = nanopq.PQ(m, ksub, verbose=False)
    quantizer.codewords, quantizer.Ds = codebooks, dsub
    return quantizer


def pq_encode(data: Data, bits: int) -> Contest:
    x, codebooks = data.head(FITTED), pq_codebooks(data, bits)
    out = kernels.pq_encode(x, codebooks)
    quality = {OURS: distortion(x, kernels.pq_decode(out, codebooks))}
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        faiss.cvar.distance_compute_blas_threshold = 20
        quantizer, theirs = faiss_pq(codebooks), np.empty_like(out)
        peers[FAISS] = lambda: quantizer.compute_codes_c(faiss.swig_ptr(x), faiss.swig_ptr(theirs), len(x))
        peers[FAISS]()
        quality[FAISS] = distortion(x, kernels.pq_decode(theirs, codebooks))
    if installed("nanopq"):
        nano = nano_pq(codebooks)
        peers["nanopq"] = lambda: nano.encode(x)
    return Contest(
        lambda: kernels.pq_encode(x, codebooks, out=out, threads=data.threads),
        peers,
        quality=quality,
        better="less",
        measure="distortion",
    )


def pq_decode(data: Data) -> Contest:
    codebooks = pq_codebooks(data, 8)
    codes, out = kernels.pq_encode(data.x, codebooks), np.empty_like(data.x)
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        quantizer, decoded = faiss_pq(codebooks), np.empty_like(out)
        peers[FAISS] = lambda: quantizer.decode_c(faiss.swig_ptr(codes), faiss.swig_ptr(decoded), data.n)
    if installed("nanopq"):
        nano = nano_pq(codebooks)
        peers["nanopq"] = lambda: nano.decode(codes)
    return Contest(
        lambda: kernels.pq_decode(codes, codebooks, out=out, threads=data.threads),
        peers,
        bytes=codes.nbytes + out.nbytes,
    )


def rq_encode(data: Data, stages: int = 8, beam: int = 16) -> Contest:
    x, rest = data.head(RQ_CODED), data.head(FITTED)
    codebooks = np.empty((stages, 256, data.d), np.float32)
    for stage in range(stages):
        codebooks[stage], ids, _ = kernels.kmeans_fit(rest, 256, iterations=2, seed=stage)
        rest = rest - codebooks[stage][ids]
    products = kernels.rq_products(codebooks)
    out = kernels.rq_encode(x, codebooks, products, beam)
    quality = {OURS: distortion(x, kernels.rq_decode(out, codebooks))}
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        quantizer = faiss.ResidualQuantizer(data.d, stages, 8)
        quantizer.max_beam_size = beam
        faiss.copy_array_to_vector(codebooks.ravel(), quantizer.codebooks)
        quantizer.is_trained = True
        quantizer.use_beam_LUT = 1  # products of codewords, as ours: ten times as fast as its default
        quantizer.compute_codebook_tables()
        peers[FAISS] = lambda: quantizer.compute_codes(x)
        quality[FAISS] = distortion(x, kernels.rq_decode(quantizer.compute_codes(x), codebooks))
    return Contest(
        lambda: kernels.rq_encode(x, codebooks, products, beam, out=out, threads=data.threads),
        peers,
        quality=quality,
        better="less",
        measure="distortion",
    )


def kmeans(data: Data, k: int = 256, iterations: int = 10) -> Contest:
    x = data.head(65_536)
    out = kernels.kmeans_fit(x, k, 0)[:2]
    ours: Call = lambda: kernels.kmeans_fit(x, k, iterations, out=out, threads=data.threads)  # noqa: E731
    ours()
    quality = {OURS: _inertia(x, out[0])}
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        faiss.cvar.distance_compute_blas_threshold = 20  # else FAISS keeps matrix products out of it
        fitter = faiss.Kmeans(data.d, k, niter=iterations, seed=1, **_ALL_ROWS)
        peers[FAISS] = lambda: _train_and_assign(fitter, x)
        peers[FAISS]()
        quality[FAISS] = _inertia(x, fitter.centroids)
    if installed("sklearn"):
        from sklearn.cluster import KMeans

        model = KMeans(k, init="random", n_init=1, max_iter=iterations, tol=0, random_state=1)
        peers["scikit-learn"] = lambda: _quietly(model.fit, x)
    return Contest(ours, peers, quality=quality, better="less", measure="inertia")


def _train_and_assign(fitter: Any, x: Any) -> None:
    """FAISS's training ends with centroids; the others say which row belongs to which."""
    fitter.train(x)
    fitter.assign(x)


def _inertia(x: Any, codebook: Any) -> float:
    """Mean squared distance to the nearest."""
    ids = kernels.vq_encode(x, codebook)
    return round(float(np.square(x - codebook[ids]).sum(axis=1).mean()), 5)


def _quietly(fit: Any, x: Any) -> Any:
    """Without the warning that ten iterations do not converge."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(x)


LINES = (
    Line("PQ x8 encode, 20,000 rows", Goal("ratio", 3.5), lambda data: pq_encode(data, 8)),
    Line("PQ x4 encode, 20,000 rows", Goal("ratio", 10), lambda data: pq_encode(data, 4)),
    Line("PQ x8 decode", Goal("share", 0.8), pq_decode),
    Line("RQ encode, 2,000 rows", Goal("ratio", 3), rq_encode),
    Line("k-means, 65,536 rows, k = 256, 10 iterations", Goal("ratio", 2), kmeans),
)
