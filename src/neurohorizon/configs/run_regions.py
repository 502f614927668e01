"""What each region says of the picture: a row of the ladder, fitted to a region's electrodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.configs.bridge_sessions import BridgeSession
from neurohorizon.configs.run_bridges import (
    TUNING_FILE,
    Part,
    open_finished,
    parts_of,
)
from neurohorizon.configs.run_retrieval import case_of
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.retrieval.ceilings import has_trials, reliability
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.regions import choose_regions
from neurohorizon.evaluation.retrieval.result_files import REGIONS, save_retrieval
from neurohorizon.evaluation.retrieval.results import Direction, RetrievalResult, RetrievalRow
from neurohorizon.evaluation.run_results import RESULTS_FOLDER
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.bridge.rows import ROWS, Row
from neurohorizon.training.bridge.tuning import fit_tuned, tune

Progress = Callable[[str, int, int], None]
WHOLE = "all regions"
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
    parts = [
        part for part in parts_of(run.config, folder, found) if part.row == row and not part.grey
    ]
    if not parts:
        raise ConfigError(
            f"{folder}: has no row {row!r}: there are {', '.join(run.config.model.rows)}"
        )
    better: dict[tuple[str, str, Direction], FloatArray] = {}
    cases = []
    for part in parts:
        session = part.session
        area = session.pairs.units.area
        chosen = choose_regions(area, _reliability(session), num_draws=num_draws)
        fitted = _tuned_row(part)
        budget = 1 if fitted.trained else run.config.training.budget
        tasks = [(WHOLE, (np.arange(session.pairs.num_units),))]
        tasks += [(choice.name, choice.draws) for choice in chosen]
        for number, (name, draws) in enumerate(tasks):
            counts = []
            for units in draws:
                pairs = session.pairs.select_units(units)
                samples = replace(session, pairs=pairs).training(
                    found.bank, single_trials=run.config.data.single_trials
                )
                tuned = tune(fitted, samples, budget=budget, seed=run.config.run.seed)
                bridge = fit_tuned(fitted, samples, tuned, seed=run.config.run.seed)
                test = pairs.only("test").mean_over_trials()
                similarity = bridge.similarity(test.values, found.bank.select(test.hashes.tolist()))
                counts.append(count_better(similarity, np.arange(len(test))))
            better[name, session.pairs.id, "picture"] = np.array(counts)
            if progress:
                progress(f"{session.pairs.id}: regions", number + 1, len(tasks))
        matched = any("as reliable" in choice.name for choice in chosen)
        case = case_of(session)
        cases.append(replace(case, notes=(*case.notes, *[MATCHED_NOTE] * matched)))
    names = dict.fromkeys(name for name, _, _ in better)
    result = RetrievalResult(
        f"{run.config.run.name}: {row} by region",
        [RetrievalRow(name) for name in names],
        cases,
        better,
    )
    save_retrieval(result, folder / RESULTS_FOLDER / REGIONS, named=WHOLE)
    return result


def _reliability(session: BridgeSession) -> FloatArray | None:
    """Return each unit's reliability over test trials, the mean over bins; None without trials."""
    test = session.pairs.only("test")
    if not has_trials(test):
        return None
    found = reliability(test)
    return found if found.ndim == 1 else found.mean(axis=1)


def _tuned_row(part: Part) -> Row:
    """Return the row with the settings that tuning found."""
    path = part.folder / TUNING_FILE
    row = ROWS[part.row]
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["settings"]
        return replace(row, start=type(row.start)(**settings))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: missing or damaged: `neurohorizon bridge align` with --resume"
        ) from error
