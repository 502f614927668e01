"""What seconds of reference are worth: scores against the length of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.errors import DataError
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import pooled, strongest_by_horizon
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.horizon import Curve
from neurohorizon.report.rows import RowStyle, label_ends, style_of

#: A curve further below zero than this share of the best one leaves the panel.
_LOWEST_SHARE = 0.6


@dataclass(frozen=True)
class ReferenceCurves:
    """Bits per spike at one horizon against seconds of reference.

    Parameters
    ----------
    horizon_s : float
    reference_s : (R,) float
        Seconds that were asked for.
    read_s : (R,) float
        Seconds that were there to read in the shortest recording.
    curves : list of Curve
        Rows that were scored with every length; the null is the same for all of them.
    """

    horizon_s: float
    reference_s: FloatArray
    read_s: FloatArray
    curves: list[Curve]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and length."""
        return [
            {
                "row": curve.name,
                "horizon_s": self.horizon_s,
                "reference_s": float(seconds),
                "least_seconds_read": float(self.read_s[index]),
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

    Raises
    ------
    DataError
        If the lengths were not scored on the same windows against the same null.
    """
    if len(by_reference) < 2:
        return None
    require_one_null(by_reference)
    results = list(by_reference.values())
    curves = []
    for name in rows_to_show(by_reference, horizon=horizon):
        row = next(row for row in results[0].rows if row.name == name)
        intervals = [pooled(result, name) for result in results]
        ends = (
            np.array([getattr(interval, key)[horizon] for interval in intervals])
            for key in ("value", "low", "high")
        )
        curves.append(Curve(name, row.role, *ends))
    horizon_s = results[0].protocol.horizons_s[horizon]
    read_s = [min(case.reference_s for case in result.scored_cases()) for result in results]
    return ReferenceCurves(horizon_s, np.array(list(by_reference)), np.array(read_s), curves)


def rows_to_show(by_reference: Mapping[float, EvaluationResult], *, horizon: int = 0) -> list[str]:
    """Name the rows that all lengths have and that matter for one of them, in order."""
    results = list(by_reference.values())
    wanted = {*results[0].names("model"), "reference rate", "traces", "traces + adapter"}
    wanted |= {strongest_by_horizon(result)[horizon] for result in results}
    wanted &= set.intersection(*({row.name for row in each.rows} for each in results))
    return [row.name for row in results[0].rows if row.name in wanted]


def require_one_null(by_reference: Mapping[float, EvaluationResult]) -> None:
    """Make sure that only the reference differs: windows, spikes and null are the same.

    Raises
    ------
    DataError
    """
    (first_s, first), *others = by_reference.items()
    for seconds, result in others:
        for case in first.cases:
            one = first.scores[first.rows[0].name, case.recording]
            other = result.scores.get((result.rows[0].name, case.recording))
            if other is None or not all(
                np.array_equal(getattr(one, key), getattr(other, key))
                for key in ("origin_ticks", "unit_index", "spikes", "null_counts")
            ):
                raise DataError(
                    f"{case.recording}: references of {first_s:g} s and of {seconds:g} s were not "
                    "scored on the same windows against the same null: evaluate again with "
                    "--again"
                )


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
    ax.set_xlabel("seconds of reference read of a session")
    ax.set_ylabel(f"bits per spike, {data.horizon_s * 1000:g} ms")
    # Rates from a few seconds can cost more than all else gains: the scale is that of the gains.
    highest = max(float(np.nanmax(curve.value)) for curve in data.curves)
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, min(-_LOWEST_SHARE * highest, 0.0)) if highest > 0 else low, high)
    label_ends(ax, [c.name for c in data.curves], [c.value[-1] for c in data.curves], styles)
