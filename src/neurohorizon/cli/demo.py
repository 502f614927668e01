"""``neurohorizon demo``: the whole way, from simulated spikes to a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from neurohorizon.cli._progress import StageProgress


def forecast(*overrides: str, out: Path | None = None) -> None:
    """Simulate a population, train a forecaster, score it beside every baseline, and report.

    Eight sessions are trained on and four held out. The page that comes of it shows how well
    the next second of every unit can be forecast in sessions the model has never seen,
    against the baseline ladder and against the best that is possible in that world.

    Parameters
    ----------
    overrides
        key=value on top of the recipe `demo`, such as data.num_held_out=2.
    out
        Folder of the run; runs/demo by default.
    """
    from neurohorizon.cli.report import report_run
    from neurohorizon.cli.train import epoch_line
    from neurohorizon.configs.load import load_config
    from neurohorizon.configs.run_evaluation import evaluate_run
    from neurohorizon.configs.runs import train_run
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER, load_run_results
    from neurohorizon.report.tables import format_scores

    started = time.monotonic()
    loaded = load_config("demo", overrides, folder=out)
    config, command_line = loaded.config, ["neurohorizon", *sys.argv[1:]]
    folder = config.run.folder
    with StageProgress() as progress:

        def say_epoch(row: Mapping[str, float]) -> None:
            progress.say(epoch_line(row, config.training.max_epochs))

        progress.say(f"1/3 train on simulated sessions, into {folder}")
        train_run(
            loaded, resume=True, command_line=command_line, progress=progress, on_epoch=say_epoch
        )
        progress.say("2/3 score held-out sessions beside every baseline and the ideal observer")
        evaluate_run(folder, command_line=command_line, progress=progress)
        progress.say("3/3 draw the report")
        page = report_run(folder, command_line=command_line, progress=progress)
    print(format_scores(load_run_results(folder / RESULTS_FOLDER).first.rows))
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes")
    print(f"open the report: {page}")
