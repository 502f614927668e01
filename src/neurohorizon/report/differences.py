"""Paired differences: the model against the strongest baseline, recording by recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from neurohorizon.evaluation.bootstrap import bootstrap
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import difference, strongest_by_horizon
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import BLACK, BLUE, GREY, LIGHT_GREY, VERMILION

_MOST_NAMED = 24
#: With fewer recordings, the scale holds all of them.
_FEWEST_TO_CUT = 12


@dataclass(frozen=True)
class DifferencePanel:
    """One row minus another at one horizon.

    Parameters
    ----------
    row, to : str
    horizon_s : float
    recordings : list of str
    value, low, high : (R,) float
        Bits per spike on each recording, bootstrapped over its blocks of time.
    pooled : (3,) float
        All recordings together: value, low, high.
    pooled_over : str
        What the pooled interval was bootstrapped over.
    """

    row: str
    to: str
    horizon_s: float
    recordings: list[str]
    value: FloatArray
    low: FloatArray
    high: FloatArray
    pooled: FloatArray
    pooled_over: str

    @property
    def wins(self) -> int:
        """Recordings on which the row is above the other."""
        return int(np.sum(self.value > 0))

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a recording and one for all together."""
        names = [*self.recordings, "all recordings"]
        columns = (
            np.append(each, one)
            for each, one in zip((self.value, self.low, self.high), self.pooled, strict=True)
        )
        return [
            {
                "row": self.row,
                "to": self.to,
                "horizon_s": self.horizon_s,
                "recording": name,
                "difference": value,
                "low": low,
                "high": high,
            }
            for name, value, low, high in zip(names, *columns, strict=True)
        ]


def compute_differences(
    result: EvaluationResult, row: str, *, to: Sequence[str] | None = None
) -> list[DifferencePanel]:
    """Take paired differences at every horizon.

    Parameters
    ----------
    result : EvaluationResult
    row : str
    to : sequence of str, optional
        A row for each horizon; the strongest baseline there by default.

    Returns
    -------
    list of DifferencePanel
        One a horizon; recordings in one order, by their mean difference.
    """
    targets = list(to) if to is not None else strongest_by_horizon(result)
    names = [case.recording for case in result.scored_cases()]
    panels = []
    for index, (horizon_s, target) in enumerate(
        zip(result.protocol.horizons_s, targets, strict=True)
    ):
        per_recording = []
        for mine, theirs in zip(result.of_row(row), result.of_row(target), strict=True):
            gain = mine.at_horizons(mine.log_likelihood - theirs.log_likelihood).sum(axis=1)
            found = bootstrap([gain], [mine.at_horizons(mine.spikes).sum(axis=1)])
            per_recording.append([found.value[index], found.low[index], found.high[index]])
        pooled = difference(result, row, target)
        value, low, high = np.array(per_recording).T
        panels.append(
            DifferencePanel(
                row=row,
                to=target,
                horizon_s=horizon_s,
                recordings=names,
                value=value,
                low=low,
                high=high,
                pooled=np.array([each[index] for each in (pooled.value, pooled.low, pooled.high)]),
                pooled_over=pooled.over,
            )
        )
    order = np.argsort(np.mean([panel.value for panel in panels], axis=0))
    return [
        DifferencePanel(
            row=panel.row,
            to=panel.to,
            horizon_s=panel.horizon_s,
            recordings=[names[index] for index in order],
            value=panel.value[order],
            low=panel.low[order],
            high=panel.high[order],
            pooled=panel.pooled,
            pooled_over=panel.pooled_over,
        )
        for panel in panels
    ]


def draw_differences(panels: Sequence[DifferencePanel], axes: Sequence[Axes]) -> None:
    """Draw one panel a horizon, on one scale; recordings above, all together below.

    Blue: the interval is above 0; orange-red: below; grey: it holds 0.
    """
    limit = _limit(panels)
    for column, (panel, ax) in enumerate(zip(panels, axes, strict=True)):
        rows = np.arange(len(panel.value)) + 1.8
        ax.axvline(0.0, color=BLACK, linewidth=0.7, zorder=1)
        ax.axhspan(-0.8, 0.9, color="#F2F2F2", zorder=0)
        for y, value, low, high in zip(rows, panel.value, panel.low, panel.high, strict=True):
            colour = _colour(low, high)
            ax.plot(np.clip([low, high], -limit, limit), [y, y], color=colour, linewidth=1.0)
            # A point beyond the scale is an arrow at its edge.
            beyond = abs(value) > limit
            marker = (">" if value > 0 else "<") if beyond else "o"
            ax.plot(np.clip(value, -limit, limit), y, marker, color=colour, markersize=3.5)
        value, low, high = panel.pooled
        colour = _colour(low, high)
        ax.plot([low, high], [0.05, 0.05], color=colour, linewidth=2.0, solid_capstyle="butt")
        ax.plot(value, 0.05, "D", color=colour, markersize=5.5)
        ax.set_xlim(-1.08 * limit, 1.08 * limit)
        ax.set_ylim(-0.8, len(rows) + 1.6)
        interval = f" [{low:+.4f}, {high:+.4f}]" if np.isfinite(low) else ""
        ax.set_title(
            f"{panel.horizon_s * 1000:g} ms\nwon {panel.wins} of {len(panel.value)}\n"
            + f"{value:+.4f}{interval}".replace("-", "−"),
            fontsize=7.5,
            linespacing=1.35,
        )
        ax.set_xlabel(f"minus {panel.to}")
        ax.xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LIGHT_GREY, linewidth=0.4, zorder=0)
        ax.set_axisbelow(True)
        named = len(rows) <= _MOST_NAMED
        if column == 0:
            labels = panel.recordings if named else []
            ax.set_yticks([0.05, *(rows if named else [])], ["all together", *labels])
            ax.get_yticklabels()[0].set_fontweight("bold")
            if not named:
                ax.set_ylabel(f"{len(rows)} recordings, by their difference")
        else:
            ax.set_yticks([])


def difference_height_mm(num_recordings: int) -> float:
    """Return how high the figure is to be."""
    return 32.0 + (4.6 if num_recordings <= _MOST_NAMED else 2.4) * (num_recordings + 2)


def _limit(panels: Sequence[DifferencePanel]) -> float:
    """Return a scale on which the usual recordings can be told apart."""
    ends = [np.abs([panel.value, panel.low, panel.high]).ravel() for panel in panels]
    together = np.abs(np.concatenate([panel.pooled for panel in panels]))
    every = np.concatenate(ends)
    every = every[np.isfinite(every)]
    share = 0.9 if len(panels[0].value) >= _FEWEST_TO_CUT else 1.0
    usual = 1.1 * float(np.quantile(every, share)) if len(every) else 0.0
    return max(usual, 1.1 * float(np.max(together[np.isfinite(together)], initial=0.0)), 1e-3)


def _colour(low: float, high: float) -> str:
    return BLUE if low > 0 else VERMILION if high < 0 else GREY
