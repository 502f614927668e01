"""``neurohorizon features``: what a reference says about each unit, as a table."""

from __future__ import annotations

import sys
from pathlib import Path

from neurohorizon.errors import ConfigError
from neurohorizon.ops.files import atomic_path, write_json
from neurohorizon.recordings.feature_table import feature_statistics, write_feature_table
from neurohorizon.recordings.store import list_recordings, open_recording


def features(
    path: Path,
    *,
    reference_s: float = 120.0,
    out: Path | None = None,
    statistics: Path | None = None,
    leave_out: str | None = None,
) -> None:
    """Write the 33 reference features of every unit as CSV.

    They are raw values; a model sees them standardised with the statistics of its training
    recordings.

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
    """
    if out is not None and statistics is not None:
        raise ConfigError("--out and --statistics: one file a call; give one of them")
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
