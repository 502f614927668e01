"""``neurohorizon features``: what a reference says about each unit, as a table."""

from __future__ import annotations

import sys
from pathlib import Path

from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.feature_table import write_feature_table
from neurohorizon.recordings.store import list_recordings, open_recording


def features(path: Path, *, reference_s: float = 120.0, out: Path | None = None) -> None:
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
    """
    recordings = (open_recording(file) for file in list_recordings(path))
    if out is None:
        write_feature_table(recordings, sys.stdout, reference_s=reference_s)
        return
    with (
        atomic_path(out) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        num_units = write_feature_table(recordings, file, reference_s=reference_s)
    print(f"{out}: {num_units} units")
