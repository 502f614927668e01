"""``neurohorizon features``: what a reference says about each unit, as a table."""

from __future__ import annotations

import sys
from pathlib import Path

from neurohorizon.errors import ConfigError
from neurohorizon.ops.files import atomic_path, write_json
from neurohorizon.recordings.feature_table import (
    FEATURES_S,
    feature_statistics,
    with_features,
    write_feature_table,
)
from neurohorizon.recordings.store import list_recordings, open_recording
from neurohorizon.sources.lock import alone_in
from neurohorizon.sources.rewrite import rewrite


def features(
    path: Path,
    *,
    reference_s: float = 120.0,
    out: Path | None = None,
    statistics: Path | None = None,
    leave_out: str | None = None,
    store: bool = False,
) -> None:
    """Compute the 33 reference features of every unit.

    As CSV, as statistics over a training set, or in the files. They are raw values; a model
    sees them standardised with the statistics of its training recordings. `data prepare`
    leaves those of 120 s in every recording.

    Parameters
    ----------
    path
        A recording (.h5) or a folder of them.
    reference_s
        Seconds to read: the last ones before the test domain, or the first ones of a
        recording without a split.
    out
        CSV file; the terminal by default.
    statistics
        Write mean and deviation of each feature to this .json file instead, with the
        recordings and the split that they come from.
    leave_out
        Ids of recordings that are not of the training set, separated by commas.
    store
        Put them into the recordings themselves (units/reference_features), in place of those
        of another length.
    """
    if (out is not None) + (statistics is not None) + store > 1:
        raise ConfigError("--out, --statistics and --store: give one of them a call")
    if store and leave_out:
        raise ConfigError("--leave-out with --store: every recording keeps its own features")
    if store:
        _store(path, reference_s)
        return
    left_out = set(leave_out.split(",") if leave_out else ())
    opened = [open_recording(file) for file in list_recordings(path)]
    if unknown := left_out - {recording.id for recording in opened}:
        raise ConfigError(f"--leave-out {', '.join(sorted(unknown))}: no recording of this id")
    recordings = [recording for recording in opened if recording.id not in left_out]
    if statistics is not None:
        found = feature_statistics(recordings, reference_s=reference_s)
        write_json(statistics, found)
        print(f"{statistics}: {found['num_units']} units of {found['num_recordings']} recordings")
        return
    if out is None:
        write_feature_table(recordings, sys.stdout, reference_s=reference_s)
        return
    with (
        atomic_path(out) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        num_units = write_feature_table(recordings, file, reference_s=reference_s)
    print(f"{out}: {num_units} units")


def _store(path: Path, reference_s: float) -> None:
    files = list_recordings(path)
    with alone_in(files[0].parent):
        for file in files:
            recording = with_features(open_recording(file), reference_s=reference_s)
            rewrite(recording, file)
            read_s = recording.metadata[FEATURES_S]
            print(f"{file}: features of {recording.num_units} units, from {read_s} s")
