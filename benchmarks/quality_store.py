"""The results of benchmarks/quality.py: records in a JSON file, one a line, each measured once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """One codec on one data set under one protocol.

    Attributes:
        bytes: of a row, everything counted.
        recall: recall@10 by the metric that found most.
        metric: that metric.
        distortion: squared error as a share of the variance; None without a decoder.
        bound: the Gaussian rate-distortion bound for as many bytes.
    """

    data: str
    dims: int
    protocol: str
    family: str
    codec: str
    bytes: float
    recall: float
    metric: str
    distortion: float | None
    bound: float
    fit_seconds: float
    encode_seconds: float

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is a measurement of."""
        return self.data, self.protocol, self.family, self.codec

    @property
    def bits(self) -> float:
        """Bits a dimension."""
        return 8 * self.bytes / self.dims


class Store:
    """Records in a file that is replaced whole whenever one is added, so that a stopped run can go on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = json.loads(path.read_text(encoding="utf-8"))["records"] if path.exists() else []
        names = [field.name for field in fields(Record)]
        self.records = {record.key: record for record in (Record(**dict(zip(names, row))) for row in rows)}
        self.names = names

    def add(self, record: Record) -> None:
        """Keep a record, in place of an earlier one of the same key."""
        self.records[record.key] = record
        rows = sorted(self.records.values(), key=lambda r: (r.data, r.protocol, r.family, r.bytes, r.codec))
        lines = ",\n".join(json.dumps(list(asdict(row).values())) for row in rows)
        text = f'{{"columns": {json.dumps(self.names)},\n"records": [\n{lines}\n]}}\n'
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path)
