"""``neurohorizon evaluate``: score a run's model beside every baseline."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress

if TYPE_CHECKING:
    from neurohorizon.evaluation.baselines.training import Baseline
    from neurohorizon.evaluation.run_results import SetName

Progress = Callable[[str, int, int], None]


def evaluate(
    run: Path,
    /,
    *,
    reference_s: float | None = None,
    observer: bool | None = None,
    set: Literal["held-out", "later"] | None = None,
    recordings: Path | None = None,
    again: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Score a run's model beside every baseline.

    The baselines are fitted on the run's training recordings; all rows are scored on the
    same windows, against the same null: on the sessions that were held out, from a
    reference of some seconds and without a gradient step, and on later time of the training
    sessions. Results lie in RUN/results; what is there already is skipped.

    Parameters
    ----------
    run
        Run folder.
    reference_s
        Score with another length of the reference, in seconds, beside the run's own.
    observer
        Also score the ideal observer of a simulated world, which takes minutes; as the run's
        configuration says by default.
    set
        Score only held-out sessions, or only later time; both by default.
    recordings
        Where the run's recordings lie now, if they were moved.
    again
        Compute what is there already, too.
    """
    from neurohorizon.evaluation.run_results import load_run_results
    from neurohorizon.report.tables import format_scores

    with StageProgress() as progress:
        computed = evaluate_run(
            run,
            reference_s=reference_s,
            observer=observer,
            sets=("held-out", "later") if set is None else (set,),
            recordings=recordings,
            again=again,
            command_line=["neurohorizon", *sys.argv[1:]],
            progress=progress,
        )
    results = load_run_results(run / "results")
    for of_set in results.sets.values():
        if set is None or of_set.name == set:
            shown = of_set.rows if reference_s is None else of_set.by_reference[reference_s]
            print(format_scores(shown))
    print(f"computed {', '.join(computed)}" if computed else "all was there already")
    print(f"results in {run / 'results'}")
    print(f"next: neurohorizon report {run}")


def evaluate_run(
    run: Path,
    *,
    reference_s: float | None = None,
    observer: bool | None = None,
    sets: Sequence[SetName] = ("held-out", "later"),
    recordings: Path | None = None,
    again: bool = False,
    baselines: Sequence[Baseline] | None = None,
    command_line: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[str]:
    """Score a run folder into its results; return what was computed.

    Fitted `baselines` of the same training recordings spare fitting them again.
    """
    from neurohorizon.configs.build import protocol
    from neurohorizon.configs.records import checksum, load_run, open_run_sessions
    from neurohorizon.configs.schema import ObserverConfig, SimulatedData
    from neurohorizon.errors import ConfigError
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER
    from neurohorizon.evaluation.run_scoring import ObserverPlan, score_run
    from neurohorizon.models.checkpoint import MODEL_FILE
    from neurohorizon.models.forecasting import TrainedForecaster
    from neurohorizon.simulate.recordings import load_truth

    record = load_run(run)
    config, simulated = record.config, isinstance(record.config.data, SimulatedData)
    if observer and not simulated:
        raise ConfigError(
            f"{run}: the ideal observer knows simulated sessions only: leave out --observer"
        )
    forecaster = TrainedForecaster.load(run)
    sessions = open_run_sessions(record, recordings=recordings)
    plan = config.evaluation.observer or (ObserverConfig() if observer else None)
    truths = {}
    if simulated:
        every = (*sessions.training, *sessions.held_out)
        truths = {each.recording.id: partial(load_truth, each.path) for each in every}
    return score_run(
        run / RESULTS_FOLDER,
        forecaster=forecaster,
        training=[session.recording for session in sessions.training],
        held_out=[session.recording for session in sessions.held_out],
        protocol=protocol(config),
        reference_s=reference_s,
        sets=sets,
        truths=truths,
        observer=None if observer is False or plan is None else ObserverPlan(**plan.model_dump()),
        baselines=baselines,
        model_checksum=checksum(run / MODEL_FILE),
        command_line=command_line,
        again=again,
        progress=progress,
    )
