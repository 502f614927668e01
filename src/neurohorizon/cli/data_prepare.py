"""``neurohorizon data prepare``: from files to recordings."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neurohorizon.cli._progress import StageProgress

if TYPE_CHECKING:
    from neurohorizon.sources.prepare import Prepared
    from neurohorizon.sources.source import Source

FAILED = 2


def prepare(
    source: str,
    path: str,
    *settings: str,
    out: Path,
    split: str = "time",
    guard_s: float = 1.5,
    jobs: int = 1,
    launcher: Literal["processes", "ray"] = "processes",
) -> int:
    """Make recordings of a data set, or of your own files.

    Each recording is converted, split, validated and written to ``OUT/ID.h5``, beside a
    ``manifest.json`` of origin, groups to hold out, findings and checksums. What is done is
    skipped; a file that cannot be used is named, and stops nothing else.

    Parameters
    ----------
    source
        Name of a data set or format (``neurohorizon data list``).
    path
        Folder with the files, or one file. Format ``nwb`` and ``allen`` also read a URL
        (https, s3), ``dandi://000021/...`` or a DANDI asset id, without downloading it whole.
    settings
        name=value, such as min_units=10 (``neurohorizon data card SOURCE`` lists them).
    out
        Folder for the recordings.
    split
        ``time``: train, then validation, then test, for forecasting. ``interleaved``:
        blocks that take turns, for decoding. ``TABLE.COLUMN``, such as
        ``trials.split_indicator``: as a table of the recording says, a benchmark's own split.
    guard_s
        Seconds left out between the parts: at least context + horizon.
    jobs
        Recordings that are made at the same time.
    launcher
        Where: processes of this machine, or tasks of a Ray cluster.
    """
    from neurohorizon.sources.catalogue import find_source
    from neurohorizon.sources.prepare import prepare as prepare_files
    from neurohorizon.sources.settings import read_settings
    from neurohorizon.sources.split_plan import SplitPlan

    found = find_source(source)
    _, chosen = read_settings(found, settings)
    with StageProgress() as progress:
        made = prepare_files(
            found,
            path,
            out,
            split=SplitPlan(split, guard_s=guard_s),
            settings=chosen,
            num_workers=jobs,
            launcher=launcher,
            progress=lambda done, total, name: progress(f"preparing {source}", done, total, name),
        )
    return tell(made, found)


def tell(made: Prepared, source: Source) -> int:
    """Print what was made of which files, and the command that comes next."""
    from neurohorizon.configs.recipe_file import recipes_for
    from neurohorizon.recordings.responses_store import is_response_file

    for findings in made.findings.values():
        for finding in findings:
            if finding.severity == "warning":
                print(finding)
    for line in made.failed.values():
        print("error:", line, file=sys.stderr)
    num_made = len(made.written) + len(made.skipped)
    expected = f" of {source.num_recordings}" if source.num_recordings else ""
    print(
        f"{made.folder}: {num_made}{expected} recordings ({len(made.skipped)} were there already), "
        f"{len(made.failed)} files failed"
    )
    files = [*made.written, *made.skipped]
    if files and is_response_file(files[0]):
        print(f"next: neurohorizon data show {shlex.quote(str(files[0]))}")
    elif files:
        recordings = shlex.quote(f"data.recordings={made.folder}")
        for number, recipe in enumerate(recipes_for(source.name)):
            word = "or" if number else "next"
            print(f"{word}: neurohorizon train {recipe} {recordings}")
    return FAILED if made.failed else 0
