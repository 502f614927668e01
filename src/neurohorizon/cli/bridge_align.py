"""``neurohorizon bridge align``: tune and fit bridges from responses to pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress


def align(
    recipe: str,
    /,
    *overrides: str,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Tune and fit bridges from responses to the space of pictures, every row of the ladder.

    Settings of each row are tried on held-out training pictures, as many for every row. A
    finished run is skipped, so the same command can be given again.

    Parameters
    ----------
    recipe
        Name of a recipe of bridges (`neurohorizon config list`) or path of a .yaml file.
    overrides
        key=value, such as data.bank=banks/layout.npz (`neurohorizon config explain RECIPE` shows
        the keys).
    out
        Folder of the run; runs/NAME by default.
    resume
        Go on with an unfinished run: rows that are fitted are kept.
    dry_run
        Check everything, say what would be done, and write nothing.
    """
    from neurohorizon.configs.bridge_sessions import open_bridge_sessions
    from neurohorizon.configs.load import load_bridges
    from neurohorizon.configs.run_bridges import align_run, check_parts

    loaded = load_bridges(recipe, overrides, folder=out)
    config = loaded.config
    if dry_run:
        found = open_bridge_sessions(config)
        parts = check_parts(config, config.run.folder, found)
        for session in found.sessions:
            pairs = session.pairs
            print(
                f"{pairs.id}: {pairs.num_units} units, {session.num_training} pictures to "
                f"train on, {sum(pairs.part == 'test')} to test on"
            )
            for note in session.notes:
                print(f"{pairs.id}: {note}")
        print(f"{found.num_alike} pictures look like another one, which is on their side")
        print(f"would fit {len(parts)} rows into {config.run.folder}")
        return
    with StageProgress() as progress:
        progress.say(f"run folder: {config.run.folder}")
        outcome = align_run(
            loaded,
            resume=resume,
            command_line=["neurohorizon", *sys.argv[1:]],
            progress=progress,
        )
    if outcome == "skipped":
        print(f"{config.run.folder}: is fitted already")
    print(f"next: neurohorizon bridge retrieve {config.run.folder}")
