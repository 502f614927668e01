"""What a source of recordings is: a public data set, or a format that users bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neurohorizon.recordings.schema import Recording


@dataclass(frozen=True)
class RemoteFile:
    """A file of a public data set.

    Parameters
    ----------
    path : str
        Where it lies below the data set's folder.
    url : str
        Where it is downloaded from; of one fixed version of the data set.
    num_bytes : int
        Its exact size.
    """

    path: str
    url: str
    num_bytes: int


@dataclass(frozen=True)
class Source:
    """A public data set or a format, and how it becomes recordings.

    Parameters
    ----------
    name : str
        What the user types, and what `Recording.source` says.
    title : str
        One line for tables.
    find_files : callable
        From a path to what `convert` takes, in a fixed order; empty if there is none.
    convert : callable
        From one of those to a recording without a split; raises DataError.
    licence, citation, homepage : str
        Of the data; empty for a format.
    num_recordings, num_units, num_spikes : int or None
        What a complete copy gives after conversion.
    remote_files : tuple of RemoteFile
        What `fetch` downloads.
    notes : tuple of str
        What a user must know before believing a number from these data.
    """

    name: str
    title: str
    find_files: Callable[[Path], list[Path]]
    convert: Callable[[Path], Recording]
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    num_recordings: int | None = None
    num_units: int | None = None
    num_spikes: int | None = None
    remote_files: tuple[RemoteFile, ...] = ()
    notes: tuple[str, ...] = ()
