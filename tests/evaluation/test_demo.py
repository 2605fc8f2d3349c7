from importlib import import_module

import pytest
from rich.console import Console

from embcodec import Codec
from embcodec.data import load_sample
from embcodec.evaluation import DEMO_SPECS, EXACT, demo, report

module = import_module("embcodec.evaluation.demo")


def written(results):
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(report(results))
    return capture.get().rstrip().splitlines()


@pytest.fixture(scope="module")
def short():
    """The demo of two codecs, and what it reported on the way."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DEMO_SPECS", ("SQ8", "SQ4"))
        return demo(on_result=seen.append), seen


def test_demo_judges_the_sample_with_its_relevance_and_labels(short):
    results, seen = short
    assert seen == results
    assert [r.spec for r in results] == [EXACT, "SQ8", "SQ4"]
    assert [r.code_size for r in results] == [1536, 384, 192]
    assert results[0].mrr == pytest.approx(0.78, abs=0.01)
    assert results[0].label_accuracy == pytest.approx(0.48, abs=0.02)
    assert results[1].recall > 0.99
    assert 0.92 < results[2].recall < 0.95


def test_report_ends_with_what_to_choose(short):
    lines = written(short[0])
    assert any(line.startswith(" SQ8 * ") for line in lines)
    assert max(map(len, lines)) <= 100
    assert lines[-2].startswith("SQ8 keeps recall@10 >= 0.95 at the fewest bytes: 384 a row")
    assert lines[-1].startswith("SQ4 keeps recall@10 >= 0.9 at the fewest bytes: 192 a row")


def test_demo_goes_from_halves_to_a_sixty_fourth():
    rows = load_sample().base[:300]
    sizes = [Codec(spec).fit(rows).code_size for spec in DEMO_SPECS]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (768, 24)
