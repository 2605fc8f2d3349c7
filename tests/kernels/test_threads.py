"""Defaults for threads and instruction sets: functions and environment variables."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import embcodec
from embcodec import BackendUnavailableError, _native, _threads, kernels


@pytest.fixture(autouse=True)
def _defaults():
    threads, isa = _threads.get_num_threads(), _threads.get_isa()
    yield
    _threads.set_num_threads(threads)
    _threads.set_isa(isa)


def in_a_new_process(code, **variables):
    root = str(Path(embcodec.__file__).parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", f"from embcodec import _threads; {code}"],
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_number_of_threads():
    for threads in (1, 3, np.int64(2)):
        embcodec.set_num_threads(threads)
        assert embcodec.get_num_threads() == threads


@pytest.mark.parametrize(("threads", "exception"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_number_of_threads_refused(threads, exception):
    before = embcodec.get_num_threads()
    with pytest.raises(exception):
        embcodec.set_num_threads(threads)
    assert embcodec.get_num_threads() == before


def test_levels_are_those_of_the_build_in_order():
    ladder = ["scalar", "avx2", "avx512", "avx512_icl", "avx512_amx", "neon"]
    levels, available = _native.levels(), _threads.available_isa()
    assert levels == [level for level in ladder if level in levels]
    assert available == [level for level in levels if level in available]
    assert available[0] == "scalar"


def test_default_level():
    x = np.ones((3, 5), np.float32)
    for isa in _threads.available_isa():
        _threads.set_isa(isa)
        assert _threads.get_isa() == isa
        assert kernels.bits_encode(x).tolist() == [[248]] * 3


def test_a_level_that_cannot_run_is_refused():
    before = _threads.get_isa()
    with pytest.raises(BackendUnavailableError, match="isa 'sse9' cannot run here, available: scalar"):
        _threads.set_isa("sse9")
    assert _threads.get_isa() == before


def test_environment_variables():
    for isa in _threads.available_isa():
        code = "print(_threads.get_num_threads(), _threads.get_isa())"
        done = in_a_new_process(code, EMBCODEC_NUM_THREADS="5", EMBCODEC_ISA=isa)
        assert done.stdout.split() == ["5", isa], done.stderr


def test_the_default_level_is_not_the_scalar_one():
    done = in_a_new_process("print(_threads.get_isa())", EMBCODEC_ISA="")
    assert done.stdout.strip() in (_threads.available_isa()[1:] or ["scalar"]), done.stderr


@pytest.mark.parametrize("variables", [{"EMBCODEC_ISA": "sse9"}, {"EMBCODEC_NUM_THREADS": "many"}])
def test_environment_variables_refused(variables):
    (value,) = variables.values()
    done = in_a_new_process("pass", **variables)
    assert done.returncode != 0
    assert value in done.stderr.strip().splitlines()[-1]
