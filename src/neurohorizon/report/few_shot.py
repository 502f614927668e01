"""Few-shot against zero-shot: bits per spike against minutes of the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import difference, pooled
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.few_shot import ZERO_SHOT

_COLOURS = {"offsets": "#0072B2", "low_rank": "#D55E00", "full": "#009E73"}


@dataclass(frozen=True)
class FewShotCurve:
    """One mode, by minutes.

    Parameters
    ----------
    mode : str
    minutes : (M,) float
    value : (M,) float
        Bits per spike.
    gain, low, high : (M,) float
        Paired difference to zero-shot, with its 95 % interval.
    """

    mode: str
    minutes: FloatArray
    value: FloatArray
    gain: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class FewShot:
    """Curves at one horizon.

    Parameters
    ----------
    horizon_s : float
    zero_shot : float
        Bits per spike.
    curves : list of FewShotCurve
    """

    horizon_s: float
    zero_shot: float
    curves: list[FewShotCurve]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a mode and number of minutes."""
        first: dict[str, Any] = {
            "mode": ZERO_SHOT,
            "horizon_s": self.horizon_s,
            "minutes": 0.0,
            "bits_per_spike": self.zero_shot,
            "over_zero_shot": 0.0,
            "low": 0.0,
            "high": 0.0,
        }
        return [first] + [
            {
                "mode": curve.mode,
                "horizon_s": self.horizon_s,
                "minutes": float(curve.minutes[index]),
                "bits_per_spike": float(curve.value[index]),
                "over_zero_shot": float(curve.gain[index]),
                "low": float(curve.low[index]),
                "high": float(curve.high[index]),
            }
            for curve in self.curves
            for index in range(len(curve.minutes))
        ]


def compute_few_shot(result: EvaluationResult, *, horizon: int = 0) -> FewShot:
    """Gather the curves from what :func:`neurohorizon.training.few_shot.measure_few_shot` found.

    Parameters
    ----------
    result : EvaluationResult
    horizon : int
        Which of the horizons.
    """
    points: dict[str, list[tuple[float, str]]] = {}
    for row in result.rows:
        if row.name != ZERO_SHOT:
            mode, minutes = row.name.removesuffix(" min").rsplit(", ", 1)
            points.setdefault(mode, []).append((float(minutes), row.name))
    curves = []
    for mode, of_mode in points.items():
        steps = [difference(result, name, ZERO_SHOT) for _, name in of_mode]
        gain, low, high = (
            np.array([getattr(step, key)[horizon] for step in steps])
            for key in ("value", "low", "high")
        )
        value = np.array([pooled(result, name).value[horizon] for _, name in of_mode])
        minutes = np.array([length for length, _ in of_mode])
        curves.append(FewShotCurve(mode, minutes, value, gain, low, high))
    zero_shot = float(pooled(result, ZERO_SHOT).value[horizon])
    return FewShot(result.protocol.horizons_s[horizon], zero_shot, curves)


def draw_few_shot(data: FewShot, ax: Axes) -> None:
    """Draw the paired differences to zero-shot on a logarithmic axis of minutes."""
    ax.axhline(0.0, color="#444444", linewidth=0.8, label=f"zero-shot ({data.zero_shot:.3f})")
    for number, curve in enumerate(data.curves):
        colour = _COLOURS.get(curve.mode)
        # Beside each other, so that no whisker hides another.
        at = curve.minutes * 1.025 ** (number - (len(data.curves) - 1) / 2)
        name = curve.mode.replace("_", " ")
        ax.plot(at, curve.gain, marker="o", color=colour, label=name)
        ax.vlines(at, curve.low, curve.high, color=colour, linewidth=0.8)
    every = sorted({float(length) for curve in data.curves for length in curve.minutes})
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(every))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("minutes of the session adapted with")
    ax.set_ylabel(f"bits per spike over zero-shot, {data.horizon_s * 1000:g} ms")
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + 0.2 * (top - bottom))
    ax.legend(frameon=False, loc="upper left", ncols=2)
