"""What each region says of the picture, and when: a row of the ladder, fitted to a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.bridge_sessions import BridgeSession, BridgeSessions
from neurohorizon.configs.run_bridges import (
    Part,
    load_tuned,
    open_finished,
    parts_of_row,
)
from neurohorizon.configs.run_retrieval import case_of
from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.ceilings import has_trials, reliability
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.regions import WHOLE, Window, choose_regions
from neurohorizon.evaluation.retrieval.result_files import REGIONS, WINDOWS, save_retrieval
from neurohorizon.evaluation.retrieval.results import Direction, RetrievalResult, RetrievalRow
from neurohorizon.evaluation.run_results import RESULTS_FOLDER
from neurohorizon.recordings.pictured.pairs import PicturePairs
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.bridge.rows import ROWS
from neurohorizon.training.bridge.tuning import fit_tuned, tune

Progress = Callable[[str, int, int], None]
MATCHED_NOTE = "electrodes matched by reliability, which is of test trials"


def score_regions(
    folder: Path, row: RowName, *, num_draws: int = 5, progress: Progress | None = None
) -> RetrievalResult:
    """Fit a row to the electrodes of each region, and write ``results/regions``.

    Parameters
    ----------
    folder : path
        A finished run.
    row : str
        Of the run's; its settings are those that tuning found on all electrodes. Of a closed form
        the penalty is tuned anew with the run's budget, since it depends on how many there are.
    num_draws : int
        Of matched electrodes.
    progress : callable, optional

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the run has no such row, or its recordings no regions.
    """
    run, found = open_finished(folder)
    parts = parts_of_row(run.config, folder, found, row)
    better: dict[tuple[str, str, Direction], FloatArray] = {}
    cases = []
    for part in parts:
        session = part.session
        area = session.pairs.units.area
        chosen = choose_regions(area, _reliability(session), num_draws=num_draws)
        tasks = {WHOLE: [session.pairs]}
        for choice in chosen:
            tasks[choice.name] = [session.pairs.select_units(units) for units in choice.draws]
        better |= _score_parts(part, tasks, found, run.config, "regions", progress)
        matched = any("as reliable" in choice.name for choice in chosen)
        case = case_of(session)
        cases.append(replace(case, notes=(*case.notes, *[MATCHED_NOTE] * matched)))
    result = RetrievalResult(
        f"{run.config.run.name}: {row} by region", _rows(better), cases, better
    )
    save_retrieval(result, folder / RESULTS_FOLDER / REGIONS, named=WHOLE)
    return result


def score_windows(
    folder: Path, row: RowName, *, progress: Progress | None = None
) -> RetrievalResult:
    """Fit a row to single time bins, and to all until each, and write ``results/windows``.

    Of all electrodes, and of each region's alone.

    Parameters
    ----------
    folder : path
        A finished run of responses in time bins.
    row : str
        As of :func:`score_regions`.
    progress : callable, optional

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the run has no such row, or its recordings no bins.
    """
    run, found = open_finished(folder)
    better: dict[tuple[str, str, Direction], FloatArray] = {}
    parts = parts_of_row(run.config, folder, found, row)
    for part in parts:
        pairs = part.session.pairs
        edges = pairs.bin_edges_s
        if edges is None:
            raise DataError(
                f"{part.session.path}: has no time bins: prepare the responses with bins, or leave "
                "--windows out"
            )
        areas = {WHOLE: pairs}
        names = [name for name in np.unique(pairs.units.area).tolist() if name]
        if len(names) > 1:
            for name in names:
                areas[name] = pairs.select_units(np.flatnonzero(pairs.units.area == name))
        tasks = {}
        for name, some in areas.items():
            for last in range(1, len(edges)):
                for first in dict.fromkeys((last - 1, 0)):
                    window = Window(name, float(edges[first]), float(edges[last]))
                    tasks[window.row] = [some.select_bins(first, last)]
        better |= _score_parts(part, tasks, found, run.config, "time windows", progress)
    cases = [case_of(part.session) for part in parts]
    result = RetrievalResult(
        f"{run.config.run.name}: {row} by time window", _rows(better), cases, better
    )
    save_retrieval(result, folder / RESULTS_FOLDER / WINDOWS)
    return result


def _score_parts(
    part: Part,
    tasks: Mapping[str, Sequence[PicturePairs]],
    found: BridgeSessions,
    config: BridgeConfig,
    told: str,
    progress: Progress | None,
) -> dict[tuple[str, str, Direction], FloatArray]:
    """Fit a row to parts of a recording's responses, and count by part what beats the picture."""
    # The settings that tuning found.
    fitted, session = replace(ROWS[part.row], start=load_tuned(part).settings), part.session
    budget = 1 if fitted.trained else config.training.budget
    better: dict[tuple[str, str, Direction], FloatArray] = {}
    for number, (name, draws) in enumerate(tasks.items()):
        counts = []
        for pairs in draws:
            samples = replace(session, pairs=pairs).training(
                found.bank, single_trials=config.data.single_trials
            )
            tuned = tune(fitted, samples, budget=budget, seed=config.run.seed)
            bridge = fit_tuned(fitted, samples, tuned, seed=config.run.seed)
            test = pairs.only("test").mean_over_trials()
            similarity = bridge.similarity(test.values, found.bank.select(test.hashes.tolist()))
            counts.append(count_better(similarity, np.arange(len(test))))
        better[name, session.pairs.id, "picture"] = np.array(counts)
        if progress:
            progress(f"{session.pairs.id}: {told}", number + 1, len(tasks))
    return better


def _rows(better: Mapping[tuple[str, str, Direction], FloatArray]) -> list[RetrievalRow]:
    return [RetrievalRow(name) for name in dict.fromkeys(name for name, _, _ in better)]


def _reliability(session: BridgeSession) -> FloatArray | None:
    """Return each unit's reliability over test trials, the mean over bins; None without trials."""
    test = session.pairs.only("test")
    if not has_trials(test):
        return None
    found = reliability(test)
    return found if found.ndim == 1 else found.mean(axis=1)
