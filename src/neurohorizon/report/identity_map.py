"""Who the units are: a map of what their references say, in two dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from neurohorizon.evaluation.identities import Identities
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.recordings.reference_features import FeatureScaler, skewed_reference_features
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import LIGHT_GREY, PALETTE

FEWEST_UNITS = 6
#: Groups with a colour of their own; the others share grey.
MOST_GROUPS = 7
#: The last columns of the functional identity say how much was read, not who the unit is.
_NUM_AMOUNTS = 2
USED_FOR: dict[SetName, str] = {"held-out": "held out", "later": "training"}


@dataclass(frozen=True)
class IdentityMap:
    """Units in the plane of the first two principal components of their identities.

    Parameters
    ----------
    what : str
        What was decomposed.
    position : (U, 2) float
    explained : (2,) float
        Shares of the variance.
    recording, unit, area, used_for : list of str
    rate_hz : (U,) float
    same : dict of str to (float, float)
        For "recording", and "area" where there are two: the share of units whose nearest
        neighbour in the whole space is of the same one, and that share by chance.
    """

    what: str
    position: FloatArray
    explained: FloatArray
    recording: list[str]
    unit: list[str]
    area: list[str]
    used_for: list[str]
    rate_hz: FloatArray
    same: dict[str, tuple[float, float]]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a unit."""
        return [
            {
                "recording": self.recording[index],
                "used_for": self.used_for[index],
                "unit": self.unit[index],
                "area": self.area[index],
                "rate_hz": self.rate_hz[index],
                "pc1": self.position[index, 0],
                "pc2": self.position[index, 1],
            }
            for index in range(len(self.unit))
        ]


def compute_identity_map(by_set: Mapping[SetName, Identities]) -> IdentityMap | None:
    """Decompose the identities of all units together.

    Parameters
    ----------
    by_set : mapping of {"held-out", "later"} to Identities

    Returns
    -------
    IdentityMap or None
        None with fewer than :data:`FEWEST_UNITS` units.

    Notes
    -----
    With a model: its identity vectors, centred. Without: the 33 reference features (log
    where skewed) and the functional identity, each column standardised over these units.
    """
    parts = list(by_set.values())
    if sum(map(len, parts)) < FEWEST_UNITS:
        return None
    vectors = np.concatenate([each.vectors for each in parts]).astype(np.float64)
    what = "the model's identity vectors"
    if vectors.shape[1] == 0:
        what = "the standardised reference features and functional identity"
        vectors = _standardised(parts)
    vectors = vectors - vectors.mean(axis=0)
    left, strength, _ = np.linalg.svd(vectors, full_matrices=False)
    # Signs are arbitrary: let the longer tail point to the right and up.
    signs = np.where(np.sum(left[:, :2] ** 3, axis=0) < 0, -1.0, 1.0)
    recording = np.concatenate([each.recording for each in parts])
    area = np.concatenate([each.area for each in parts])
    neighbour = _nearest(vectors)
    groups = {"recording": recording}
    if len(set(area.tolist()) - {""}) > 1:
        groups["area"] = area
    return IdentityMap(
        what=what,
        position=left[:, :2] * strength[:2] * signs,
        explained=strength[:2] ** 2 / max(float(np.sum(strength**2)), 1e-300),
        recording=recording.tolist(),
        unit=np.concatenate([each.unit for each in parts]).tolist(),
        area=area.tolist(),
        used_for=[USED_FOR[name] for name, each in by_set.items() for _ in range(len(each))],
        rate_hz=np.concatenate([each.rate_hz for each in parts]),
        same={name: _shared(values, neighbour) for name, values in groups.items()},
    )


def draw_identity_map(
    data: IdentityMap,
    axes: Sequence[Axes],
    *,
    panels: Sequence[str] = (),
    rate_label: str = "rate in the reference (Hz)",
) -> None:
    """Draw one panel a colouring: by recording, by area if any is known, by rate.

    Parameters
    ----------
    data : IdentityMap
    axes : sequence of Axes
        As many as there are panels.
    panels : sequence of str
        Some of those that :func:`panels_of` names; all by default.
    rate_label : str
    """
    for name, ax in zip(panels or panels_of(data), axes, strict=True):
        if name == "rate":
            _draw_rates(data, ax, rate_label)
        else:
            _draw_groups(data, ax, getattr(data, name))
        ax.set_title(f"by {name}", loc="left")
        ax.set_xlabel(f"component 1 ({data.explained[0]:.0%} of the variance)")
        ax.set_ylabel(f"component 2 ({data.explained[1]:.0%})")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.margins(0.06)


def panels_of(data: IdentityMap) -> list[str]:
    """Name the panels: area only where at least two are known, rate where units have one."""
    area = ["area"] if "area" in data.same else []
    return ["recording", *area, *(["rate"] if np.isfinite(data.rate_hz).all() else [])]


def _draw_groups(data: IdentityMap, ax: Axes, group: list[str]) -> None:
    sizes = Counter(group)
    # With few recordings each has its colour; with many, what they were used for says more.
    if group is data.recording and len(sizes) > MOST_GROUPS:
        group = data.used_for
        sizes = Counter(group)
    named = [name for name, _ in sizes.most_common() if name][:MOST_GROUPS]
    values = np.array(group)
    others = ~np.isin(values, named)
    if others.any():
        x, y = data.position[others].T
        ax.scatter(x, y, s=7, color=LIGHT_GREY, linewidth=0, label="other or unknown")
    for colour, name in zip(PALETTE, sorted(named), strict=False):
        x, y = data.position[values == name].T
        ax.scatter(x, y, s=9, color=colour, alpha=0.75, linewidth=0, label=name)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncols=2,
        fontsize=6.5,
        handletextpad=0.2,
        columnspacing=1.0,
    )


def _draw_rates(data: IdentityMap, ax: Axes, label: str) -> None:
    rates = np.maximum(data.rate_hz, 0.01)
    low, high = (float(edge) for edge in np.quantile(rates, (0.02, 0.98)))
    points = ax.scatter(
        *data.position.T,
        c=rates,
        s=9,
        cmap="viridis",
        norm=LogNorm(low, max(high, 1.01 * low)),
        linewidth=0,
    )
    # Where the other panels have their legends.
    inset = ax.inset_axes((0.15, -0.17, 0.7, 0.03))
    bar = ax.figure.colorbar(points, cax=inset, orientation="horizontal")
    bar.ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
    bar.set_label(label, fontsize=7)


def _standardised(parts: Sequence[Identities]) -> FloatArray:
    statistics = np.concatenate([each.statistics for each in parts]).astype(np.float64)
    functional = np.concatenate([each.functional for each in parts]).astype(np.float64)
    functional = functional[:, :-_NUM_AMOUNTS]
    flat = np.zeros(functional.shape[1], dtype=bool)
    columns = [
        FeatureScaler.fit(values, log=log).transform(values)
        for values, log in ((statistics, skewed_reference_features()), (functional, flat))
    ]
    return np.concatenate(columns, axis=1)


def _nearest(vectors: FloatArray) -> NDArray[np.intp]:
    """Return the nearest other unit of each unit, (U,)."""
    squares = np.sum(vectors**2, axis=1)
    nearest = np.empty(len(vectors), dtype=np.intp)
    for start in range(0, len(vectors), 512):
        rows = slice(start, min(start + 512, len(vectors)))
        distance = squares[rows, None] + squares - 2.0 * vectors[rows] @ vectors.T
        distance[np.arange(rows.stop - start), np.arange(start, rows.stop)] = np.inf
        nearest[rows] = np.argmin(distance, axis=1)
    return nearest


def _shared(group: NDArray[np.str_], neighbour: NDArray[np.intp]) -> tuple[float, float]:
    """Return how often a neighbour is of the same group, and how often it would be by chance."""
    known = group != ""
    sizes = np.array(list(Counter(group[known].tolist()).values()), dtype=np.float64)
    share = float(np.mean((group == group[neighbour])[known]))
    chance = float(np.sum(sizes * (sizes - 1)) / max(known.sum() * (len(group) - 1), 1))
    return share, chance
