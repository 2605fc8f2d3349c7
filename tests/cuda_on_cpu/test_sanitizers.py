"""The CUDA kernels under AddressSanitizer and ThreadSanitizer, which must find faults planted into them.

Like everything about kernels on the CPU it runs where `EMBCODEC_CUDA_ON_CPU` is set.
"""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import on_device
import pytest

pytestmark = [on_device.needs_emulation, pytest.mark.slow]

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
        timeout=500,
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


NOT_NEAREST = "is not that of the nearest codeword"
NOT_OF_TABLES = "is not that of tables"

# what is wrong: who must say so and how, the family of the suite, the file, its right and its wrong text
FAULTS = {
    "a read past the end": ("address", "overflow", "pq", "pq.cu", "at >= nq * size", "at > nq * size"),
    "a row past the last": (
        "address",
        "overflow",
        "rotation",
        "rotation.cu",
        "v = j < x.d ?",
        "v = j <= x.d ?",
    ),
    "shared memory": ("address", "overflow", "cluster", "cluster.cu", "[kBlock / 32]);", "[kBlock / 64]);"),
    "a lane left out of a mask": (
        *("address", "leaves out a lane", "sparse", "sparse.cu"),
        *("__ballot_sync(kAllLanes, chosen)", "__ballot_sync(kAllLanes >> 1, chosen)"),
    ),
    "a lane left out of a sum": (
        *("address", "leaves out a lane", "sparse", "sparse.cu"),
        *("__reduce_add_sync(kAllLanes, n)", "__reduce_add_sync(kAllLanes >> 1, n)"),
    ),
    "a barrier that not all reach": (
        *("address", "cluster: barrier", "cluster", "cluster.cu"),
        *("listed[before] = static_cast<uint32_t>(row);\n    __syncthreads();", "__syncthreads();"),
    ),
    "a barrier removed": (
        *("thread", "data race", "rotation", "rotation.cu"),
        *("  __syncthreads();\n  if (M > 1)", "  if (M > 1)"),
    ),
    "a barrier of a warp removed": (
        *("thread", "data race", "trellis", "trellis.cu"),
        *("__syncwarp(kAllLanes);\n      for_rate", "for_rate"),
    ),
    "codes that a warp has not written yet": (
        *("thread", "data race", "rotation", "rotation.cu"),
        *(
            "__syncwarp(kAllLanes);\n    EMB_UNROLL for (int i = 0; i < COUNT; i += 8)",
            "EMB_UNROLL for (int i = 0; i < COUNT; i += 8)",
        ),
    ),
    "a row that a warp has not loaded yet": (
        *("thread", "data race", "rotation", "warp_rows.cuh"),
        *("__syncwarp(kAllLanes);\n    load_vectors", "load_vectors"),
    ),
    "candidates that a warp has not written yet": (
        *("thread", "data race", "sparse", "sparse.cu"),
        *("__syncwarp(kAllLanes);\n    choose", "choose"),
    ),
    "midpoints that are not complete": (
        *("thread", "data race", "levels", "levels.cu"),
        *("fill_tree(tree, p);\n    __syncthreads();", "fill_tree(tree, p);"),
    ),
    "tiles that are still read": (
        *("thread", "data race", "projection", "projection.cu"),
        *("now = 1 - now;", ""),
    ),
    "codebooks that are not complete": (
        *("thread", "data race", "pq", "pq.cu"),
        *("books[i] = from[i];\n  __syncthreads();", "books[i] = from[i];"),
    ),
    "a beam that has no room": (
        *("address", "overflow", "rq", "rq.cu"),
        *("2 * p.beam + kWords", "p.beam + kWords / 2"),
    ),
    "keys that are still sorted": (
        *("thread", "data race", "rq", "rq.cu"),
        *("      __syncwarp(kAllLanes);\n      for (int i = lane;;", "      for (int i = lane;;"),
    ),
    "paths that are not complete": (
        *("thread", "data race", "rq", "rq.cu"),
        *("__syncwarp(kAllLanes);\n    uint8_t*", "uint8_t*"),
    ),
    "a matrix that is not complete": (
        *("thread", "data race", "pq", "tensor.cuh"),
        *("fill(a, s);\n  __syncthreads();", "fill(a, s);"),
    ),
    "rows that are not complete": (
        *("thread", "data race", "pq", "tensor.cuh"),
        *("base_of(square);\n  __syncwarp(kAllLanes);", "base_of(square);"),
    ),
    "rows of a matrix in other registers": (
        *("address", NOT_NEAREST, "pq", "tensor.cuh"),
        *("words[tile][2 + h]", "words[tile][3 - h]"),
    ),
    "columns of a matrix in other registers": (
        *("address", NOT_NEAREST, "pq", "tensor.cuh"),
        *("{low, four == 0 ? kOnes : 0, high, 0}", "{four == 0 ? kOnes : 0, low, 0, high}"),
    ),
    "columns of a matrix in other lanes": (
        *("address", NOT_NEAREST, "pq", "tensor.cuh"),
        *("8 * e + 2 * t", "8 * e + 6 - 2 * t"),
    ),
    "scores that belong to other rows": (
        *("address", NOT_NEAREST, "pq", "tensor.cuh"),
        *("lane / 8 * 8 + lane % 4 * 2 + lane / 4 % 2", "lane"),
    ),
    "scores that belong to other codewords": (
        *("address", NOT_NEAREST, "pq", "tensor.cuh"),
        *("kClasses * group + tile / kGroupTiles", "group + 8 * (tile / kGroupTiles)"),
    ),
    "nominees of other rows": (
        *("address", NOT_NEAREST, "pq", "tensor.cuh"),
        *("exchange_blocks<8>(nominated, 8)", "nominated"),
    ),
    "codes of other rows": (
        *("address", NOT_NEAREST, "pq", "few.cuh"),
        *("exchange_blocks<8>(ids, 2)", "ids"),
    ),
    "products that belong to other rows": (
        *("address", NOT_OF_TABLES, "pq", "nominate.cuh"),
        *("lane / 4 + k / 2 % 2 * 8", "lane / 4 * 2 + k / 2 % 2"),
    ),
    "products that belong to other queries": (
        *("address", NOT_OF_TABLES, "pq", "nominate.cuh"),
        *("lane % 4 * 2 + k % 2", "lane % 4 + k % 2 * 4"),
    ),
    "rows and columns of a matrix exchanged": (
        *("address", NOT_OF_TABLES, "pq", "nominate.cuh"),
        *(
            "\n      const uint32_t a[2][4] = {{upper.x, lower.x, upper.y, lower.y}",
            "\n      const uint32_t a[2][4] = {{upper.x, upper.y, lower.x, lower.y}",
        ),
    ),
    "rows and columns exchanged, for few queries": (
        *("address", NOT_OF_TABLES, "pq", "nominate.cuh"),
        *(
            "\n          const uint32_t a[2][4] = {{upper.x, lower.x, upper.y, lower.y}",
            "\n          const uint32_t a[2][4] = {{upper.x, upper.y, lower.x, lower.y}",
        ),
    ),
    "products that belong to other rows, for few queries": (
        *("address", NOT_OF_TABLES, "pq", "nominate.cuh"),
        *("bit % kOwn * 8 + lane / 4", "lane / 4 * kOwn + bit % kOwn"),
    ),
    "products that belong to other queries, for few": (
        *("address", NOT_OF_TABLES, "pq", "nominate.cuh"),
        *("lane % 4 * 2 + bit / kOwn", "lane % 4 + bit / kOwn * 4"),
    ),
    "columns that half a warp has not decoded yet": (
        *("thread", "data race", "levels", "nominate.cuh"),
        *(
            "__syncwarp(mask);\n      EMB_UNROLL for (int k = 0; k < kHalfColumns",
            "EMB_UNROLL for (int k = 0; k < kHalfColumns",
        ),
    ),
    "columns that half a warp still reads": (
        *("thread", "data race", "levels", "nominate.cuh"),
        *("__syncwarp(mask);  // the columns before were read", ""),
    ),
    "a bound that is too tight": ("address", NOT_OF_TABLES, "pq", "nominate.cuh", "7.9e-3f", "7.2e-3f"),
    "a buffer that is filled too early": (
        *("thread", "data race", "pq", "nominate.cuh"),
        *("store(next, 1 - buffer)", "store(next, buffer)"),
    ),
}


def run_suite(sanitizer, files, folder, fault):
    """The suite with a fault planted, the family that it disturbs; all of it without one."""
    if fault is None:
        return run(link(files, sanitizer, folder / "suite"))
    _, _, family, name, right, wrong = FAULTS[fault]
    compiled = name if name.endswith(".cu") else f"{family}.cu"
    for file in {CUDA / compiled, *CUDA.glob("*.cuh"), *CUDA.glob("*.h")}:
        text = file.read_text()
        if file.name == name:
            assert text.count(right) >= 1
            text = text.replace(right, wrong, 1)
        (folder / file.name).write_text(text.replace('#include "../', f'#include "{CUDA.parent}/'))
    mine = compile_object(folder / compiled, sanitizer, folder)
    others = [file for file in files if file.name != mine.name]
    return run(link([*others, mine], sanitizer, folder / "suite"), family)


@pytest.fixture(scope="module")
def suites(objects, request, tmp_path_factory):
    """The runs, two at a time, of all that was selected for one sanitizer."""
    sanitizer, files = objects
    selected = [
        item.callspec.params.get("fault") for item in request.session.items if item.module is request.module
    ]
    wanted = dict.fromkeys(fault for fault in selected if fault is None or FAULTS[fault][0] == sanitizer)
    with ThreadPoolExecutor(2) as pool:
        yield {
            fault: pool.submit(run_suite, sanitizer, files, tmp_path_factory.mktemp("suite"), fault)
            for fault in wanted
        }


def test_the_suite_is_clean(suites):
    done = suites[None].result()
    assert done.returncode == 0, done.stdout + done.stderr[:4000]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(objects, suites, fault):
    if fault not in suites:
        pytest.skip(f"not for the {objects[0]} sanitizer")
    done = suites[fault].result()
    assert done.returncode != 0
    assert FAULTS[fault][1] in done.stdout + done.stderr
