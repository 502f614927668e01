"""``neurohorizon data``: list, card, fetch, prepare, validate and show recordings."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress

FAILED = 2


def list_sources() -> None:
    """List the public data sets and the formats that can be prepared.

    Examples
    --------
    ``neurohorizon data list``
    """
    from neurohorizon.sources.catalogue import DATA_SETS, FORMATS

    rows = [("data set", "recordings", "units", "licence", "what it is")]
    rows += [
        (
            source.name,
            str(source.num_recordings),
            str(source.num_units),
            source.licence,
            source.title,
        )
        for source in DATA_SETS
    ]
    rows += [(source.name, "", "", "", source.title) for source in FORMATS]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        left, *numbers, licence, title = row
        cells = [
            left.ljust(widths[0]),
            *(n.rjust(w) for n, w in zip(numbers, widths[1:3], strict=True)),
        ]
        print("  ".join([*cells, licence.ljust(widths[3]), title]))


def card(source: str) -> None:
    """Tell a data set's licence, citation, size and cautions.

    Parameters
    ----------
    source
        Name of the data set, as ``neurohorizon data list`` shows it.
    """
    from neurohorizon.sources.catalogue import find_source

    found = find_source(source)
    lines = [("name", found.name), ("title", found.title)]
    if found.remote_files:
        megabytes = sum(file.num_bytes for file in found.remote_files) / 1e6
        lines += [
            ("licence", found.licence),
            ("citation", found.citation),
            ("homepage", found.homepage),
            ("recordings", str(found.num_recordings)),
            ("units", str(found.num_units)),
            ("spikes", f"{found.num_spikes:,}"),
            ("download", f"{len(found.remote_files)} files, {megabytes:.1f} MB"),
        ]
    lines += [("note", note) for note in found.notes]
    for word, text in lines:
        print(f"{word:<12}{text}")


def fetch(source: str, *, out: Path) -> None:
    """Download a public data set; files that are already there are kept.

    Parameters
    ----------
    source
        Name of the data set, as ``neurohorizon data list`` shows it.
    out
        Folder for its files.
    """
    from neurohorizon.sources.catalogue import find_source
    from neurohorizon.sources.download import fetch as download

    found = find_source(source)
    with StageProgress() as progress:
        paths = download(
            found,
            out,
            progress=lambda done, total, name: progress(
                f"fetching {source} (kB)", done // 1000, total // 1000, name
            ),
        )
    print(f"{out}: {len(paths)} files; next: neurohorizon data prepare {source} {out} --out FOLDER")


def prepare(
    source: str,
    path: Path,
    *,
    out: Path,
    split: Literal["time", "interleaved"] = "time",
    guard_s: float = 1.5,
) -> int:
    """Make recordings of a data set, or of your own NWB or .npz files.

    Each recording is converted, split, validated and written to ``OUT/ID.h5``, beside a
    ``manifest.json`` of origin, groups to hold out, findings and checksums. What is done is
    skipped; a file that cannot be used is named, and stops nothing else.

    Parameters
    ----------
    source
        Name of a data set, or ``nwb`` or ``npz``.
    path
        Folder with the files, or one file.
    out
        Folder for the recordings.
    split
        ``time``: train, then validation, then test, for forecasting. ``interleaved``:
        blocks that take turns, for decoding.
    guard_s
        Seconds left out between the parts: at least context + horizon.
    """
    from neurohorizon.configs.load import recipes_for
    from neurohorizon.sources.catalogue import find_source
    from neurohorizon.sources.prepare import SplitPlan
    from neurohorizon.sources.prepare import prepare as prepare_files

    found = find_source(source)
    with StageProgress() as progress:
        made = prepare_files(
            found,
            path,
            out,
            split=SplitPlan(split, guard_s=guard_s),
            progress=lambda done, total, name: progress(f"preparing {source}", done, total, name),
        )
    for findings in made.findings.values():
        for finding in findings:
            if finding.severity == "warning":
                print(finding)
    for line in made.failed.values():
        print("error:", line, file=sys.stderr)
    num_made = len(made.written) + len(made.skipped)
    expected = f" of {found.num_recordings}" if found.num_recordings else ""
    print(
        f"{out}: {num_made}{expected} recordings ({len(made.skipped)} were there already), "
        f"{len(made.failed)} files failed"
    )
    if num_made:
        recordings = shlex.quote(f"data.recordings={out}")
        for number, recipe in enumerate(recipes_for(found.name)):
            word = "or" if number else "next"
            print(f"{word}: neurohorizon train {recipe} {recordings}")
    return FAILED if made.failed else 0


def validate(path: Path) -> int:
    """Say what is wrong, or strange, with recordings.

    Exits with 2 if any of them has an error.

    Parameters
    ----------
    path
        A recording, or a folder of recordings.
    """
    from neurohorizon.recordings.store import list_recordings
    from neurohorizon.recordings.validate import validate_file

    num_errors = 0
    for file in list_recordings(path):
        findings = validate_file(file)
        for finding in findings:
            print(finding)
        if not findings:
            print(f"ok: {file}")
        num_errors += any(finding.severity == "error" for finding in findings)
    return FAILED if num_errors else 0


def show(path: Path, *, out: Path | None = None) -> None:
    """Draw a recording's session card: rates, raster, violations, behaviour, split.

    Parameters
    ----------
    path
        A recording.
    out
        Figure to write, ``.png`` or ``.svg``; by default a PNG beside the recording.
    """
    from neurohorizon.recordings.store import open_recording
    from neurohorizon.report.session_card import compute_session_card, draw_session_card
    from neurohorizon.report.style import save_figure

    recording = open_recording(path)
    print(
        save_figure(
            draw_session_card(compute_session_card(recording)), out or path.with_suffix(".png")
        )
    )
