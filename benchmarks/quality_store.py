"""The results of benchmarks/quality.py: records in a JSON file, one a line, each measured once."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Records in a file that is replaced whole whenever one is added: runs can stop, go on, and share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = [field.name for field in fields(Record)]
        self.records = self._read()

    def add(self, record: Record) -> None:
        """Keep a record, in place of an earlier one of the same key."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path.parent):
            self.records = self._read()
            self.records[record.key] = record
            self._write()

    def _read(self) -> dict[tuple[str, str, str, str], Record]:
        if not self.path.exists():
            return {}
        rows = json.loads(self.path.read_text(encoding="utf-8"))["records"]
        records = (Record(**dict(zip(self.names, row, strict=True))) for row in rows)
        return {record.key: record for record in records}

    def _write(self) -> None:
        order = sorted(self.records.values(), key=lambda r: (r.data, r.protocol, r.family, r.bytes, r.codec))
        lines = ",\n".join(json.dumps(list(asdict(record).values())) for record in order)
        partial = self.path.with_name(f"{self.path.name}.partial")
        columns = json.dumps(self.names)
        partial.write_text(f'{{"columns": {columns},\n"records": [\n{lines}\n]}}\n', encoding="utf-8")
        partial.replace(self.path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Until the block ends, other runs wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
