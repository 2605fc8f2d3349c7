"""What a first pass over the first part of trellis codes costs in recall (docs/trellis.md).

    python benchmarks/first_pass.py DATA/debian-minilm --spec TCQ1 TCQ2 IVF256,TCQ1 --k-factor 20 40 100

A folder holds base.npy and query.npy, as those of quality.py; a codec is fitted on the rows that it codes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from embcodec import Codec, kernels
from embcodec.evaluation import recall_at_k
from quality_data import load_task

K = 10
QUERIES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spec", nargs="+", default=["TCQ0.5", "TCQ1", "TCQ2", "TCQ4"])
    parser.add_argument("--k-factor", nargs="+", type=int, default=[20, 40, 100])
    options = parser.parse_args()
    task = load_task(options.folder, "self")
    assert task is not None
    base, queries = task.base, task.queries[:QUERIES]
    _, true = kernels.flat_topk(base, queries, K)
    for spec in options.spec:
        codec = Codec(spec).fit(base)
        codes = codec.encode(base)
        _, exact = codec.search(codes, queries, K)
        print(f"{spec}, {len(base):,} x {base.shape[1]}: recall {recall_at_k(exact, true):.4f}")
        for codec.k_factor in options.k_factor:
            _, ids = codec.search(codes, queries, K)
            changed, recall = float(np.mean(ids != exact)), recall_at_k(ids, true)
            print(
                f"  k_factor {codec.k_factor}: recall {recall:.4f}, {changed:.4f} of the hits changed",
                flush=True,
            )


if __name__ == "__main__":
    main()
