"""Unit by unit: gain against rate, the model against the strongest baseline, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from neurohorizon.evaluation.metrics import bits_per_spike, calibration_curve
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.scores import spans_of
from neurohorizon.evaluation.summary import strongest_by_horizon
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.rows import RowStyle, style_of
from neurohorizon.report.style import BLACK, GREY

#: A unit with fewer spikes in the scored part has a score, but a noisy one.
FEWEST_SPIKES = 50
#: Quieter units (in what the null is from) are drawn here.
LOWEST_RATE_HZ = 0.01
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
#: A median of neighbours rests on at least so many units.
_MOST_MEDIANS, _FEWEST_NEIGHBOURS = 9, 6
#: Calibration points that rest on fewer forecasts are noise.
_FEWEST_FORECASTS = 50


@dataclass(frozen=True)
class UnitGains:
    """Bits per spike of every unit at one horizon.

    Parameters
    ----------
    horizon_s : float
    model, strongest : str
    recording, unit : list of str
    rate_hz, model_bits, strongest_bits : (U,) float
    num_left_out : int
        Units with fewer spikes than :data:`FEWEST_SPIKES`.
    """

    horizon_s: float
    model: str
    strongest: str
    recording: list[str]
    unit: list[str]
    rate_hz: FloatArray
    model_bits: FloatArray
    strongest_bits: FloatArray
    num_left_out: int

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a unit."""
        return [
            {
                "recording": self.recording[index],
                "unit": self.unit[index],
                "rate_hz": self.rate_hz[index],
                self.model: self.model_bits[index],
                self.strongest: self.strongest_bits[index],
            }
            for index in range(len(self.unit))
        ]


def compute_unit_gains(
    result: EvaluationResult, model: str, *, to: str | None = None, horizon: int = 0
) -> UnitGains:
    """Gather the gain of each unit over the null at one of the reported horizons.

    Parameters
    ----------
    result : EvaluationResult
    model : str
        Row to look at.
    to : str, optional
        Row to set beside it; the strongest baseline at the horizon by default.
    horizon : int
        Index of the horizon.
    """
    strongest = strongest_by_horizon(result)[horizon] if to is None else to
    bits: dict[str, list[FloatArray]] = {model: [], strongest: []}
    spikes = []
    for name, per_recording in bits.items():
        for scores in result.of_row(name):
            count = scores.at_horizons(scores.spikes).sum(axis=0)[:, horizon]
            gain = scores.at_horizons(scores.gain).sum(axis=0)[:, horizon]
            per_recording.append(bits_per_spike(gain, 0.0, count))
            if name == model:
                spikes.append(count)
    cases = result.scored_cases()
    enough = np.concatenate(spikes) >= FEWEST_SPIKES
    named = [(case.recording, unit) for case in cases for unit in case.unit_id]
    kept = [pair for pair, keep in zip(named, enough, strict=True) if keep]
    return UnitGains(
        horizon_s=result.protocol.horizons_s[horizon],
        model=model,
        strongest=strongest,
        recording=[recording for recording, _ in kept],
        unit=[unit for _, unit in kept],
        rate_hz=np.concatenate([case.unit_rate_hz for case in cases])[enough],
        model_bits=np.concatenate(bits[model])[enough],
        strongest_bits=np.concatenate(bits[strongest])[enough],
        num_left_out=int(np.sum(~enough)),
    )


def draw_gain_against_rate(data: UnitGains, ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw each unit's gain against its rate, with running medians of both rows."""
    if len(data.unit) == 0:
        return
    low, high = _limits(data.model_bits)
    colour = style_of(styles, data.model).colour
    rate_hz = np.maximum(data.rate_hz, LOWEST_RATE_HZ)
    _scatter(ax, rate_hz, np.clip(data.model_bits, low, high), colour)
    for name, bits in ((data.strongest, data.strongest_bits), (data.model, data.model_bits)):
        ax.plot(*_running_median(rate_hz, bits), **style_of(styles, name).line, label=name)
    ax.axhline(0.0, color=BLACK, linewidth=0.6)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(_PLAIN)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(low, high)
    ax.set_xlabel("mean rate of the unit (Hz)")
    ax.set_ylabel(f"bits per spike, {data.horizon_s * 1000:g} ms")
    ax.legend(loc="upper right", title="median of neighbours in rate", title_fontsize=7)


def draw_unit_against_unit(data: UnitGains, ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw each unit's score under the model against that under the strongest baseline."""
    if len(data.unit) == 0:
        return
    low, high = _limits(np.concatenate([data.model_bits, data.strongest_bits]))
    x, y = np.clip(data.strongest_bits, low, high), np.clip(data.model_bits, low, high)
    ax.plot([low, high], [low, high], color=BLACK, linewidth=0.7)
    ax.axhline(0.0, color=GREY, linewidth=0.4)
    ax.axvline(0.0, color=GREY, linewidth=0.4)
    _scatter(ax, x, y, style_of(styles, data.model).colour)
    above = int(np.sum(data.model_bits > data.strongest_bits))
    ax.text(
        0.97,
        0.16,
        f"{above} of {len(data.unit)} units ({above / len(data.unit):.0%})\nabove the line",
        transform=ax.transAxes,
        ha="right",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )
    ax.set_aspect("equal")
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_xlabel(f"{data.strongest}: bits per spike, {data.horizon_s * 1000:g} ms")
    ax.set_ylabel(f"{data.model}: bits per spike")


@dataclass(frozen=True)
class CalibrationCurves:
    """Observed against forecast rates, over all units and windows.

    Parameters
    ----------
    horizon_s : float
    names : list of str
    expected_hz, observed_hz, standard_error_hz : list of (C,) arrays
        By row; NaN where nothing was forecast.
    forecasts : list of (C,) arrays
        How many forecasts each point rests on.
    """

    horizon_s: float
    names: list[str]
    expected_hz: list[FloatArray]
    observed_hz: list[FloatArray]
    standard_error_hz: list[FloatArray]
    forecasts: list[FloatArray]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and value of the forecast."""
        return [
            {
                "row": name,
                "horizon_s": self.horizon_s,
                "forecast_hz": self.expected_hz[row][index],
                "observed_hz": self.observed_hz[row][index],
                "standard_error_hz": self.standard_error_hz[row][index],
                "forecasts": int(self.forecasts[row][index]),
            }
            for row, name in enumerate(self.names)
            for index in np.flatnonzero(self.forecasts[row])
        ]


def compute_calibration(
    result: EvaluationResult, names: Sequence[str], *, horizon: int = 0
) -> CalibrationCurves:
    """Compare mean counts with mean forecasts, by the value of the forecast."""
    horizon_s = result.protocol.horizons_s[horizon]
    span = result.protocol.spec.num_groups + horizon
    assert tuple(spans_of(result.protocol)[span]) == (0, result.protocol.horizon_bins[horizon])
    curves = []
    for name in names:
        sums = np.sum([each.calibration[:, span] for each in result.of_row(name)], axis=0)
        curves.append([*(each / horizon_s for each in calibration_curve(*sums)), sums[0]])
    expected, observed, error, forecasts = (list(each) for each in zip(*curves, strict=True))
    return CalibrationCurves(horizon_s, list(names), expected, observed, error, forecasts)


def draw_calibration(data: CalibrationCurves, ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw them on logarithmic axes around the diagonal of a calibrated forecast."""
    seen: list[FloatArray] = []
    for row, name in enumerate(data.names):
        enough = (data.forecasts[row] >= _FEWEST_FORECASTS) & (data.observed_hz[row] > 0)
        x, y = data.expected_hz[row][enough], data.observed_hz[row][enough]
        error = np.minimum(1.96 * data.standard_error_hz[row][enough], 0.95 * y)
        # Thinner than elsewhere: what matters is how close to the diagonal they are.
        line: dict[str, Any] = style_of(styles, name).line | {"linewidth": 1.1}
        ax.errorbar(x, y, error, marker="o", markersize=2.5, elinewidth=0.7, label=name, **line)
        seen += [x, y]
    values = np.concatenate(seen) if seen else np.empty(0)
    low, high = (values.min() / 1.3, values.max() * 1.3) if len(values) else (0.1, 10.0)
    ax.plot([low, high], [low, high], color=BLACK, linewidth=0.7, zorder=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
        axis.set_major_formatter(_PLAIN)
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    ax.set_xlabel(f"forecast rate over {data.horizon_s * 1000:g} ms (Hz)")
    ax.set_ylabel("observed rate (Hz)")
    ax.legend(loc="upper left")


def _scatter(ax: Axes, x: FloatArray, y: FloatArray, colour: str) -> None:
    """Draw units as points; those at the edge of the scale are whole."""
    ax.scatter(x, y, s=9, color=colour, alpha=0.45, linewidth=0, clip_on=False)


def _running_median(rate_hz: FloatArray, bits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return medians of neighbouring units, in order of rate."""
    order = np.argsort(rate_hz)
    num_parts = max(min(_MOST_MEDIANS, len(order) // _FEWEST_NEIGHBOURS), 1)
    parts = [part for part in np.array_split(order, num_parts) if len(part)]
    centres = np.array([np.median(rate_hz[part]) for part in parts])
    return centres, np.array([np.median(bits[part]) for part in parts])


def _limits(bits: FloatArray) -> tuple[float, float]:
    """Return limits that a few extreme units do not set; those are drawn at the edge."""
    low, high = np.quantile(bits, (0.05, 0.95))
    margin = 0.5 * max(high - low, 1e-3)
    low, high = max(bits.min(), low - margin), min(bits.max(), high + margin)
    edge = 0.05 * max(high - low, 1e-3)
    return float(min(low - edge, -edge)), float(max(high + edge, edge))
