"""Score what a run folder holds: its model, if any, beside every baseline, into its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from neurohorizon.configs.build import protocol
from neurohorizon.configs.data_schema import SimulatedData
from neurohorizon.configs.records import Run, load_run, open_run_sessions
from neurohorizon.configs.run_folders import alone_in_run
from neurohorizon.configs.schema import ObserverConfig
from neurohorizon.configs.sessions import Progress
from neurohorizon.errors import ConfigError, NeuroHorizonError
from neurohorizon.evaluation.baselines.training import Baseline
from neurohorizon.evaluation.run_results import RESULTS_FOLDER, SET_NAMES, SetName
from neurohorizon.evaluation.run_scoring import ObserverPlan, score_run
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.weights_file import model_checksum
from neurohorizon.recordings.conditions import Modality
from neurohorizon.recordings.schema import Recording
from neurohorizon.simulate.truth import load_truth

#: Says that a run folder holds no model: its baselines are scored alone.
BASELINES_FILE = "baselines.json"


def evaluate_run(
    run: Path,
    *,
    reference_s: float | None = None,
    observer: bool | None = None,
    sets: Sequence[SetName] = SET_NAMES,
    recordings: Path | None = None,
    again: bool = False,
    baselines: Sequence[Baseline] | None = None,
    shared: Path | None = None,
    without: Mapping[Modality, Path] | None = None,
    command_line: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[str]:
    """Score a run folder into its results, as its configuration says.

    Parameters
    ----------
    run : Path
        Run folder.
    reference_s : float, optional
        Another length of the reference, in seconds.
    observer : bool, optional
        Also score the ideal observer of a simulated world; as configured by default.
    sets : sequence of {"held-out", "later"}
    recordings : Path, optional
        Where the run's recordings lie now, if they were moved.
    again : bool
        Compute what is there already, too.
    baselines : sequence of Baseline, optional
        Fitted ones of the same training recordings, which spare fitting them again.
    shared : Path, optional
        Folder for the baselines' scores, which several runs share.
    without : mapping of {"behavior", "images"} to Path, optional
        Runs that were trained on the same data without a condition: what it is worth by
        retraining joins what it is worth by permuting and withholding.
    command_line : sequence of str
        Kept with the results.
    progress : callable, optional
        Called with (what is being done, steps done, steps in all).

    Returns
    -------
    list of str
        What was computed, by the name of its folder; empty if all of it was there.

    Raises
    ------
    ConfigError
        If the observer is asked for and the recordings were not simulated.
    NeuroHorizonError
        If the run or its recordings cannot be used.
    """
    if shared is not None and shared.exists() and not shared.is_dir():
        raise ConfigError(f"{shared}: not a folder: give one for the baselines' scores")
    record = load_run(run)
    config, simulated = record.config, isinstance(record.config.data, SimulatedData)
    if observer and not simulated:
        raise ConfigError(
            f"{run}: the ideal observer knows simulated sessions only: leave out --observer"
        )
    alone = (run / BASELINES_FILE).is_file()
    # Before it is loaded: a training may still replace it.
    before = model_checksum(run)
    forecaster = None if alone else TrainedForecaster.load(run)
    sessions = open_run_sessions(record, recordings=recordings)
    plan = config.evaluation.observer or (ObserverConfig() if observer else None)
    truths = {}
    if simulated:
        every = (*sessions.training, *sessions.held_out)
        truths = {each.recording.id: partial(load_truth, each.path) for each in every}
    observed = None if observer is False or plan is None else ObserverPlan(**plan.model_dump())
    with alone_in_run(run, busy="evaluating"):
        return score_run(
            run / RESULTS_FOLDER,
            forecaster=forecaster,
            training=[session.recording for session in sessions.training],
            held_out=[session.recording for session in sessions.held_out],
            protocol=protocol(config),
            reference_s=reference_s,
            sets=sets,
            truths=truths,
            observer=observed,
            baselines=baselines,
            shared=shared,
            trained_without=_trained_without(record, without or {}),
            model_checksum=before,
            command_line=command_line,
            again=again,
            progress=progress,
        )


def _trained_without(
    record: Run, without: Mapping[Modality, Path]
) -> dict[Modality, TrainedForecaster]:
    """Load runs that differ from a run by a condition that they were not given.

    Raises
    ------
    ConfigError
        If one reads the condition, or the run does not, or they differ in data or windows.
    """
    spec, found = record.config.window_spec(), {}
    for modality, run in without.items():
        other = load_run(run).config
        if not getattr(spec.conditions, modality):
            raise ConfigError(f"the run itself reads no {modality}: nothing is lost without")
        if getattr(other.window_spec().conditions, modality):
            raise ConfigError(f"{run}: was trained with {modality}: name one that was not")
        if other.data != record.config.data or other.window_spec().geometry != spec.geometry:
            raise ConfigError(
                f"{run}: was trained on other data, or with another window: train it with "
                f"nothing but conditions.{modality} changed"
            )
        found[modality] = TrainedForecaster.load(run)
    return found


def recordings_at_hand(run: Path) -> list[Recording]:
    """Return a run's recordings, held-out ones first; none if they cannot be opened here."""
    try:
        sessions = open_run_sessions(load_run(run), verify=False)
    except NeuroHorizonError:
        return []  # a report is drawn from the results: the recordings may be elsewhere by now
    return [each.recording for each in (*sessions.held_out, *sessions.training)]
