"""All rows, in the order of tables, with their default settings."""

from __future__ import annotations

from collections.abc import Sequence

from neurohorizon.evaluation.baselines.constant import Mean, OracleMean, ReferenceRate
from neurohorizon.evaluation.baselines.features import (
    AdapterForecast,
    OwnTraces,
    PopulationRate,
    PrivateTraces,
    RecentWindows,
    RegressionForecast,
    TuningForecast,
    UnitAmount,
)
from neurohorizon.evaluation.baselines.poisson_rows import PoissonRow, fit_together
from neurohorizon.evaluation.baselines.population import PopulationRegression
from neurohorizon.evaluation.baselines.psth import TrialAverage
from neurohorizon.evaluation.baselines.recent import LastWindow, Shrinkage
from neurohorizon.evaluation.baselines.training import Baseline, Progress, TrainingSession


def fit_ladder(
    training: Sequence[TrainingSession],
    *,
    progress: Progress | None = None,
    seed: int = 0,
) -> list[Baseline]:
    """Fit every baseline.

    Parameters
    ----------
    training : sequence of TrainingSession
        From :func:`~neurohorizon.evaluation.baselines.training.prepare_training`.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.
    seed : int

    Returns
    -------
    list of Baseline
        From the null to the strongest; the PSTH only if a training recording has trials, the
        stack with conditions only if windows have any; the cheat last.
    """
    traces, adapter = OwnTraces(), AdapterForecast()
    ridge = RegressionForecast(PopulationRegression(low_rank=False))
    reduced_rank = RegressionForecast(PopulationRegression(low_rank=True))
    everything = [traces, RecentWindows(), PopulationRate(), UnitAmount()]
    everything += [adapter, PrivateTraces(), ridge, reduced_rank]
    simple: list[Baseline] = [Mean(), ReferenceRate(), LastWindow(), Shrinkage()]
    if any("trials" in session.recording.tables for session in training):
        simple.append(TrialAverage())
    regressions = [
        PoissonRow("traces", [traces], seed=seed),
        PoissonRow("traces + adapter", [traces, adapter], seed=seed),
        PoissonRow("ridge", [traces, ridge], seed=seed),
        PoissonRow("reduced rank", [traces, reduced_rank], seed=seed),
        PoissonRow("stack", everything, seed=seed),
    ]
    if training and training[0].protocol.spec.conditions:
        known = [*everything, TuningForecast()]
        regressions.append(PoissonRow("stack + conditions", known, seed=seed))
    for index, baseline in enumerate(simple):
        if progress is not None:
            progress("baselines: constant and recent rates", index, len(simple))
        baseline.fit(training)
    fit_together(regressions, training, progress=progress)
    return [*simple, *regressions, OracleMean()]
