"""Fail where an object compiled for one instruction set defines a symbol that another could pick up.

    python scripts/check_symbols.py build/debug

A linker keeps one copy of an inline function for all objects: if that were the AVX-512 one, the scalar level
would crash on older machines. So the objects of cpp/isa define the level's table of kernels and nothing else
that is visible. Reads Debug objects, in which nothing was inlined away.
"""

import re
import subprocess
import sys
from pathlib import Path


def foreign_symbols(path: Path, level: str) -> list[str]:
    """The visible symbols that an object defines, besides its table of kernels."""
    listing = subprocess.run(
        ["nm", "--defined-only", "--extern-only", "--demangle", str(path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = [line.split(maxsplit=2)[2] for line in listing.splitlines() if line.strip()]
    return [
        name for name in names if name not in (f"embcodec::{level}::kernels", "DW.ref.__gxx_personality_v0")
    ]


def main(build: Path) -> int:
    """Check all levels; the exit status."""
    objects = sorted(build.rglob("isa/*.cpp.o"))
    if not objects:
        print(f"no objects of cpp/isa in {build}", file=sys.stderr)
        return 2
    status = 0
    for path in objects:
        level = re.sub(r"\.cpp\.o$", "", path.name)
        foreign = foreign_symbols(path, level)
        for name in foreign:
            print(f"{level}: {name} may be shared with other levels", file=sys.stderr)
        status |= bool(foreign)
        print(f"{level}: {'wrong' if foreign else 'alone'}")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
