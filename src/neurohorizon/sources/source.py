"""What a source of recordings is: a public data set, or a format that users bring.

A public data set does three things: it lists its sessions (the manifest), it downloads one,
and it converts what was downloaded to a recording. A format does only the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.schema import Recording

Value = str | int | float | bool
"""What a setting may be."""
DownloadProgress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all or 0 where that is unknown)."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a public data set.

    Parameters
    ----------
    path : str
        Where it lies below the folder of downloads.
    url : str
        Where it is downloaded from; of one fixed version of the data set.
    num_bytes : int or None
        Its exact size, if the data set's listing tells it.
    sha256 : str
        Its checksum, if the listing tells it.
    """

    path: str
    url: str
    num_bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class RemoteSession:
    """A session of a public data set that can be downloaded: a row of its manifest.

    Parameters
    ----------
    id : str
        What the user may name it by.
    num_bytes : int or None
        Of its download, if known beforehand.
    files : tuple of RemoteFile
        What is downloaded; empty where the source downloads in its own way.
    about : mapping of str to str
        What else the listing tells: subject, date, laboratory, task.
    """

    id: str
    num_bytes: int | None = None
    files: tuple[RemoteFile, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """Something a user may choose about a source, as ``name=value``.

    Parameters
    ----------
    default : str, int, float or bool
        Its type is the setting's type.
    about : str
        One line: what it does, with its unit.
    """

    default: Value
    about: str


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
        From one of those (and the `convert_settings` as keywords) to a recording without a
        split, or to a recording of responses; raises DataError.
    list_sessions : callable, optional
        The manifest: from a folder of downloads and the `query_settings` as keywords to the
        sessions there are, in a fixed order. Raises DataError. None: nothing to download.
    download : callable, optional
        ``download(session, folder, progress) -> path``: brings one session into the folder of
        downloads and returns what `convert` takes. None: its `files`, by the common
        downloader; `convert` then takes what `find_files` finds of them.
    measure : callable, optional
        ``measure(session, folder) -> bytes or None``: how much `download` would still bring of
        a session whose size the listing does not tell, without what lies in the folder
        already; None where that cannot be told. Asked only for sessions that are chosen and
        missing; raises DataError. None: nothing but the listing tells sizes.
    find_addresses : callable, optional
        From text to the addresses (URLs, DANDI) that `convert` reads without downloading them;
        empty if the text is no address. Raises DataError. None: it reads files alone.
    query_settings, convert_settings : mapping of str to Setting
        What the user may choose.
    licence, citation, homepage : str
        Of the data; empty for a format.
    num_recordings, num_units, num_spikes : int or None
        What a complete copy gives after conversion.
    notes : tuple of str
        What a user must know before believing a number from these data.
    """

    name: str
    title: str
    find_files: Callable[[Path], list[Path]]
    convert: Callable[..., Recording | ResponseRecording]
    list_sessions: Callable[..., Sequence[RemoteSession]] | None = None
    download: Callable[[RemoteSession, Path, DownloadProgress], Path] | None = None
    measure: Callable[[RemoteSession, Path], int | None] | None = None
    find_addresses: Callable[[str], Sequence[Path | str]] | None = None
    query_settings: Mapping[str, Setting] = field(default_factory=dict)
    convert_settings: Mapping[str, Setting] = field(default_factory=dict)
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    num_recordings: int | None = None
    num_units: int | None = None
    num_spikes: int | None = None
    notes: tuple[str, ...] = ()
