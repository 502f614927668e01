"""Rewriting a prepared recording in its own place, with something added to it."""

from __future__ import annotations

from pathlib import Path

import h5py

from neurohorizon.errors import DataError
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.responses_store import write_responses
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.store import write_recording
from neurohorizon.sources.manifest import update_manifest


def rewrite(recording: Recording | ResponseRecording, file: Path) -> None:
    """Replace a recording's file by what it was opened as and then changed to.

    The manifest of its folder follows, so that preparing again still finds it done. Keep
    others from preparing meanwhile with :func:`neurohorizon.sources.lock.alone_in`.

    Parameters
    ----------
    recording : Recording or ResponseRecording
        May hold memory maps of `file`.
    file : Path

    Raises
    ------
    DataError
        If it cannot be written, or arrays that another program put there would be lost;
        the file is then as it was.
    """
    with atomic_path(file) as temporary:
        try:
            if isinstance(recording, ResponseRecording):
                write_responses(recording, temporary)
            else:
                write_recording(recording, temporary)
        except DataError as error:
            # Named after the place that the person knows.
            raise DataError(str(error).replace(str(temporary), str(file))) from error
        lost = sorted(_arrays(file) - _arrays(temporary))
        if lost:
            raise DataError(
                f"{file}: not written by this package: {len(lost)} of its arrays would be lost "
                f"({lost[0]}, ...); make a recording of it with `neurohorizon data prepare` first"
            )
    update_manifest(file.parent, [file.name])


def _arrays(file: Path) -> set[str]:
    names: set[str] = set()
    with h5py.File(file, "r") as opened:
        opened.visititems(
            lambda name, item: names.add(name) if isinstance(item, h5py.Dataset) else None
        )
    return names
