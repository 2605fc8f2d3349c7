"""Each command does its job and says so, to people and to machines."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import embcodec


def test_from_vectors_to_answers(run, files: Path) -> None:
    """The commands one after the other, as a reader of docs/cli.md would type them."""
    codec, codes = files / "c.safetensors", files / "c.parquet"
    assert run("fit", files / "x.parquet", "--spec", "Center,SQ8", "-o", codec).status == 0
    assert run("encode", files / "x.parquet", "--codec", codec, "-o", codes).status == 0
    assert run("decode", codes, "--codec", codec, "-o", files / "y.parquet").status == 0
    hits = files / "hits.parquet"
    searched = run(
        "search",
        codes,
        files / "q.npy",
        "--codec",
        codec,
        "-k",
        3,
        "-o",
        hits,
        "--id-column",
        "url",
        "--metric",
        "l2",
    )
    assert searched.status == 0, searched.err
    found = pq.read_table(hits).to_pylist()
    assert [hit["name"] for hit in found if hit["rank"] == 0] == [f"http://{i}" for i in range(20)]


def test_search_takes_a_first_pass_over_trellis_codes(run, tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((600, 192), np.float32)
    np.save(tmp_path / "x.npy", x)
    for name, spec in (("tcq", "TCQ2"), ("sq", "SQ8")):
        codec, codes = tmp_path / f"{name}.safetensors", tmp_path / f"{name}-codes.safetensors"
        assert run("fit", tmp_path / "x.npy", "--spec", spec, "-o", codec).status == 0
        assert run("encode", tmp_path / "x.npy", "--codec", codec, "-o", codes).status == 0
    search = ("search", tmp_path / "tcq-codes.safetensors", tmp_path / "x.npy")
    codec = ("--codec", tmp_path / "tcq.safetensors", "-k", 5, "--json")
    exact = json.loads(run(*search, *codec).out)["ids"]
    assert json.loads(run(*search, *codec, "--k-factor", 100).out)["ids"] == exact
    assert json.loads(run(*search, *codec, "--k-factor", 2).out)["ids"] != exact
    refused = run("search", tmp_path / "sq-codes.safetensors", tmp_path / "x.npy", "--codec",
                  tmp_path / "sq.safetensors", "--k-factor", 2)  # fmt: skip
    assert refused.status == 2
    assert "k_factor needs a scan of trellis codes" in refused.err


def test_fit_takes_its_options(run, files: Path) -> None:
    out = files / "c.safetensors"
    done = run(
        "fit",
        files / "x.npy",
        "--spec",
        "RR,SQ4",
        "-o",
        out,
        "--seed",
        7,
        "--queries",
        files / "q.npy",
        "--json",
    )
    facts = json.loads(done.out)
    codec = embcodec.load(out)
    assert codec.fingerprint == embcodec.Codec("RR,SQ4", seed=7).fit(np.load(files / "x.npy")).fingerprint
    assert (facts["spec"], facts["seed"], facts["code_size"]) == ("RR,SQ4", 7, 8)
    assert facts["fingerprint"] == codec.fingerprint


def test_encode_and_decode_report_to_machines(run, files: Path) -> None:
    done = run(
        "encode", files / "x.parquet", "--codec", files / "sq8.safetensors", "-o", files / "c.npy", "--json"
    )
    report = json.loads(done.out)
    assert (report["rows"], report["files"], report["bytes_read"], report["bytes_written"]) == (
        1000,
        1,
        64000,
        16000,
    )
    assert report["out"] == str(files / "c.npy")
    assert report["left_out"] == ["url"]
    assert report["seconds"] > 0
    assert 50_000_000 < report["peak_memory"] < 2_000_000_000


def test_encode_and_decode_report_to_people(run, files: Path) -> None:
    codec = files / "sq8.safetensors"
    done = run("encode", files / "x.parquet", "--codec", codec, "-o", files / "c.npy")
    assert "c.npy: 1,000 rows, 64 kB to 16 kB," in done.out
    assert "rows/s" in done.out
    assert done.err == f"note: {files / 'c.npy'} has no place for these columns: url\n"
    done = run("decode", files / "c.npy", "--codec", codec, "-o", files / "y.npy", "--dtype", "float16")
    assert "y.npy: 1,000 rows, 16 kB to 32 kB," in done.out


def test_a_resumed_job_says_what_was_there(run, files: Path) -> None:
    asked = (
        "encode",
        files / "x.npy",
        "--codec",
        files / "sq8.safetensors",
        "-o",
        files / "c.npy",
        "--resume",
    )
    assert json.loads(run(*asked, "--json").out)["fresh_rows"] == 1000
    assert json.loads(run(*asked, "--json").out)["fresh_rows"] == 0
    assert "c.npy: 1,000 rows (1,000 of them earlier), " in run(*asked).out


def test_search_prints_the_first_queries(run, files: Path) -> None:
    codec = files / "sq8.safetensors"
    done = run(
        "search", files / "codes.parquet", files / "q.npy", "--codec", codec, "-k", 2, "--metric", "l2"
    )
    lines = [line.split() for line in done.out.splitlines()]
    assert ["query", "rank", "id", "score"] in lines
    assert [line[:3] for line in lines if len(line) == 4 and line[1] == "0"] == [
        [str(q), "0", str(q)] for q in range(5)
    ]
    assert "15 more queries" in done.out


def test_search_answers_machines(run, files: Path) -> None:
    codec = files / "sq8.safetensors"
    asked = (
        "search",
        files / "codes.parquet",
        files / "q.npy",
        "--codec",
        codec,
        "-k",
        4,
        "--metric",
        "cosine",
    )
    answers = json.loads(run(*asked, "--id-column", "url", "--json").out)
    loaded = embcodec.load(codec)
    codes, q = loaded.encode(np.load(files / "x.npy")), np.load(files / "q.npy")
    scores, ids = loaded.search(codes, q, 4, "cosine")
    assert answers["ids"] == ids.tolist()
    np.testing.assert_allclose(answers["scores"], scores)
    assert answers["names"] == [[f"http://{i}" for i in row] for row in ids]


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        (
            "sq8.safetensors",
            "codec",
            ["SQ8", "16 bytes a row", "4.0 times smaller than float32", "format", "1"],
        ),
        (
            "codes.parquet",
            "codes",
            ["SQ8", "16 bytes a row", "1,000", "url (string), code (fixed_size_binary[16])"],
        ),
        ("x.npy", "vectors", ["16 dimensions", "float32", "1,000"]),
        ("x.parquet", "vectors", ["emb", "url (string), emb (fixed_size_list<element: float>[16])"]),
    ],
)
def test_info_knows_a_file(run, name: str, kind: str, shown: list[str], files: Path) -> None:
    done = run("info", files / name)
    assert done.out.splitlines()[0].endswith(kind)
    assert all(text in done.out for text in shown), done.out
    facts = json.loads(run("info", files / name, "--json").out)
    assert (facts["kind"], facts["d"]) == (kind, 16)
    if kind in ("codec", "codes"):
        codec = embcodec.load(files / "sq8.safetensors")
        assert (facts["fingerprint"], facts["code_size"], facts["ratio"]) == (codec.fingerprint, 16, 4.0)


def test_evaluate_compares_codecs(run, files: Path) -> None:
    asked = ("evaluate", files / "x.parquet", "--queries", files / "q.npy", "--spec", "SQ8", "--spec", "SQ4")
    results = json.loads(run(*asked, "-k", 5, "--json").out)
    assert [result["code_size"] for result in results] == [64, 16, 8]
    assert results[1]["recall"] > results[2]["recall"] > 0.5
    table = run(*asked).out
    assert "SQ4" in table
    assert "…" not in table


def test_help_shows_examples(run) -> None:
    done = run()
    assert done.status == 0
    commands = ["demo", "evaluate", "fit", "encode", "decode", "search", "info"]
    assert all(command in done.out for command in commands)
    for command in commands:
        assert f"embcodec {command}" in run(command, "--help").out


def test_it_runs_as_a_module(files: Path) -> None:
    command = [sys.executable, "-m", "embcodec", "info", str(files / "codes.parquet"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["rows"] == 1000


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from embcodec.cli import main; main(['--help']); print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_progress_off_a_terminal_is_a_line_now_and_then(run, files: Path, monkeypatch) -> None:
    monkeypatch.setattr("embcodec.cli._progress._SECONDS_BETWEEN_LINES", 0)
    done = run("encode", files / "x.npy", "--codec", files / "sq8.safetensors", "-o", files / "c.npy")
    assert done.err.splitlines()[-1].startswith("encode: 1,000/1,000 rows  ")
    assert " rows/s  " in done.err
    assert "B/s  finishing" in done.err


def test_progress_on_a_terminal_is_a_bar(run, files: Path, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    done = run("encode", files / "x.npy", "--codec", files / "sq8.safetensors", "-o", files / "c.npy")
    assert "━" in done.err
    assert "1,000/1,000 rows" in done.err
