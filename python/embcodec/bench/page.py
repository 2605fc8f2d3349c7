"""placeholder"""

from embcodec.bench.runs import Run


def page(runs: list[Run], title: str) -> str:
    return title
