"""One codec's measurements, for people and for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["EXACT", "Result", "to_json"]

EXACT = "float32 (exact)"
"""What stands for a spec in the row of the uncompressed vectors."""


@dataclass(frozen=True)
class Result:
    """What one codec costs and keeps, measured by `evaluate`.

    Attributes:
        spec: the codec's spec, or `EXACT` for the uncompressed vectors.
        k: how many rows a search returns.
        metric: "ip", "l2" or "cosine".
        code_size: bytes a row.
        ratio: 4 * d / code_size: how many times smaller than float32.
        recall: recall@k against exact search over the uncompressed rows, 0..1.
        cosine_error: mean of 1 - cos(x, decoded).
        mse: mean squared error of an element.
        relative_mse: squared error as a share of the variance of the rows.
        score_correlation: Spearman's rank correlation between exact scores and scores by code.
        mrr: MRR@10 of the relevant rows, where these are known.
        label_accuracy: accuracy of the k-nearest-neighbour vote among the coded rows, where there are labels.
        fit_seconds: time to fit, measured once.
        encode_rate: rows encoded a second.
        decode_rate: rows decoded a second.
        scan_rate: rows scored a second: rows * queries / seconds for one batch of queries.
        codec_bytes: size of the saved codec, paid once whatever the number of rows.
    """

    spec: str
    k: int
    metric: str
    code_size: int
    ratio: float
    recall: float
    cosine_error: float
    mse: float
    relative_mse: float
    score_correlation: float
    mrr: float | None
    label_accuracy: float | None
    fit_seconds: float | None
    encode_rate: float | None
    decode_rate: float | None
    scan_rate: float
    codec_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The measurements by name; None where one was not taken, or is infinite, which JSON lacks."""
        return {name: None if value == math.inf else value for name, value in asdict(self).items()}


def to_json(results: Sequence[Result]) -> str:
    """A JSON array of the results, in their order."""
    return json.dumps([result.to_dict() for result in results], indent=2, allow_nan=False)
