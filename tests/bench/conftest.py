import json
import shlex
import sys

import numpy as np
import pytest

from embcodec.bench import Measurement, Run


@pytest.fixture
def make_run():
    """A run with measurements from name to seconds."""

    def make(seconds, commit="c", time="2026-01-01T00:00:00+00:00", rounds_of="", machine=None, **qualities):
        measurements = {name: Measurement("group", list(s), **qualities) for name, s in seconds.items()}
        return Run(commit, time, machine or {"cpu": "x"}, measurements, rounds_of)

    return make


@pytest.fixture
def noisy():
    """Times on a shared machine: a drift that both sides see, jitter of each, and now and then a stall."""

    def times(seed, rounds, slowdowns=(1.0, 1.0), jitter=0.04):
        rng = np.random.default_rng(seed)
        drift = np.exp(np.cumsum(rng.normal(0, 0.05, rounds)))
        sides = []
        for slowdown in slowdowns:
            stalls = np.where(rng.random(rounds) < 0.1, rng.uniform(1.2, 3, rounds), 1)
            sides.append(slowdown * drift * rng.lognormal(0, jitter, rounds) * stalls)
        return sides

    return times


@pytest.fixture
def fake_side(tmp_path):
    """A command that writes a result of benchmarks a and b, b as much slower as it is told, with jitter."""
    script = tmp_path / "fake.py"
    script.write_text(
        "import json, random, sys\n"
        "out, slowdown, recall, name = sys.argv[1:]\n"
        "def m(f): return {'group': 'g', 'seconds': [f * random.lognormvariate(0, 0.01)],\n"
        "                  'accuracy': {'recall@10': float(recall)}}\n"
        "measurements = {'a': m(1e-3), name: m(1e-3 * float(slowdown))}\n"
        "json.dump({'format': 1, 'commit': 'c', 'time': '2026-01-01', 'machine': {},\n"
        "           'measurements': measurements}, open(out, 'w'))\n"
    )

    def side(slowdown=1.0, recall=0.9, name="b"):
        return f"{shlex.join([sys.executable, '-S', str(script)])} {{out}} {slowdown} {recall} {name}"

    return side


@pytest.fixture
def benchmark_json(tmp_path):
    """What pytest-benchmark writes, cut to what is read."""

    def write(name="pytest.json", seconds=0.002, extra=None):
        entry = {"fullname": "b.py::test_x", "group": None, "stats": {"min": seconds, "data": [seconds, 1]}}
        content = {
            "commit_info": {"id": "0123456789abcdef", "time": "2026-02-03T04:05:06+01:00"},
            "machine_info": {"cpu": {"brand_raw": "A processor"}},
            "datetime": "2026-03-01",
            "benchmarks": [{**entry, "extra_info": extra or {}}],
        }
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return write
