"""Errors that are neither a TypeError nor a ValueError."""


class BackendUnavailableError(RuntimeError):
    """What was asked for cannot run here, such as an instruction set that the machine or the build lacks."""
