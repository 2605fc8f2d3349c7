import json
import math

import pytest
from rich.console import Console

from embcodec.evaluation import EXACT, LEGEND, Result, best_choices, table, to_json, verdict


def result(spec, code_size, recall, **others):
    values = {
        "k": 10,
        "metric": "ip",
        "ratio": 1536 / code_size,
        "cosine_error": 0.0123,
        "mse": 1e-5,
        "relative_mse": 0.02,
        "score_correlation": 0.98,
        "mrr": 0.75,
        "label_accuracy": 0.71,
        "fit_seconds": 12.34,
        "encode_rate": 1.5e6,
        "decode_rate": 123.4e6,
        "scan_rate": 45.6e6,
        "codec_bytes": 600_000,
    }
    return Result(spec=spec, code_size=code_size, recall=recall, **(values | others))


EXACT_RESULT = result(EXACT, 1536, 1.0, fit_seconds=None, encode_rate=None, decode_rate=None, codec_bytes=0)
RESULTS = [
    EXACT_RESULT,
    result("PQ96x8", 96, 0.85),
    result("F16", 768, 0.999),
    result("SQ8", 384, 0.99),
    result("MRL96,SQ8", 96, 0.80),
    result("Top128", 768, 0.95),
    result("BF16", 768, 0.999),
    result("Center,HR,PCA128,SQ4", 64, 0.91),
]


def lines_of(results, width=100):
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(table(results))
    return capture.get().splitlines()


def test_best_choices_are_those_that_no_other_beats():
    assert [r.spec for r in best_choices(RESULTS)] == ["Center,HR,PCA128,SQ4", "SQ8", "F16"]


def test_table_puts_the_exact_row_first_and_then_the_most_bytes():
    lines = lines_of(RESULTS)
    rule = next(number for number, line in enumerate(lines) if "──" in line)
    rows = [line.split() for line in lines[rule + 1 :] if line.strip()]
    assert [row[0] for row in rows] == [
        "float32", "F16", "BF16", "Top128", "SQ8", "PQ96x8", "MRL96,SQ8", "Center,HR,PCA128,SQ4"
    ]  # fmt: skip
    want = "Top128 768 2.0 0.950 0.012 0.980 0.750 0.710 12.34 1.5 123 45.6 586"
    assert rows[3] == want.split()


def test_table_stars_the_best_choices():
    starred = {line.split()[0] for line in lines_of(RESULTS) if " * " in line}
    assert starred == {"F16", "SQ8", "Center,HR,PCA128,SQ4"}


def test_table_fits_a_hundred_columns_and_cuts_nothing():
    lines = lines_of(RESULTS)
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert "…" not in "".join(lines)
    assert any("Center,HR,PCA128,SQ4 *" in line for line in lines)
    assert all(len(line) <= 100 for line in LEGEND.splitlines())


def test_table_leaves_out_what_was_not_measured():
    header = "\n".join(lines_of([result("SQ8", 384, 0.99, mrr=None, label_accuracy=None)])[:3])
    assert "MRR" not in header
    assert "label" not in header
    assert "recall" in header


def test_small_errors_stay_visible():
    row = next(line for line in lines_of([result("F16", 768, 1.0, cosine_error=3.2e-8)]) if "F16" in line)
    assert " 3e-8 " in row


def test_table_of_nothing_has_no_rows():
    assert table([]).row_count == 0


def test_verdict_names_the_smallest_codec_that_keeps_each_recall():
    first, second, third = verdict(RESULTS, (0.95, 0.90, 0.9995))
    assert first == "SQ8 keeps recall@10 >= 0.95 at the fewest bytes: 384 a row (4.0x smaller), recall 0.990."
    assert second.startswith(
        "Center,HR,PCA128,SQ4 keeps recall@10 >= 0.9 at the fewest bytes: 64 a row (24.0x"
    )
    assert third == "None of these codecs keeps recall >= 0.9995."


def test_json_round_trip():
    written = json.loads(to_json(RESULTS))
    assert [row["spec"] for row in written] == [r.spec for r in RESULTS]
    assert written[1] == RESULTS[1].to_dict()
    assert written[0]["encode_rate"] is None


def test_json_has_no_number_that_json_lacks():
    assert json.loads(to_json([result("SQ8", 384, 0.9, relative_mse=math.inf)]))[0]["relative_mse"] is None


def test_result_is_frozen():
    with pytest.raises(AttributeError):
        EXACT_RESULT.recall = 0.5
