"""Recordings on disk: HDF5 in torch_brain's format.

Files are written through torch_brain's own ``Data``, so that every torch_brain user can
open ours; they are read with h5py alone, so that any torch_brain or brainsets file opens
and that reading one costs no import of torch_brain.

Where things lie in a file::

    spikes/{timestamps, unit_index}         IrregularTimeSeries
    units/{id, area, position_um, quality, <column>, ...}  ArrayDict
    <series>/{timestamps, values}           a behavioural series "<series>"
    <group>/{timestamps, pos, vel}          series "<group>.pos" and "<group>.vel"
    <table>/{start, end, ...}               trials, stimuli: Interval (ArrayDict if unsorted)
    embeddings/<name>/presentations/{start, end, row}      what was shown when: Interval
    embeddings/<name>/images/{vector, hash} embeddings of what was shown, one row a picture
    {train,valid,test}_domain/{start, end}  the split
    domain/{start, end}                     when the recording ran
    session, subject, brainset              descriptions with an id
    metadata, series_unit, split            attributes

Spikes of an uncompressed file come back as memory maps. Pickling a memory map copies its
values; a worker process that is spawned rather than forked should be handed the path and
open the recording itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.ops.blocks import blocks
from neurohorizon.ops.files import atomic_path, require_readable
from neurohorizon.recordings.hdf5_file import create_hdf5
from neurohorizon.recordings.hdf5_read import read_recording
from neurohorizon.recordings.hdf5_write import to_torch_brain
from neurohorizon.recordings.schema import Recording


def list_recordings(path: Path | str) -> list[Path]:
    """List the recording files at a path.

    Parameters
    ----------
    path : path
        A folder, or one file.

    Returns
    -------
    list of Path
        The folder's ``*.h5`` files in the order of their names, or the file itself.

    Raises
    ------
    DataError
        If there is no such path, or no recording in the folder.
    """
    path = Path(path)
    if path.is_dir():
        require_readable(path)
        files = sorted(file for file in path.glob("*.h5") if not file.name.startswith("."))
        if not files:
            raise DataError(
                f"{path}: the folder holds no recordings (*.h5): "
                "make some with `neurohorizon data prepare`"
            )
        return files
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    return [path]


def open_recording(path: Path | str, *, check: bool = True) -> Recording:
    """Open a recording; its spikes stay on disk where the file allows it.

    Parameters
    ----------
    path : path
        An HDF5 file in torch_brain's format, written by this package or by any other.
    check : bool
        Refuse spikes that are unsorted, not finite, before time 0 or of a unit that the
        file does not have. Only validation has a reason to look at such a file.

    Returns
    -------
    Recording
        Spike times and units are memory maps if they lie uncompressed in the file.

    Raises
    ------
    DataError
        If the file is missing, damaged, not HDF5, without spikes or units, or if the
        check fails.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        raise DataError(f"{path}: a folder, expected one recording file (.h5)")
    try:
        with h5py.File(path, "r") as file:
            recording = read_recording(file, path)
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {why_unreadable(path, error)}") from error
    if check:
        problem = spike_problem(recording)
        if problem:
            raise DataError(f"{path}: {problem}")
    return recording


def write_recording(recording: Recording, path: Path | str) -> Path:
    """Write a recording so that torch_brain and this package can open it.

    Parameters
    ----------
    recording : Recording
        Its spikes must be sorted, finite and of units that it has.
    path : path
        Where the file shall be; an existing one is replaced only once all is written.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    DataError
        If the recording cannot be written (spikes not usable, nothing in its domain, names
        that are not ASCII or taken), or if writing fails; nothing is left behind.
    """
    path = Path(path)
    problem = spike_problem(recording)
    if problem:
        raise DataError(f"{recording.id}: not written: {problem}")
    data = to_torch_brain(recording)
    try:
        with atomic_path(path) as temporary, create_hdf5(temporary) as file:
            data.to_hdf5(file)
    except (OSError, RuntimeError) as error:
        raise not_written(path, error) from error
    return path


def spike_problem(recording: Recording) -> str | None:
    """Say in one line what makes a recording's spikes unusable, if anything does."""
    times, units = recording.spike_times, recording.spike_unit_index
    if len(times) == 0:
        return None
    # Overlapping by one spike: the step between two blocks counts too.
    overlapping = [slice(rows.start, rows.stop + 1) for rows in blocks(len(times))]
    in_order = all(bool(np.all(times[rows][1:] >= times[rows][:-1])) for rows in overlapping)
    if not in_order or not np.isfinite(times[[0, -1]]).all():
        # Which of the two it is costs a second pass, paid only by a damaged file.
        bad = np.flatnonzero(~np.isfinite(times))
        if len(bad):
            return (
                f"{len(bad)} spike times are not finite (the first is spike {bad[0]}); "
                "leave these spikes out"
            )
        back = int(np.flatnonzero(times[1:] < times[:-1])[0]) + 1
        return (
            f"spike times are not sorted: spike {back} at {times[back]:.6f} s follows one at "
            f"{times[back - 1]:.6f} s; sort times and unit indices together"
        )
    if times[0] < 0:
        return f"spike times start at {times[0]:.6f} s, before 0; shift the session's clock"
    low, high = int(units.min()), int(units.max())
    if low < 0 or high >= recording.num_units:
        return (
            f"unit indices run from {low} to {high}, expected 0 to {recording.num_units - 1} "
            f"({recording.num_units} units); number units from 0, and list every one of them"
        )
    return None


def not_written(path: Path, error: OSError | RuntimeError) -> DataError:
    """Return what to tell of a file that could not be written."""
    code = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(code) if code else str(error).splitlines()[0]
    return DataError(
        f"{path}: could not be written ({reason}); nothing was left behind, "
        "check the free space and the permissions"
    )


def why_unreadable(path: Path, error: Exception) -> str:
    """Say in a few words what is wrong with a file that h5py cannot read."""
    text = str(error)
    if "truncated" in text:
        return "truncated HDF5 file; copy or download it again"
    if "signature not found" in text:
        return "not an HDF5 file; prepare a recording with `neurohorizon data prepare`"
    if isinstance(error, PermissionError):
        return "no permission to read the file"
    if not h5py.is_hdf5(path):
        return f"not a readable HDF5 file ({text.splitlines()[0] if text else error!r})"
    return f"damaged HDF5 file ({text.splitlines()[0] if text else error!r}); copy it again"
