"""Train with settings of the loop and of the model's own training side by side."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.training.data import ForecastData
from neurohorizon.training.fit import fit_forecaster
from neurohorizon.training.loop import FitSummary, LoopSettings

_OF_LOOP = [field.name for field in fields(LoopSettings)]


def fit(model: HorizonForecaster, data: ForecastData, folder: Path, **given: Any) -> FitSummary:
    """Train on the CPU, where no other device is given."""
    given.setdefault("accelerator", "cpu")
    loop = LoopSettings(**{key: given.pop(key) for key in _OF_LOOP if key in given})
    return fit_forecaster(model=model, data=data, run_folder=folder, settings=loop, **given)
