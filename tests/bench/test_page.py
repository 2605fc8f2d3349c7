"""The page: what it says, and that a browser shows it."""

import re
import shutil
import struct
import subprocess

import pytest

from embcodec import bench

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
MACHINE = {"cpu": "A <processor>", "isa": "avx2", "threads": 1, "copy": 1e10, "matmul": 1e11}


@pytest.fixture
def runs(make_run):
    """Five runs; the last is 30 % slower and less accurate in one benchmark."""

    def run(i):
        last = i == 4
        times = {"sq_topk <8>": [0.013 if last else 0.01, 0.011, 0.012], "sq_encode": [0.002]}
        recall = {"recall@10": 0.91 if last else 0.95}
        return make_run(
            times,
            commit=f"commit{i}",
            time=f"2026-01-0{i + 1}",
            machine=MACHINE,
            accuracy=recall,
            bytes=10**7,
            operations=10**8 if i else None,
        )

    return [run(i) for i in range(5)]


def test_it_needs_nothing_from_elsewhere(runs):
    text = bench.page(runs, "A & B")
    assert "<h1>A &amp; B</h1>" in text
    assert not re.search(r"https?://|<script|@import|url\(|src=", text)
    assert "A &lt;processor&gt;" in text
    assert "sq_topk &lt;8&gt;" in text
    assert "prefers-color-scheme: dark" in text


def test_a_card_tells_the_latest_time_its_change_and_its_accuracy(runs):
    text = bench.page(runs, "t")
    card = next(part for part in text.split("<figure>") if "sq_topk" in part and "<figcaption>" in part)
    assert "<b>12 ms</b>" in card
    assert '<em class="worse">+9.1%</em>' in card
    assert "recall@10 0.91 (was 0.95)" in card
    assert card.count("<circle") == 5
    assert card.count('class="range"') == 5
    assert "commit3 2026-01-04: 11 ms, recall@10 0.95" in card


def test_a_machine_without_measured_limits_has_no_roofline(runs, make_run):
    assert 'id="roofline"' in bench.page(runs, "t")
    bare = make_run({"x": [1.0]}, bytes=1, operations=1)
    text = bench.page([bare], "t")
    assert 'id="roofline"' not in text
    assert "<figcaption>x</figcaption>" in text


def test_other_machines_are_left_out(runs, make_run):
    other = make_run({"sq_encode": [9.0]}, commit="other", machine={**MACHINE, "isa": "neon"})
    text = bench.page([other, *runs], "t")
    assert "1 run of other machines or settings left out" in text
    assert "other 20" not in text


def test_what_moves_data_is_beside_copy(runs):
    text = bench.page(runs[:1], "t")
    assert 'id="bandwidth"' in text
    assert "5 GB/s, 50%" in text


@pytest.fixture
def browser(tmp_path):
    """Headless Chromium on a page: what it prints with these flags."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on PATH")

    def run(page, *flags):
        command = [chromium, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *flags, page.as_uri()]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    return run


@pytest.mark.parametrize("width", [1280, 600])
def test_a_browser_lays_it_out_within_its_width(browser, runs, tmp_path, width):
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    probe = (
        "<script>document.title = JSON.stringify([document.documentElement.scrollWidth, innerWidth,"
        " [...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().height > 60)])"
        "</script>"
    )
    page.write_text(bench.page(runs, "t").replace("</body>", f"{probe}</body>"), encoding="utf-8")
    dom = browser(page, f"--window-size={width},900", "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom)[1]
    scroll, inner, tall = re.match(r"\[(\d+),(\d+),\[(.*)\]\]", title).groups()
    assert int(scroll) <= int(inner)
    assert tall == "true,true"
    browser(page, f"--window-size={width},900", f"--screenshot={picture}")
    content = picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (width, 900)
    assert len(content) > 20_000  # an empty page takes a tenth of that
