"""Forecasts of a whole recording, and the files that they are written to."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.forecasting import Forecast, TrainedForecaster
from neurohorizon.ops.files import atomic_path
from neurohorizon.ops.intervals import intersect, regular_origins
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec

SUFFIXES = (".npz", ".csv")
_ORIGINS_AT_ONCE = 1024


@dataclass(frozen=True)
class ForecastPlan:
    """Where a recording is forecast from, and what its units are known from.

    Parameters
    ----------
    origins_s : (T,) float
        Seconds on the recording's clock.
    reference_span_s : (float, float)
        Start and end of the reference.
    """

    origins_s: FloatArray
    reference_span_s: tuple[float, float]

    @property
    def num_inside(self) -> int:
        """Origins inside the reference: what follows them is no forecast of something new."""
        return int(np.sum(self.origins_s < self.reference_span_s[1] - 1e-9))


def plan_forecast(
    recording: Recording,
    spec: WindowSpec,
    *,
    origins_s: FloatArray | None = None,
    reference_s: float = 120.0,
) -> ForecastPlan:
    """Place the reference before the first origin and, where none are given, the origins.

    Parameters
    ----------
    recording : Recording
    spec : WindowSpec
        The model's.
    origins_s : (T,) float, optional
        Seconds on the recording's clock; default: from the end of the first reference to the
        end of the recording, a horizon apart.
    reference_s : float
        Seconds of reference; from the recording's start if the first origin comes earlier.

    Raises
    ------
    ConfigError
        If the reference has no length.
    DataError
        If nothing is left behind it.
    """
    if reference_s <= 0:
        raise ConfigError(f"--reference-s is {reference_s:g}: expected seconds above 0")
    if origins_s is None:
        origins_s = default_origins(recording, spec, reference_s=reference_s)
    begin, last = float(recording.domain[0, 0]), float(recording.domain[-1, 1])
    # An origin outside the recording is refused later, by its own name.
    end = min(max(float(origins_s[0]), begin + reference_s), last)
    return ForecastPlan(origins_s, (end - reference_s, end))


def default_origins(recording: Recording, spec: WindowSpec, *, reference_s: float) -> FloatArray:
    """Place origins a horizon apart behind the first reference, wherever a context fits.

    Raises
    ------
    DataError
        If none fits.
    """
    begin = float(recording.domain[0, 0])
    later = intersect(recording.domain, np.array([[begin + reference_s - spec.context_s, np.inf]]))
    origins = regular_origins(later, step_s=spec.horizon_s, before_s=spec.context_s, after_s=0.0)
    if len(origins) == 0:
        raise DataError(
            f"{recording.id}: nothing is left behind a reference of {reference_s:g} s "
            f"({recording.duration_s:.4g} s were recorded): give a shorter --reference-s"
        )
    return origins


def forecast_recording(
    forecaster: TrainedForecaster,
    recording: Recording,
    plan: ForecastPlan,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Forecast a recording from all origins of a plan, part by part.

    Parameters
    ----------
    forecaster : TrainedForecaster
    recording : Recording
    plan : ForecastPlan
    progress : callable, optional
        Called with (origins done, origins in all).

    Raises
    ------
    DataError
        If the recording is empty or an origin lies outside it.
    """
    stretch = np.array([plan.reference_span_s])
    reference = compute_reference(recording, stretch, spec=forecaster.spec)
    parts, total = [], len(plan.origins_s)
    for start in range(0, total, _ORIGINS_AT_ONCE):
        if progress is not None:
            progress(start, total)
        origins_s = plan.origins_s[start : start + _ORIGINS_AT_ONCE]
        parts.append(forecaster.forecast(recording, origins_s, reference=reference))
    if progress is not None:
        progress(total, total)
    rate_hz = np.concatenate([part.rate_hz for part in parts])
    return replace(parts[0], rate_hz=rate_hz, origins_s=plan.origins_s)


def require_suffix(path: Path) -> None:
    """Refuse the name of a file that forecasts are not written to.

    Raises
    ------
    ConfigError
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: forecasts are written as .npz or .csv: give such a name")


def write_forecast(
    forecast: Forecast, path: Path, *, reference_span_s: tuple[float, float]
) -> None:
    """Write a forecast as .npz, or as .csv with one row an origin, unit and bin.

    Parameters
    ----------
    forecast : Forecast
    path : Path
        Its suffix says which; written to a temporary name first.
    reference_span_s : (float, float)
        Kept in an .npz.

    Raises
    ------
    ConfigError
        If the suffix is another.
    """
    require_suffix(path)
    with atomic_path(path) as temporary:
        if path.suffix == ".npz":
            np.savez_compressed(
                temporary,
                allow_pickle=False,
                rate_hz=forecast.rate_hz,
                origins_s=forecast.origins_s,
                bin_start_s=forecast.bin_start_s,
                bin_s=forecast.bin_s,
                unit_ids=forecast.unit_ids,
                reference_s=np.array(reference_span_s),
            )
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["origin_s", "unit", "bin_start_s", "rate_hz"])
            for origin, rates in zip(forecast.origins_s, forecast.rate_hz, strict=True):
                for unit, values in zip(forecast.unit_ids, rates, strict=True):
                    for start, value in zip(forecast.bin_start_s, values, strict=True):
                        writer.writerow([f"{origin:.6f}", unit, f"{start:.6f}", f"{value:.6g}"])
