"""Where counts fall in the distributions that were forecast of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neurohorizon.evaluation.calibration import COVERAGE_LEVELS, PIT_EDGES, coverage
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.rows import RowStyle, style_of
from neurohorizon.report.style import BLACK


@dataclass(frozen=True)
class TransformHistograms:
    """Histograms of the probability integral transform of counts summed up to one horizon.

    Parameters
    ----------
    horizon_s : float
    names : list of str
        Rows that say how counts are distributed.
    counts : list of (20,) arrays
        By row; they sum to the number of counts.
    """

    horizon_s: float
    names: list[str]
    counts: list[FloatArray]

    def density(self, row: int) -> FloatArray:
        """Return a row's histogram as density: 1 everywhere if it is calibrated."""
        return self.counts[row] / self.counts[row].sum() * len(self.counts[row])

    def covered(self, row: int) -> dict[float, float]:
        """Return shares of counts in the central intervals of a row, by level."""
        return {level: coverage(self.counts[row], level) for level in COVERAGE_LEVELS}

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and part of the unit interval."""
        return [
            {
                "row": name,
                "horizon_s": self.horizon_s,
                "transform_from": PIT_EDGES[index],
                "transform_to": PIT_EDGES[index + 1],
                "density": value,
            }
            for row, name in enumerate(self.names)
            for index, value in enumerate(self.density(row))
        ]


def compute_transforms(
    result: EvaluationResult, names: Sequence[str], *, horizon: int = -1
) -> TransformHistograms:
    """Pool the histograms of some rows; those that say nothing of sums are left out."""
    found = {
        name: np.sum([each.pit[horizon] for each in result.of_row(name)], axis=0) for name in names
    }
    known = {name: counts for name, counts in found.items() if np.sum(counts) > 0}
    horizon_s = result.protocol.horizons_s[horizon]
    return TransformHistograms(horizon_s, list(known), list(known.values()))


def draw_transforms(data: TransformHistograms, ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw them as steps around 1, with what their 90 % intervals cover."""
    highest = 1.0
    for row, name in enumerate(data.names):
        density = data.density(row)
        line: dict[str, Any] = style_of(styles, name).line | {"linewidth": 1.1}
        label = f"{name} (90 %: {100 * data.covered(row)[0.9]:.0f} %)"
        ax.stairs(
            density,
            PIT_EDGES,
            baseline=None,
            color=line.get("color"),
            linestyle=line.get("linestyle", "-"),
            linewidth=line["linewidth"],
            label=label,
        )
        highest = max(highest, float(density.max()))
    ax.axhline(1.0, color=BLACK, linewidth=0.7, zorder=1)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.35 * highest)
    ax.set_xlabel(f"place in the forecast of {data.horizon_s * 1000:g} ms counts")
    ax.set_ylabel("density of observed counts")
    ax.legend(loc="upper center")
