"""``neurohorizon data fetch``: from a public data set to recordings that can be trained on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress
from neurohorizon.cli.data_prepare import FAILED, tell

if TYPE_CHECKING:
    from neurohorizon.sources.fetch import FetchPlan


def fetch(
    source: str,
    *settings: str,
    out: Path | None = None,
    num_sessions: int | None = None,
    sessions: str | None = None,
    cache: Path | None = None,
    max_gb: float | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    download_only: Annotated[bool, Parameter(negative=())] = False,
    split: str = "time",
    guard_s: float = 1.5,
    jobs: int = 1,
) -> int:
    """Download sessions of a public data set and make recordings of them.

    Downloads are resumed, checked and kept in a cache; what is there is not downloaded
    again. A session that fails is named and passed by: give the command again for what is
    missing. Recordings are made as by ``neurohorizon data prepare``.

    Parameters
    ----------
    source
        Name of the data set, as ``neurohorizon data list`` shows it.
    settings
        name=value: which sessions, and how they are converted (``neurohorizon data card
        SOURCE`` lists them).
    out
        Folder for the recordings; data/SOURCE by default.
    num_sessions
        So many sessions, the first of the listing; all by default.
    sessions
        Only these sessions, separated by commas.
    cache
        Folder for the downloads; by default SOURCE in NEUROHORIZON_CACHE, or in
        ~/.cache/neurohorizon.
    max_gb
        Gigabytes that may be downloaded; more is refused before anything is downloaded.
    dry_run
        Print sessions and sizes, download nothing.
    download_only
        Download, make no recordings.
    split
        ``time``, ``interleaved`` or ``TABLE.COLUMN``, as for ``prepare``.
    guard_s
        Seconds left out between the parts: at least context + horizon.
    jobs
        Recordings that are made at the same time.
    """
    from neurohorizon.sources.catalogue import find_source
    from neurohorizon.sources.fetch import fetch as download
    from neurohorizon.sources.fetch import format_bytes, plan_fetch
    from neurohorizon.sources.prepare import prepare
    from neurohorizon.sources.settings import read_settings
    from neurohorizon.sources.split_plan import SplitPlan

    found = find_source(source)
    query, chosen = read_settings(found, settings)
    split_plan = SplitPlan(split, guard_s=guard_s)  # refused before anything is downloaded
    with StageProgress() as progress:
        plan = plan_fetch(
            found,
            cache or cache_folder() / found.name,
            num_sessions=num_sessions,
            ids=sessions.split(",") if sessions else (),
            settings=query,
            max_gb=max_gb,
            progress=lambda done, total, name: progress("asking for sizes", done, total, name),
        )
    if dry_run:
        print_plan(plan)
        return 0
    with StageProgress() as progress:
        fetched = download(
            plan,
            progress=lambda done, total, name: progress(
                f"fetching {source} (kB)", done // 1000, total // 1000, name
            ),
        )
    for line in fetched.failed.values():
        print("error:", line, file=sys.stderr)
    print(
        f"{plan.folder}: {len(fetched.paths)} sessions ({len(plan.there)} were there already), "
        f"{len(fetched.failed)} failed, {format_bytes(plan.num_bytes)} asked for"
    )
    inputs = [path for paths in fetched.paths.values() for path in paths]
    if download_only or not inputs:
        return FAILED if fetched.failed else 0
    with StageProgress() as progress:
        made = prepare(
            found,
            plan.folder,
            out or Path("data") / found.name,
            inputs=inputs,
            split=split_plan,
            settings=chosen,
            num_workers=jobs,
            progress=lambda done, total, name: progress(f"preparing {source}", done, total, name),
        )
    return tell(made, found) or (FAILED if fetched.failed else 0)


def print_plan(plan: FetchPlan) -> None:
    """Print sessions and sizes of a fetch."""
    from neurohorizon.sources.fetch import format_bytes

    there = {session.id for session in plan.there}
    every = [*plan.there, *plan.missing]
    width = max(len(session.id) for session in every)
    for session in every:
        size = "size unknown" if session.num_bytes is None else format_bytes(session.num_bytes)
        about = "  ".join(session.about.values())
        state = "there already" if session.id in there else size
        print(f"{session.id:<{width}}  {state:>13}  {about}".rstrip())
    unknown = f", and {plan.num_unknown} of unknown size" if plan.num_unknown else ""
    print(
        f"{len(every)} sessions, {len(plan.missing)} to download: "
        f"{format_bytes(plan.num_bytes)}{unknown}, into {plan.folder}"
    )
    plan.require_room()


def cache_folder() -> Path:
    """Return the folder in which downloads are kept."""
    if chosen := os.environ.get("NEUROHORIZON_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurohorizon"
