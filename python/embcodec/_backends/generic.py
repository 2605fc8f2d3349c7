"""The references as a backend, for arrays of a module without compiled kernels: the same bytes, slower."""

from __future__ import annotations

from typing import Any

from embcodec import reference
from embcodec._errors import BackendUnavailableError


class Generic:
    """Runs on `xp`, the module of the arrays (CuPy, or NumPy in tests)."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def run(
        self,
        kernel: str,
        inputs: tuple[Any, ...],
        outputs: tuple[Any, ...],
        threads: int | None,
        isa: str | None,
    ) -> Any:
        """Call a kernel with its public arguments in order; what it returns besides the outputs."""
        if isa is not None:
            raise BackendUnavailableError(
                f"isa {isa!r} cannot run here: it is for NumPy arrays, these are {self.xp.__name__}'s"
            )
        results = reference.outputs(reference.REGISTRY[kernel].reference(*inputs, xp=self.xp))
        for output, result in zip(outputs, results):
            output[...] = result
        return results[len(outputs)] if len(results) > len(outputs) else None
