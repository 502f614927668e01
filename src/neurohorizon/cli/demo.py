"""``neurohorizon demo``: the whole way, from a simulated world to a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurohorizon.cli._progress import StageProgress

if TYPE_CHECKING:
    from neurohorizon.configs.load import LoadedConfig


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
    from neurohorizon.configs.load import load_config
    from neurohorizon.configs.run_evaluation import evaluate_run
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER, load_run_results
    from neurohorizon.report.tables import format_scores

    started = time.monotonic()
    loaded = load_config("demo", overrides, folder=out)
    folder, command_line = loaded.config.run.folder, ["neurohorizon", *sys.argv[1:]]
    with StageProgress() as progress:
        progress.say(f"1/3 train on simulated sessions, into {folder}")
        _train(loaded, progress)
        progress.say("2/3 score held-out sessions beside every baseline and the ideal observer")
        evaluate_run(folder, command_line=command_line, progress=progress)
        progress.say("3/3 draw the report")
        page = report_run(folder, command_line=command_line, progress=progress)
    print(format_scores(load_run_results(folder / RESULTS_FOLDER).first.rows))
    say_end(page, started)


def decode(*overrides: str, out: Path | None = None, max_steps: int = 200) -> None:
    """Simulate reaches, train POYO, score it beside simple decoders, and report.

    Velocity of the hand is decoded from spikes in four sessions, and in two more whose units
    the model has never met: from minutes of them it learns who they are.

    Parameters
    ----------
    overrides
        key=value on top of the recipe `demo-decode`, such as data.num_sessions=8.
    out
        Folder of the run; runs/demo-decode by default.
    max_steps
        Steps of each adaptation to a held-out session.
    """
    from neurohorizon.cli.report import report_decoder
    from neurohorizon.configs.load import load_trained
    from neurohorizon.configs.run_decoder_adaptation import (
        load_few_shot,
        score_decoder_few_shot,
    )
    from neurohorizon.configs.run_decoding import evaluate_decoder, load_results
    from neurohorizon.report.decoding_tables import format_decoding

    started = time.monotonic()
    loaded = load_trained("demo-decode", overrides, folder=out)
    folder = loaded.config.run.folder
    with StageProgress() as progress:
        progress.say(f"1/4 train on simulated sessions, into {folder}")
        _train(loaded, progress)
        progress.say("2/4 score later blocks of these sessions beside simple decoders")
        evaluate_decoder(folder, progress=progress)
        progress.say("3/4 take it to held-out sessions, with minutes of them")
        score_decoder_few_shot(folder, from_scratch=True, max_steps=max_steps, progress=progress)
        progress.say("4/4 draw the report")
        page = report_decoder(folder, progress=progress)
    for result in (*load_results(folder).values(), load_few_shot(folder)):
        if result is not None:
            print(format_decoding(result))
    say_end(page, started)


def _train(loaded: LoadedConfig[Any], progress: StageProgress) -> None:
    from neurohorizon.cli.train import epoch_line
    from neurohorizon.configs.runs import train_run

    def say_epoch(row: Mapping[str, float]) -> None:
        progress.say(epoch_line(row, loaded.config.training.max_epochs))

    command_line = ["neurohorizon", *sys.argv[1:]]
    train_run(loaded, resume=True, command_line=command_line, progress=progress, on_epoch=say_epoch)


def say_end(page: Path, started: float) -> None:
    """Print how long a demo took, and where its page is."""
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes")
    print(f"open the report: {page}")
