"""A trained forecaster as a row of the tables, and what it is worth without its parts."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.calibration import sample_bounds
from neurohorizon.evaluation.protocol import CountForecast, Role, SessionCase
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.nn.likelihoods import PoissonCounts
from neurohorizon.ops.binning import to_ticks
from neurohorizon.recordings.windows import Windows

#: Name of the row that is told the counts of earlier bins.
TEACHER_FORCED = "teacher-forced"
#: Samples of summed counts, in which what came is ranked.
NUM_SAMPLES = 32


class ModelRow:
    """Forecast cases with a trained model; no gradient step is taken.

    Parameters
    ----------
    forecaster : TrainedForecaster
    name : str, optional
        The row's name; the forecaster's own by default.
    draws : bool
        Whether a model whose sums of counts follow no known law draws them, to say where what
        came falls among them.
    """

    role: Role = "model"

    def __init__(
        self, forecaster: TrainedForecaster, name: str | None = None, *, draws: bool = True
    ) -> None:
        self.forecaster, self.draws = forecaster, draws
        self.name = forecaster.name if name is None else name

    def forecast(self, case: SessionCase, windows: Windows) -> NDArray[np.floating] | CountForecast:
        """Forecast counts from the case's reference and the windows' past.

        A model whose bins are not Poisson, or depend on each other, says more than expected counts:
        how likely each count was that followed, and where the sum of counts up to each horizon
        falls among sums that it draws.
        """
        read = (case.recording, case.reference, windows)
        model = self.forecaster.model
        if isinstance(model.likelihood, PoissonCounts) and not model.decoder.feeds_back:
            return self.forecaster.expected_counts(*read)
        told = self.forecaster.expected_counts_and_log_prob(*read)
        if not self.draws:
            return CountForecast(*told)
        ends = case.protocol.horizon_bins
        # One seed for all windows would draw the same numbers for all of them.
        seed = int(to_ticks(windows.origins_s[:1])[0]) if len(windows) else 0
        drawn = self.forecaster.sampled_totals(*read, ends=ends, num_samples=NUM_SAMPLES, seed=seed)
        observed = np.cumsum(windows.counts, axis=-1)[..., ends - 1]
        return CountForecast(*told, sample_bounds(observed, drawn))


class TeacherForcedRow:
    """Say what a model that feeds counts back expects of each bin, told the bins before it.

    It reads the counts that the other rows forecast: a cheat, which must not be compared with
    them. What it tells is how much a bin's past inside the horizon is worth.

    Parameters
    ----------
    forecaster : TrainedForecaster
        Of a model that feeds counts back.
    """

    role: Role = "cheat"
    name = TEACHER_FORCED

    def __init__(self, forecaster: TrainedForecaster) -> None:
        self.forecaster = forecaster

    def forecast(self, case: SessionCase, windows: Windows) -> CountForecast:
        """Expect each bin's counts, given the true counts of the bins before it."""
        return CountForecast(
            *self.forecaster.teacher_forced_counts_and_log_prob(
                case.recording, case.reference, windows
            )
        )


def ablation_rows(forecaster: TrainedForecaster) -> list[ModelRow]:
    """Return the same weights with one part of what they read withheld or spoiled.

    Parameters
    ----------
    forecaster : TrainedForecaster

    Returns
    -------
    list of ModelRow
        "adapter withheld": the closed-form population forecast is set to nothing. "labels
        shuffled": each window's spike events are given to random units of the population,
        while traces and adapter stay; what the event-level encoder reads of *who* fired is
        lost. Only rows of parts that the model has.

    Notes
    -----
    These rows tell what a trained model leans on. What a part is worth at all takes a model
    trained without it (``model.use_adapter=false``, ``model.num_encoder_layers=0``).
    """
    settings = forecaster.model.settings
    rows = []
    if settings["use_adapter"] and forecaster.use_adapter:
        without = copy.copy(forecaster)
        without.use_adapter = False
        rows.append(ModelRow(without, "adapter withheld", draws=False))
    if settings["use_events"] and settings["num_encoder_layers"] and not forecaster.shuffle_labels:
        shuffled = copy.copy(forecaster)
        shuffled.shuffle_labels = True
        rows.append(ModelRow(shuffled, "labels shuffled", draws=False))
    return rows
