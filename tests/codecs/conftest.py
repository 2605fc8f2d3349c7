from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from embcodec.codecs import Codec

D = 48

SPECS = (
    "F16",
    "BF16",
    "SQ8",
    "SQ6",
    "SQ4",
    "SQ4:q0.01",
    "SQ8:row",
    "SQ6:row",
    "SQ4:row",
    "Binary",
    "Binary:mean",
    "Binary:median",
    "VQ20",
    "VQ300",
    "PQ6x8",
    "PQ12x4",
    "PQ3x4",
    "RQ3x8",
    "LM1",
    "LM2",
    "LM5",
    "RaBitQ1",
    "RaBitQ4",
    "TCQ2",
    "TCQ9B",
    "IVF7,TCQ2",
    "MRL25,TCQ3",  # 9 components behind the whole unit
    "MRL7,TCQ4",
    "IVF7,LM2",
    "IVF7,SQ8",
    "IVF300,SQ6",
    "IVF7,SQ4",
    "IVF7,PQ6x8",
    "IVF300,PQ12x4",
    "OPQ6,IVF7,PQ6x8",
    "IVF7,RQ2x8",
    "RQ2x8,SQ8",
    "Center,RQ2x8,TCQ2",
    "Top5",
    "Top5:f32",
    "Center,SQ8",
    "Norm,SQ8",
    "MRL16,SQ8",
    "PCA16,SQ8",
    "PCA48,SQ8",
    "HR,SQ4",
    "RR,SQ4",
    "JL16,SQ8",
    "MRL25,HR,SQ8",  # padded from 25 to 32: not an isometry on the way back
    "Center,Norm,PCA16,RR,SQ6",
    "PCA16,PQ4x4",
    "OPQ6,PQ6x8",
    "MRL24,OPQ12,PQ12x4",
    "Norm,Binary:mean",
    "RR,VQ20",
    "HR,Top5",
    "JL30,F16",
    "MRL25,LM3",  # no Hadamard matrix of 25: a dense rotation
)


def make_rows(n: int, seed: int) -> np.ndarray:
    """Clusters with a mean far from zero and spreads that differ by dimension."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((7, D)) * 2 + 1.5
    x = centres[rng.integers(0, 7, n)] + rng.standard_normal((n, D)) * np.linspace(0.2, 2, D)
    return x.astype(np.float32)


@cache
def _fit(spec: str) -> Codec:
    return Codec(spec, seed=3).fit(make_rows(700, seed=0))


@pytest.fixture(params=SPECS)
def codec(request: pytest.FixtureRequest) -> Codec:
    """Every spec, fitted on the same rows. Not to be changed by a test."""
    return _fit(request.param)


@pytest.fixture
def fitted() -> Callable[[str], Codec]:
    return _fit


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """Rows (150, D) that nothing was fitted on."""
    return make_rows(150, seed=1)


@pytest.fixture(scope="session")
def queries() -> np.ndarray:
    """Queries (6, D), one of them zero and one of them a row."""
    q = make_rows(6, seed=2)
    q[2] = 0
    q[3] = make_rows(150, seed=1)[17]
    return q
