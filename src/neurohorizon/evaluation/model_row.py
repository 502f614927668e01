"""A trained forecaster as a row of the tables, and what it is worth without its parts."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.protocol import CountForecast, Role, SessionCase
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.nn.likelihoods import PoissonCounts
from neurohorizon.recordings.windows import Windows


class ModelRow:
    """Forecast cases with a trained model; no gradient step is taken.

    Parameters
    ----------
    forecaster : TrainedForecaster
    name : str, optional
        The row's name; the forecaster's own by default.
    """

    role: Role = "model"

    def __init__(self, forecaster: TrainedForecaster, name: str | None = None) -> None:
        self.forecaster = forecaster
        self.name = forecaster.name if name is None else name

    def forecast(self, case: SessionCase, windows: Windows) -> NDArray[np.floating] | CountForecast:
        """Forecast counts from the case's reference and the windows' past."""
        read = (case.recording, case.reference, windows)
        if isinstance(self.forecaster.model.likelihood, PoissonCounts):
            return self.forecaster.expected_counts(*read)
        return CountForecast(*self.forecaster.expected_counts_and_log_prob(*read))


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
        rows.append(ModelRow(without, "adapter withheld"))
    if settings["use_events"] and settings["num_encoder_layers"] and not forecaster.shuffle_labels:
        shuffled = copy.copy(forecaster)
        shuffled.shuffle_labels = True
        rows.append(ModelRow(shuffled, "labels shuffled"))
    return rows
