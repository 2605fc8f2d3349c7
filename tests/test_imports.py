"""Imports run one way: a module imports from its own layer and from those below it."""

import ast
from pathlib import Path

import pytest

import embcodec

ROOT = Path(embcodec.__file__).parent
LAYERS = (
    {"__main__"},
    {"cli"},
    {"bench"},
    {"io", "evaluation", "tuning", "monitoring", "compat", "learned"},
    {""},  # the package itself, which exports from the layers below
    {"codecs"},
    {"kernels", "_threads", "_device"},
    {"_backends"},
    {"_native", "_cuda", "reference"},
    {"data", "_errors"},
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def modules():
    """Every module of the package."""
    return sorted(ROOT.rglob("*.py"))


def part_of(path):
    """The part of the package that a file belongs to: "kernels" for kernels/scalar.py."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py").replace("__init__", "")


def imported_parts(path):
    """(line, part) of each import of the package, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT.parent).parts[: -node.level] if node.level else ()
            module = ".".join((*package, *([node.module] if node.module else [])))
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "embcodec" else [module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "embcodec":
                yield node.lineno, parts[1] if len(parts) > 1 else ""


def test_every_part_has_a_layer():
    assert {part_of(path) for path in modules()} <= set(RANKS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path):
    mine = part_of(path)
    for line, part in imported_parts(path):
        where = f"{path.relative_to(ROOT)}:{line} imports {part or 'the package itself'}"
        assert part == mine or RANKS[part] > RANKS[mine], where
