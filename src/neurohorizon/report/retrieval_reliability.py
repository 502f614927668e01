"""How reliable units are: a histogram, by area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import PALETTE

_FEWEST_BINS, _MOST_BINS = 10, 30


@dataclass(frozen=True, eq=False)
class Reliability:
    """Units of all recordings with repeated test pictures.

    Parameters
    ----------
    recordings : list of str
    edges : (B + 1,) float
    counts : dict of str to (B,) int
        By area; "units" where areas are unknown.
    medians : dict of str to float
    num_without : int
        Units that never change, and have none.
    """

    recordings: list[str]
    edges: FloatArray
    counts: dict[str, NDArray[np.int64]]
    medians: dict[str, float]
    num_without: int

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record an area and bin."""
        return [
            {
                "area": area,
                "from": float(self.edges[index]),
                "to": float(self.edges[index + 1]),
                "units": int(number),
                "median": self.medians[area],
            }
            for area, counts in self.counts.items()
            for index, number in enumerate(counts)
        ]


def compute_reliability(
    reliability: Mapping[str, FloatArray], areas: Mapping[str, NDArray[np.str_]]
) -> Reliability | None:
    """Gather the reliability of units by area; None where no recording has any.

    Parameters
    ----------
    reliability : mapping of str to (N,) or (N * B,) float
        By recording; of every unit, or of every unit's time bins in turn.
    areas : mapping of str to (N,) str
        By recording, where they are known.
    """
    values, words = [], []
    for recording, found in reliability.items():
        area = areas.get(recording)
        if area is None or not len(area) or len(found) % len(area):
            area = np.full(len(found), "units")
        named = np.where(area == "", "units", area)
        values.append(found)
        words.append(np.repeat(named, len(found) // len(named)))
    if not values:
        return None
    every, area = np.concatenate(values), np.concatenate(words)
    there = np.isfinite(every)
    if not there.any():
        return None
    num_bins = int(np.clip(1.5 * np.sqrt(there.sum()), _FEWEST_BINS, _MOST_BINS))
    edges = np.linspace(min(0.0, float(every[there].min())), 1.0, num_bins + 1)
    names = sorted(set(area[there].tolist()))
    return Reliability(
        recordings=list(reliability),
        edges=edges,
        counts={
            name: np.histogram(np.clip(every[there & (area == name)], edges[0], 1.0), edges)[0]
            for name in names
        },
        medians={name: float(np.median(every[there & (area == name)])) for name in names},
        num_without=int(np.sum(~there)),
    )


def draw_reliability(data: Reliability, ax: Axes) -> None:
    """Draw one outline an area, with its median."""
    for number, (area, counts) in enumerate(data.counts.items()):
        colour = PALETTE[number % len(PALETTE)]
        label = f"{area}: median {data.medians[area]:.2f}, {int(counts.sum()):,} units"
        label = label.replace("units: ", "")
        ax.stairs(counts, data.edges, fill=True, color=colour, alpha=0.3)
        ax.stairs(counts, data.edges, color=colour, label=label)
        ax.axvline(data.medians[area], color=colour, linewidth=0.9, linestyle="--")
    ax.set_ylim(bottom=0)
    ax.set_xlim(float(data.edges[0]), 1.0)
    ax.set_xlabel("reliability of a unit's mean response")
    ax.set_ylabel("units")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(y=0.15)
    ax.legend(loc="upper left")
