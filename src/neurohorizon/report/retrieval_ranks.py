"""Rank curves: the share of test pictures whose right candidate is among the first k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from neurohorizon.evaluation.retrieval.identification import identified
from neurohorizon.evaluation.retrieval.results import GALLERY, Direction, RetrievalResult
from neurohorizon.recordings.schema import FloatArray, IntArray
from neurohorizon.report.rows import RowStyle, style_of
from neurohorizon.report.style import GREY

_NUM_DRAWS = 500
_MOST_STEPS = 40


@dataclass(frozen=True, eq=False)
class RankCurve:
    """One row.

    Parameters
    ----------
    row : str
    share, low, high : (K,) float
        With its 95 % interval over pictures.
    """

    row: str
    share: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class RankCurves:
    """The curves of a panel.

    Parameters
    ----------
    title : str
    recordings : tuple of str
        Over which curves are averaged.
    gallery : int
        Candidates.
    first : (K,) int
        How many first places count.
    curves : list of RankCurve
    """

    title: str
    recordings: tuple[str, ...]
    gallery: int
    first: IntArray
    curves: list[RankCurve]

    @property
    def chance(self) -> FloatArray:
        """What a coin would find, (K,)."""
        return self.first / self.gallery

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and number of places."""
        return [
            {
                "panel": self.title,
                "row": curve.row,
                "gallery": self.gallery,
                "first": int(self.first[index]),
                "share": float(curve.share[index]),
                "low": float(curve.low[index]),
                "high": float(curve.high[index]),
                "chance": float(self.chance[index]),
            }
            for curve in self.curves
            for index in range(len(self.first))
        ]


def compute_ranks(
    result: RetrievalResult,
    rows: Sequence[str],
    *,
    recording: str | None = None,
    direction: Direction = "picture",
    seed: int = 0,
) -> RankCurves:
    """Count how often the right candidate is among the first k.

    Parameters
    ----------
    result : RetrievalResult
    rows : sequence of str
        Those are left out that are not scored on all recordings of the panel.
    recording : str, optional
        Among all candidates of one recording, at every k. By default the mean over recordings, in
        galleries of a size that all have (100 where they can).
    direction : {"picture", "response"}
    seed : int
        Of the bootstrap.
    """
    cases = [each for each in result.cases if recording in (None, each.recording)]
    fewest = min(len(case) for case in cases)
    gallery = fewest if recording is not None else min(fewest, GALLERY)
    first = np.arange(1, gallery + 1)
    if recording is None and gallery > _MOST_STEPS:
        first = np.unique(np.round(np.geomspace(1, gallery, _MOST_STEPS)).astype(np.int64))
    names = tuple(case.recording for case in cases)
    curves = []
    for row in rows:
        if any((row, name, direction) not in result.better for name in names):
            continue
        share = np.zeros(len(first))
        drawn = np.zeros((_NUM_DRAWS, len(first)))
        for number, name in enumerate(names):
            found_QK = _found(result.better[row, name, direction], first, gallery)
            generator = np.random.default_rng([seed, number])
            num = len(found_QK)
            times = generator.multinomial(num, np.full(num, 1 / num), size=_NUM_DRAWS)
            share += found_QK.mean(axis=0) / len(names)
            drawn += times @ found_QK / num / len(names)
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        curves.append(RankCurve(row, share, low, high))
    title = cases[0].recording if len(cases) == 1 else "mean of recordings"
    return RankCurves(title, names, gallery, first, curves)


def _found(better_SQ: FloatArray, first: IntArray, gallery: int) -> FloatArray:
    """Return the probability of being among the first, the mean over seeds, (Q, K)."""
    values, inverse = np.unique(better_SQ, return_inverse=True)
    num = better_SQ.shape[1]
    of_value = np.stack(
        [
            identified(values, num_candidates=num, gallery=min(gallery, num), first=int(each))
            for each in first
        ],
        axis=1,
    )
    return of_value[inverse.reshape(better_SQ.shape)].mean(axis=0)


def draw_ranks(
    data: RankCurves, ax: Axes, *, styles: Mapping[str, RowStyle], lead: str = ""
) -> None:
    """Draw the curves on a logarithmic axis of places; a band around the leading row."""
    ax.plot(data.first, 100 * data.chance, color=GREY, linewidth=0.8, linestyle=":", label="chance")
    for curve in data.curves:
        style = style_of(styles, curve.row)
        ax.plot(data.first, 100 * curve.share, label=curve.row, **style.line)
        if curve.row == lead:
            ax.fill_between(
                data.first,
                100 * curve.low,
                100 * curve.high,
                color=style.colour,
                alpha=0.18,
                linewidth=0,
            )
    ax.set_xscale("log")
    ax.set_xlim(1, data.gallery)
    ax.set_ylim(0, 101)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_title(f"{data.title}, of {data.gallery:,}", fontsize=7.5)
