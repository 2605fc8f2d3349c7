"""Recall and distortion for the bytes: embcodec beside its peers.

    python benchmarks/quality.py DATA/debian-minilm DATA/wordnet-mpnet DATA/glove-words
    python benchmarks/quality.py DATA/* --only ours --again             after a change of our codecs
    python benchmarks/quality.py DATA/debian-minilm --only FAISS        families whose names begin so
    python benchmarks/quality.py DATA/debian-minilm --protocol rows shift
    python benchmarks/quality.py DATA/* --quick                         without OPQ and RQ, which take hours
    python benchmarks/quality.py DATA/* --only ours --spec 'TCQ{}B' --spec 'LM{}' --bits 0.5 1 2 4
    python benchmarks/quality_report.py docs/quality.json               the tables of docs/quality.md
    python benchmarks/quality_plots.py docs/quality.json -o docs/img

A data folder holds base.npy and query.npy (n, d). Each codec is fitted, codes the base and answers the
queries, which it has not seen; recall@10 is of exact cosine search over the uncompressed rows. On rows of
unit length, inner product, distance and cosine ask for the same rows but codes rank them differently: each
codec is taken by whichever finds most, of those that it offers. Bytes are all of a row's: codes, factors,
coarse ids. What is measured already is not measured again unless asked.

For one core: OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 nice python ...
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from peers import Setting, channel, ours, peer_settings
from quality_data import PROTOCOLS, K, Task, load_task
from quality_store import Record, Store


def measure(setting: Setting, task: Task, data: str, protocol: str) -> Record:
    """Fit, code and search once."""
    codec = setting.make()
    started = time.perf_counter()
    codec.fit(task.train)
    fitted = time.perf_counter()
    size = codec.encode(task.base)
    encoded = time.perf_counter()
    recalls = {metric: task.recall(ids) for metric, ids in codec.search(task.queries, K).items()}
    metric = max(recalls, key=lambda name: recalls[name])
    decoded = codec.decode()
    dims = task.base.shape[1]
    return Record(
        data=data,
        dims=dims,
        protocol=protocol,
        family=setting.family,
        codec=setting.name,
        bytes=size,
        recall=round(recalls[metric], 5),
        metric=metric,
        distortion=None if decoded is None else float(f"{task.distortion(decoded):.5g}"),
        bound=float(f"{task.bound(8 * size / dims):.5g}"),
        fit_seconds=round(fitted - started, 2),
        encode_seconds=round(encoded - fitted, 2),
    )


def chosen(args: argparse.Namespace, task: Task, protocol: str) -> list[Setting]:
    """The settings that are asked for; under the special protocols without the slow ones."""
    settings: list[Setting] = []
    d = task.base.shape[1]
    if args.only != "peers":
        settings += ours.settings(d, args.spec or ours.SPECS, args.bits or ours.RATES)
    if args.only != "ours":
        settings += channel.settings()
        settings += peer_settings(d)
    if args.only not in ("all", "ours", "peers"):
        settings = [setting for setting in settings if setting.family.startswith(args.only)]
    quick = args.quick or protocol not in ("half", "self")
    settings = [setting for setting in settings if not (quick and setting.slow)]
    return [setting for setting in settings if setting.least_rows <= len(task.train)]


def run(folder: Path, protocol: str, store: Store, args: argparse.Namespace) -> None:
    """Measure what is missing for one folder and protocol."""
    task = load_task(folder, protocol)
    if task is None:
        print(f"skipped: {folder.name} has no sections for the protocol {protocol}")
        return
    for setting in chosen(args, task, protocol):
        if not args.again and (folder.name, protocol, setting.family, setting.name) in store.records:
            continue
        record = measure(setting, task, folder.name, protocol)
        store.add(record)
        print(
            f"{record.data} {protocol}  {record.family:16} {record.codec:22} {record.bytes:6g} B"
            f"  recall {record.recall:.4f} ({record.metric})"
            f"  {record.fit_seconds + record.encode_seconds:6.1f} s",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path, help="folders with base.npy and query.npy")
    text = "; ".join(f"{name}: {what}" for name, what in PROTOCOLS.items())
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, default=["half", "self"], help=text)
    parser.add_argument("--only", default="all", help="all, ours, peers, or how a family's name begins")
    parser.add_argument("--spec", action="append", help="a codec of ours, {} where its bytes go")
    parser.add_argument("--bits", nargs="+", type=float, help="bits a dimension of the codecs of ours")
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    parser.add_argument("--again", action="store_true", help="measure also what is measured already")
    parser.add_argument("--results", type=Path, default=Path("docs/quality.json"))
    args = parser.parse_args(argv)
    store = Store(args.results)
    for folder in args.data:
        for protocol in args.protocol:
            run(folder, protocol, store, args)


if __name__ == "__main__":
    main()
