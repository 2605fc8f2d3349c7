"""Fail where a build of embcodec._cuda lacks the code of an architecture that CMakeLists.txt promises.

    python scripts/check_cuda.py python/embcodec/_cuda*.so

Reads the fat binaries in the module: a header, then for each architecture an entry, a cubin or PTX.
"""

import struct
import sys
from collections import Counter
from pathlib import Path

MAGIC = struct.pack("<IH", 0xBA55ED50, 1)
HEADER, ENTRY = struct.Struct("<IHHQ"), struct.Struct("<HHIQIIII")
KINDS = {1: "PTX", 2: "cubin"}
PROMISED = {("cubin", 80), ("cubin", 90), ("cubin", 100), ("cubin", 120), ("PTX", 120)}


def entries(data):
    """(kind, architecture) of every entry of every fat binary."""
    at = data.find(MAGIC)
    while at >= 0:
        _, _, header, size = HEADER.unpack_from(data, at)
        entry, end = at + header, at + header + size
        while entry < end:
            kind, _, header, payload, _, _, _, architecture = ENTRY.unpack_from(data, entry)
            yield KINDS.get(kind, str(kind)), architecture
            entry += header + payload
        at = data.find(MAGIC, end)


def main(path):
    """Check one module; the exit status."""
    found = Counter(entries(path.read_bytes()))
    for (kind, architecture), count in sorted(found.items()):
        print(f"{kind} {architecture}: {count}")
    missing = PROMISED - found.keys()
    for kind, architecture in sorted(missing):
        print(f"{path}: no {kind} for {architecture}", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
