"""`embcodec encode` and `embcodec decode`: files of vectors to files of codes, and back."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embcodec.cli import _options as options

if TYPE_CHECKING:
    from embcodec.io import Summary

__all__ = ["add_to"]


class DtypeName(str, enum.Enum):
    """What decoded vectors are made of."""

    float32 = "float32"
    float16 = "float16"


class DeviceName(str, enum.Enum):
    """Where codes are computed."""

    cpu = "cpu"
    cuda = "cuda"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(encode)
    app.command()(decode)


def encode(
    x: Annotated[
        Path, typer.Argument(metavar="X", help=".npy, .parquet, .safetensors, or a folder of such.")
    ],
    codec: options.Codec,
    out: options.Out,
    column: options.Column = None,
    device: Annotated[DeviceName, typer.Option(help="Where codes are computed.")] = DeviceName.cpu,
    memory: options.Memory = "1GB",
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Encode the vectors in X. Other columns of Parquet files are carried along.

    \b
    embcodec encode x.parquet --codec codec.safetensors -o codes.parquet
    embcodec encode x.npy --codec codec.safetensors -o codes.npy --memory 500MB
    embcodec encode folder --codec codec.safetensors -o codes --resume
    embcodec encode x.npy --codec codec.safetensors -o codes.npy --device cuda
    """
    from embcodec.cli._progress import Meter
    from embcodec.io import Handling, encode_file, parse_size

    with Meter("encode") as meter:
        handling = Handling(parse_size(memory), resume, overwrite, meter)
        summary = encode_file(x, codec, out, column=column, device=device.value, handling=handling)
    _report(summary, meter.fresh, as_json)


def decode(
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="What `embcodec encode` wrote.")],
    codec: options.Codec,
    out: options.Out,
    dtype: Annotated[DtypeName, typer.Option(help="Of the vectors.")] = DtypeName.float32,
    memory: options.Memory = "1GB",
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Decode codes to vectors, with the codec that wrote them.

    \b
    embcodec decode codes.parquet --codec codec.safetensors -o y.parquet
    embcodec decode codes.npy --codec codec.safetensors -o y.npy --dtype float16
    """
    from embcodec.cli._progress import Meter
    from embcodec.io import Handling, decode_file, parse_size

    with Meter("decode") as meter:
        handling = Handling(parse_size(memory), resume, overwrite, meter)
        summary = decode_file(codes, codec, out, dtype=dtype.value, handling=handling)
    _report(summary, meter.fresh, as_json)


def _report(summary: Summary, fresh_rows: int, as_json: bool) -> None:
    from dataclasses import asdict

    from embcodec.cli._output import peak_memory, print_json
    from embcodec.io import format_size

    if as_json:
        print_json({**asdict(summary), "fresh_rows": fresh_rows, "peak_memory": peak_memory()})
        return
    if summary.left_out:
        left_out = ", ".join(summary.left_out)
        print(f"note: {summary.out} has no place for these columns: {left_out}", file=sys.stderr)
    earlier = f" ({summary.rows - fresh_rows:,} of them earlier)" if fresh_rows < summary.rows else ""
    rate = fresh_rows / summary.seconds
    vector_bytes = max(summary.bytes_read, summary.bytes_written) / max(summary.rows, 1)
    print(
        f"{summary.out}: {summary.rows:,} rows{earlier}, {format_size(summary.bytes_read)} to "
        f"{format_size(summary.bytes_written)}, {summary.seconds:.1f} s, {rate:,.0f} rows/s, "
        f"{format_size(rate * vector_bytes)}/s, peak memory {format_size(peak_memory())}"
    )
