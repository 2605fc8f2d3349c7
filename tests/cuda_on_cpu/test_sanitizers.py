"""The CUDA kernels under AddressSanitizer and ThreadSanitizer, which must find faults planted into them.

Like everything about kernels on the CPU it runs where `EMBCODEC_CUDA_ON_CPU` is set.
"""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import emulated
import pytest

pytestmark = [pytest.mark.skipif(not emulated.DEVICES, reason="needs EMBCODEC_CUDA_ON_CPU"), pytest.mark.slow]

HERE = Path(__file__).parent
CUDA = HERE.parents[1] / "cuda"
FLAGS = [
    *("g++", "-std=c++17", "-O1", "-g1", "-ffp-contract=off", "-DEMB_ON_CPU"),
    *("-Wno-stringop-overread", f"-I{HERE}"),
]
SANITIZERS = {"address": ["-fsanitize=address"], "thread": ["-fsanitize=thread"]}


def compile_object(source, sanitizer, folder):
    """Compile one file; the machine itself is not watched for races."""
    to = folder / f"{source.stem}.o"
    flags = SANITIZERS[sanitizer]
    if sanitizer == "thread" and source.stem == "machine":
        flags = ["-DEMB_TSAN"]
    subprocess.run([*FLAGS, *flags, "-x", "c++", "-c", source, "-o", to], check=True)
    return to


def link(objects, sanitizer, to):
    subprocess.run(["g++", *SANITIZERS[sanitizer], *objects, "-o", to], check=True)
    return to


def run(program, *families):
    return subprocess.run(
        [program, *families],
        env={"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module", params=SANITIZERS)
def objects(request, tmp_path_factory):
    """The name of the sanitizer and the objects of the suite built for it."""
    folder = tmp_path_factory.mktemp(request.param)
    sources = [*CUDA.glob("*.cu"), CUDA / "kmeans.cpp", HERE / "machine.cpp", HERE / "suite.cpp"]
    with ThreadPoolExecutor(2) as pool:
        return request.param, list(
            pool.map(lambda source: compile_object(source, request.param, folder), sources)
        )


def test_the_suite_is_clean(objects, tmp_path):
    sanitizer, files = objects
    done = run(link(files, sanitizer, tmp_path / "suite"))
    assert done.returncode == 0, done.stdout + done.stderr[:4000]


FAULTS = [
    (
        "address",
        "a read past the end of the rows",
        "pq",
        "pq.cu",
        "at >= nq * size",
        "at > nq * size",
        "overflow",
    ),
    (
        *("address", "a row past the last", "rotation", "rotation.cu"),
        *("for (int64_t j = threadIdx.x; j < p.size; j += blockDim.x) {\n    const float v = j < x.d ?",),
        *("for (int64_t j = threadIdx.x; j < p.size; j += blockDim.x) {\n    const float v = j <= x.d ?",),
        "overflow",
    ),
    ("address", "shared memory", "cluster", "cluster.cu", "[kBlock / 32]);", "[kBlock / 64]);", "overflow"),
    (
        *("thread", "a barrier removed", "rotation", "rotation.cu"),
        *("  __syncthreads();\n  if (M > 1)", "  if (M > 1)", "data race"),
    ),
    (
        *("thread", "a barrier of a warp removed", "trellis", "trellis.cu"),
        *("kChoices);\n      __syncwarp(kAllLanes);", "kChoices);", "data race"),
    ),
    (
        *("thread", "a lane left out of a mask", "sparse", "sparse.cu"),
        *("__ballot_sync(kAllLanes, mine)", "__ballot_sync(kAllLanes >> 1, mine)", "leaves out a lane"),
    ),
    (
        *("thread", "a barrier that not all reach", "cluster", "cluster.cu"),
        *(
            "    count += total;\n    __syncthreads();",
            "    if (!(count += total)) __syncthreads();",
            "barrier",
        ),
    ),
]


@pytest.mark.parametrize(
    ("sanitizer", "fault", "family", "name", "right", "wrong", "message"), FAULTS, ids=[f[1] for f in FAULTS]
)
def test_a_fault_is_found(objects, tmp_path, sanitizer, fault, family, name, right, wrong, message):
    built_for, files = objects
    if built_for != sanitizer:
        pytest.skip(f"for the {sanitizer} sanitizer")
    text = (CUDA / name).read_text()
    assert text.count(right) >= 1
    source = tmp_path / name
    text = text.replace(right, wrong, 1).replace('"../cpp', f'"{CUDA.parent}/cpp')
    source.write_text(text.replace('#include "', f'#include "{CUDA}/').replace(f"{CUDA}//", "/"))
    mine = compile_object(source, sanitizer, tmp_path)
    done = run(
        link([f for f in files if f.name != mine.name] + [mine], sanitizer, tmp_path / "suite"), family
    )
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
