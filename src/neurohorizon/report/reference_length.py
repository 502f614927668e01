"""What seconds of reference are worth: scores against the length of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import pooled, strongest_by_horizon
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.horizon import Curve
from neurohorizon.report.rows import RowStyle, label_ends, style_of


@dataclass(frozen=True)
class ReferenceCurves:
    """Bits per spike at one horizon against seconds of reference.

    Parameters
    ----------
    horizon_s : float
    reference_s : (R,) float
    curves : list of Curve
        Rows that were scored with every length; the null is the same for all of them.
    """

    horizon_s: float
    reference_s: FloatArray
    curves: list[Curve]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and length."""
        return [
            {
                "row": curve.name,
                "horizon_s": self.horizon_s,
                "reference_s": float(seconds),
                "bits_per_spike": curve.value[index],
                "low": curve.low[index],
                "high": curve.high[index],
            }
            for curve in self.curves
            for index, seconds in enumerate(self.reference_s)
        ]


def compute_reference_curves(
    by_reference: Mapping[float, EvaluationResult], *, horizon: int = 0
) -> ReferenceCurves | None:
    """Gather models, the rows that are strongest somewhere, and the reference rate.

    Returns
    -------
    ReferenceCurves or None
        None with fewer than two lengths.
    """
    if len(by_reference) < 2:
        return None
    results = list(by_reference.values())
    wanted = [*results[0].names("model"), "reference rate", "traces + adapter"]
    wanted += [strongest_by_horizon(result)[horizon] for result in results]
    everywhere = set.intersection(*({row.name for row in each.rows} for each in results))
    curves = []
    for row in results[0].rows:
        if row.name in wanted and row.name in everywhere:
            intervals = [pooled(result, row.name) for result in results]
            ends = (
                np.array([getattr(interval, key)[horizon] for interval in intervals])
                for key in ("value", "low", "high")
            )
            curves.append(Curve(row.name, row.role, *ends))
    horizon_s = results[0].protocol.horizons_s[horizon]
    return ReferenceCurves(horizon_s, np.array(list(by_reference)), curves)


def draw_reference_curves(
    data: ReferenceCurves, ax: Axes, *, styles: Mapping[str, RowStyle]
) -> None:
    """Draw them on a logarithmic axis of seconds."""
    ax.axhline(0.0, color="#444444", linewidth=0.6, zorder=1)
    for curve in data.curves:
        style = style_of(styles, curve.name)
        ax.plot(data.reference_s, curve.value, **style.line, marker="o")
        ax.vlines(data.reference_s, curve.low, curve.high, color=style.colour, linewidth=0.6)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(list(data.reference_s)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("seconds of reference read of a new session")
    ax.set_ylabel(f"bits per spike, {data.horizon_s * 1000:g} ms")
    label_ends(ax, [c.name for c in data.curves], [c.value[-1] for c in data.curves], styles)
