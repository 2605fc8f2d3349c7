"""The references as a backend, for arrays of a module without compiled kernels: the same bytes, slower."""

from __future__ import annotations

from typing import Any

from embcodec import reference


class Generic:
    """Runs on `xp`, the module of the arrays (CuPy, or NumPy in tests)."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def run(
        self,
        kernel: str,
        inputs: tuple[Any, ...],
        outputs: tuple[Any, ...],
    ) -> Any:
        """Call a kernel with its public arguments in order; what it returns besides the outputs."""
        results = reference.outputs(reference.REGISTRY[kernel].reference(*inputs, xp=self.xp))
        for output, result in zip(outputs, results):
            output[...] = result
        return results[len(outputs)] if len(results) > len(outputs) else None
