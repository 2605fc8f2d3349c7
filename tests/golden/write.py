"""Write golden files for specs that have none: `PYTHONPATH=python python tests/golden/write.py`.

A golden file is what some version of embcodec wrote: a fitted codec, codes of some rows, and the rows that
these decode to. Later versions must go on reading them. Files that exist are left alone: a new format gets
new files beside the old ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embcodec.codecs import Codec

FOLDER = Path(__file__).parent / "codecs-1"  # 1 is the format that the files were written in
D = 24
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
    "VQ16",
    "VQ300",
    "PQ2x8",
    "PQ6x4",
    "LM1",
    "LM3",
    "MRL23,LM4",
    "RaBitQ1",
    "RaBitQ4",
    "TCQ2",
    "TCQ12B",
    "TCQ3",  # the first with bits for the last 8 of D components; before, only whole 16 had any
    "IVF16,TCQ2",
    "RQ3x8",
    "RQ2x8,TCQ2",
    "Top4",
    "Top4:f32",
    "Center,SQ8",
    "Norm,SQ8",
    "MRL8,SQ8",
    "PCA8,SQ8",
    "HR,SQ4",
    "MRL7,HR,SQ8",
    "RR,SQ4",
    "JL8,SQ8",
    "OPQ6,PQ6x4",
    "Center,Norm,PCA12,PQ3x4",
)


def make_rows(n: int) -> np.ndarray:
    """Rows (n, D) from integers alone, n at most 509: the residues of that prime, in a scrambled order."""
    i = np.arange(n * D, dtype=np.int64)
    values = (i * i * 7 + i * 13) % 509 - 254
    return (values.reshape(n, D) * (1 + np.arange(D) % 5)).astype(np.float32) / np.float32(128)


def paths(spec: str) -> tuple[Path, Path]:
    """The files of a spec: the codec, and `codes` with `decoded`."""
    name = spec.replace(",", "+").replace(":", "_")
    return FOLDER / f"{name}.safetensors", FOLDER / f"{name}.npz"


def main() -> None:
    """Write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    rows = make_rows(320)
    for spec in SPECS:
        codec_path, codes_path = paths(spec)
        if not codec_path.exists() and not codes_path.exists():
            codec = Codec(spec, seed=5).fit(rows)
            codes = codec.encode(rows[:20])
            np.savez(codes_path, codes=codes, decoded=codec.decode(codes))
            codec.save(codec_path)
            print(f"wrote {codec_path.name} and {codes_path.name}")


if __name__ == "__main__":
    main()
