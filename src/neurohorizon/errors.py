"""Errors that a person can act on.

Every error raised for a user is a :class:`NeuroHorizonError`: its message is one line
that says what is wrong, where, what was expected, and what to do. The command line
prints that line and exits with code 2; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations


class NeuroHorizonError(ValueError):
    """Base of all errors meant for the person at the keyboard."""


class DataError(NeuroHorizonError):
    """A recording, or a file that should be one, cannot be used."""


class ConfigError(NeuroHorizonError):
    """A recipe, a key or a value cannot be used."""


class CheckpointError(NeuroHorizonError):
    """A run folder or checkpoint cannot be used."""


class MissingExtraError(NeuroHorizonError, ImportError):
    """An optional library is needed and not installed.

    Parameters
    ----------
    library : str
        Import name of the missing library.
    extra : str
        Extra of this package that installs it.
    purpose : str
        What the library is needed for, to complete "... is needed to <purpose>".
    """

    def __init__(self, library: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{library} is needed to {purpose} and is not installed: "
            f"pip install 'neurohorizon[{extra}]'"
        )
