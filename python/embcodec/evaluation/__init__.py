"""What compression costs and keeps: measures, the protocol that takes them, and the report."""

from embcodec.evaluation.demo import DEMO_SPECS, demo, report
from embcodec.evaluation.metrics import (
    cosine_error,
    knn_accuracy,
    mrr,
    recall_at_k,
    relative_mse,
    spearman,
    squared_error,
)
from embcodec.evaluation.protocol import evaluate
from embcodec.evaluation.report import LEGEND, best_choices, table, verdict
from embcodec.evaluation.result import EXACT, Result, to_json

__all__ = [
    "DEMO_SPECS",
    "EXACT",
    "LEGEND",
    "Result",
    "best_choices",
    "cosine_error",
    "demo",
    "evaluate",
    "knn_accuracy",
    "mrr",
    "recall_at_k",
    "relative_mse",
    "report",
    "spearman",
    "squared_error",
    "table",
    "to_json",
    "verdict",
]
