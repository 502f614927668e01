"""``neurohorizon data validate``: what is wrong with recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurohorizon.cli._progress import StageProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neurohorizon.recordings.survey import Surveyed

FAILED = 2


def validate(path: Path, *, out: Path | None = None) -> int:
    """Say what is wrong, or strange, with recordings.

    Prints every finding and, for several recordings, a table. Exits with 2 if any of them
    has an error.

    Parameters
    ----------
    path
        A recording, or a folder of recordings.
    out
        Also write all of it to this ``.json`` file.
    """
    from neurohorizon.errors import ConfigError
    from neurohorizon.ops.files import write_json
    from neurohorizon.recordings.store import list_recordings
    from neurohorizon.recordings.survey import survey, survey_record

    if out is not None and out.suffix != ".json":
        raise ConfigError(f"--out {out}: a report is a .json file")
    files = list_recordings(path)
    with StageProgress() as progress:
        rows = survey(files, progress=lambda *step: progress("validating", *step))
    for file, row in zip(files, rows, strict=True):
        for finding in row.findings:
            print(finding)
        if not row.findings:
            print(f"ok: {file}")
    record = survey_record(rows)
    if len(rows) > 1:
        print_table(rows)
        print(
            f"{record['recordings']} recordings, {record['subjects']} subjects, "
            f"{record['units']:,} units, {record['spikes']:,} spikes, {record['hours']:.1f} hours, "
            f"{record['presentations']:,} presentations; "
            f"{record['findings']['error']} errors, {record['findings']['warning']} warnings"
        )
    if out is not None:
        write_json(out, record)
        print(out)
    return FAILED if record["findings"]["error"] else 0


def print_table(rows: Sequence[Surveyed]) -> None:
    """Print one line a recording."""
    heading = (
        "recording",
        "units",
        "spikes",
        "presentations",
        "minutes",
        "areas",
        "errors",
        "warnings",
    )
    lines = [heading] + [
        (
            row.id or row.file,
            f"{row.num_units:,}",
            f"{row.num_spikes:,}",
            f"{row.num_presentations:,}",
            f"{row.duration_s / 60:.1f}",
            str(len(set(row.units_by_area) - {"unknown"})),
            str(row.count("error")),
            str(row.count("warning")),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    for name, *numbers in lines:
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *cells]))
