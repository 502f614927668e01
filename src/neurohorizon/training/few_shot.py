"""Few-shot against zero-shot on one curve: minutes of a session, and what they buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.model_row import ModelRow
from neurohorizon.evaluation.protocol import (
    CountForecast,
    Protocol,
    Role,
    SessionCase,
    prepare_case,
)
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.ops.intervals import total_s
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.windows import Windows
from neurohorizon.training.adapt import ADAPT_MODES, AdaptMode, adapt_forecaster, readable_domain

ZERO_SHOT = "zero-shot"


class AdaptedRow:
    """A forecaster for each session, as one row of a table.

    Parameters
    ----------
    name : str
    by_recording : mapping of str to TrainedForecaster
    """

    role: Role = "model"

    def __init__(self, name: str, by_recording: Mapping[str, TrainedForecaster]) -> None:
        self.name = name
        self.by_recording = by_recording

    def forecast(self, case: SessionCase, windows: Windows) -> NDArray[np.floating] | CountForecast:
        """Forecast with the model that was adapted to the case's session."""
        return ModelRow(self.by_recording[case.recording.id]).forecast(case, windows)


def row_name(mode: str, minutes: float) -> str:
    """Name a row of the curve.

    Examples
    --------
    >>> row_name("offsets", 4.0)
    'offsets, 4 min'
    """
    return f"{mode}, {minutes:g} min"


def fitting_minutes(recordings: Sequence[Recording], minutes: Sequence[float]) -> list[float]:
    """Return those numbers of minutes that every recording has before its test part.

    Raises
    ------
    DataError
        If there is none, or no recording.
    """
    if not recordings:
        raise DataError("no recordings to adapt to: give held-out ones")
    most = min(total_s(readable_domain(recording)) for recording in recordings) / 60
    lengths = [length for length in minutes if length <= most + 1e-6]
    if not lengths:
        raise DataError(
            f"{most:.3g} minutes may be read before the test part of the shortest recording: "
            f"none of {', '.join(f'{length:g}' for length in minutes)} fits"
        )
    return lengths


def measure_few_shot(
    forecaster: TrainedForecaster,
    recordings: Sequence[Recording],
    protocol: Protocol,
    *,
    minutes: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
    modes: Sequence[AdaptMode] = ADAPT_MODES,
    max_steps: int = 200,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> EvaluationResult:
    """Score a model zero-shot, and adapted by each mode with each number of minutes.

    Parameters
    ----------
    forecaster : TrainedForecaster
    recordings : sequence of Recording
        Held-out ones, with a split; each is adapted to by itself.
    protocol : Protocol
        All rows read the same windows, null and reference.
    minutes : sequence of float
        Those that not every recording has to give are left out.
    modes : sequence of str
    max_steps, seed : int
        Of each adaptation.
    progress : callable, optional
        Called with what is being done, adaptations done, and adaptations in all.

    Returns
    -------
    EvaluationResult
        Rows "zero-shot" and, for instance, "offsets, 4 min".

    Raises
    ------
    DataError
        If no recording is given, or none of the minutes can be read of all.
    """
    lengths = fitting_minutes(recordings, minutes)
    cases = [prepare_case(recording, protocol, held_out=True) for recording in recordings]
    rows: list[ModelRow | AdaptedRow] = [ModelRow(forecaster, ZERO_SHOT)]
    done, total = 0, len(modes) * len(lengths) * len(recordings)
    for mode in modes:
        for length in lengths:
            adapted = {}
            for recording in recordings:
                if progress is not None:
                    progress(row_name(mode, length), done, total)
                adapted[recording.id], _ = adapt_forecaster(
                    forecaster,
                    recording,
                    minutes=length,
                    mode=mode,
                    max_steps=max_steps,
                    seed=seed,
                )
                done += 1
            rows.append(AdaptedRow(row_name(mode, length), adapted))
    return evaluate(rows, cases, title="sessions held out from training")
