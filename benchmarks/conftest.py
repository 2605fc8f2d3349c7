"""Options of the benchmarks: parameters are data, not file names."""


def pytest_addoption(parser):
    parser.addoption("--rows", type=int, default=20000, help="rows n")
    parser.addoption("--dims", type=int, default=384, help="dimensions d")
    parser.addoption("--queries", type=int, default=5, help="queries of a scan")
    parser.addoption("--threads", type=int, default=1, help="threads of the kernels, and of NumPy's BLAS")
