"""``neurohorizon bridge pretrain``: learn from responses alone, saying what is hidden of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress


def pretrain(
    recipe: str,
    /,
    *overrides: str,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Pretrain a Perceiver on responses alone: it learns to say electrodes that are hidden from it.

    Bridges can start from it (`model.pretrained` of `neurohorizon bridge align`). Only responses to
    training pictures are read. What it says of hidden responses is scored on training pictures
    that it did not learn from, beside ridge regressions of each electrode on the others. A
    finished run is skipped, so the same command can be given again.

    Parameters
    ----------
    recipe
        Name of a recipe of masked pretraining (`neurohorizon config list`) or path of a .yaml
        file.
    overrides
        key=value, such as masks.kind=whole_region (`neurohorizon config explain RECIPE` shows the
        keys).
    out
        Folder of the run; runs/NAME by default.
    resume
        Go on with an unfinished run: recordings that are done are kept.
    dry_run
        Check everything, say what would be done, and write nothing.
    """
    from neurohorizon.configs.bridge_sessions import open_bridge_sessions
    from neurohorizon.configs.load import load_pretraining
    from neurohorizon.configs.run_masked import check_sessions, pretrain_run, read_scores
    from neurohorizon.report.filling_table import format_filling

    loaded = load_pretraining(recipe, overrides, folder=out)
    config = loaded.config
    if dry_run:
        found = open_bridge_sessions(config)
        check_sessions(config, found)
        for session in found.sessions:
            print(
                f"{session.pairs.id}: {session.pairs.num_units} units, {session.num_training} "
                "pictures to learn from"
            )
            for note in session.notes:
                print(f"{session.pairs.id}: {note}")
        print(f"would pretrain {len(found.sessions)} models into {config.run.folder}")
        return
    with StageProgress() as progress:
        progress.say(f"run folder: {config.run.folder}")
        outcome = pretrain_run(
            loaded,
            resume=resume,
            command_line=["neurohorizon", *sys.argv[1:]],
            progress=progress,
        )
    if outcome == "skipped":
        print(f"{config.run.folder}: is trained already")
    print(format_filling(read_scores(config.run.folder)))
    rows = "[Perceiver, 'Perceiver, pretrained']"
    print(
        f"next: neurohorizon bridge align RECIPE model.pretrained={config.run.folder} "
        f'"model.rows={rows}"'
    )
