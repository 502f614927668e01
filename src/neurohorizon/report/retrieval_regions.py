"""What each region says of the picture: bars by region, and curves over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from neurohorizon.evaluation.retrieval.regions import WHOLE, Window
from neurohorizon.evaluation.retrieval.results import Metric, RetrievalResult
from neurohorizon.evaluation.retrieval.summary import Estimate, common_metrics, estimate
from neurohorizon.report.style import BLACK, GREY, LIGHT_GREY, PALETTE

_ALONE = " alone"


@dataclass(frozen=True, eq=False)
class RegionScores:
    """Scores of one row of the ladder, fitted to parts of the electrodes.

    Parameters
    ----------
    title : str
    metric : Metric
    regions : list of str
    scores : dict of str to Estimate
        By the name of the part, in the order of the drawing.
    chance : float
    """

    title: str
    metric: Metric
    regions: list[str]
    scores: dict[str, Estimate]
    chance: float

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a part."""
        return [
            {"electrodes": name, "metric": self.metric.name, **_numbers(found, self.chance)}
            for name, found in self.scores.items()
        ]

    def region_of(self, name: str) -> str:
        """Return the region that a part is of; "" for all."""
        named = [each for each in self.regions if name.startswith((f"{each} ", f"{each},"))]
        named += [each for each in self.regions if name == f"without {each}"]
        return max(named, key=len, default="")


def compute_regions(result: RetrievalResult) -> RegionScores:
    """Score every part; parts of one kind come together, regions in one order."""
    metric = common_metrics(result)[0]
    names = [row.name for row in result.rows]
    regions = [name.removesuffix(_ALONE) for name in names if name.endswith(_ALONE)]
    # A result holds all parts of a region together: the first part of each, the second, ...
    rest = [name for name in names if name != WHOLE]
    plain = [name for name in rest if not name.endswith("as reliable")]
    kinds = len(plain) // max(len(regions), 1)
    order = [WHOLE, *(name for kind in range(kinds) for name in plain[kind::kinds])]
    order += [name for name in rest if name not in order]
    return RegionScores(
        title=result.title,
        metric=metric,
        regions=regions,
        scores={name: estimate(result, name, metric) for name in order},
        chance=_chance(result, metric),
    )


def draw_regions(data: RegionScores, ax: Axes) -> None:
    """Draw one bar a part with its interval, in the colour of the region."""
    place, places, kind = 0.0, [], ""
    for name, found in data.scores.items():
        region = data.region_of(name)
        this = name.replace(region, "") if region else ""
        if this != kind:
            place, kind = place + 0.6, this
        colour = colours(data.regions).get(region, BLACK)
        left_out = name.startswith("without")
        ax.barh(
            place,
            100 * found.value,
            height=0.8,
            color="white" if left_out else colour,
            edgecolor=colour,
            linewidth=0.8,
        )
        ax.hlines(place, 100 * found.low, 100 * found.high, color=GREY, linewidth=1.0)
        places.append(place)
        place += 1.0
    ax.axvline(100 * data.chance, color=GREY, linewidth=0.8, linestyle=":")
    ax.set_yticks(places, list(data.scores))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(place - 0.3, -0.2)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"{data.metric.name} (%)")


@dataclass(frozen=True, eq=False)
class WindowScores:
    """Scores of one row of the ladder, fitted to time windows.

    Parameters
    ----------
    title : str
    metric : Metric
    regions : list of str
        The whole first.
    single, until : dict of str to list of (Window, Estimate)
        By region: every bin by itself, and all until its end.
    chance : float
    """

    title: str
    metric: Metric
    regions: list[str]
    single: dict[str, list[tuple[Window, Estimate]]]
    until: dict[str, list[tuple[Window, Estimate]]]
    chance: float

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a window."""
        every = {
            window.row: (window, found)
            for curves in (self.single, self.until)
            for each in curves.values()
            for window, found in each
        }
        return [
            {
                "region": window.region,
                "start_s": window.start_s,
                "end_s": window.end_s,
                "metric": self.metric.name,
                **_numbers(found, self.chance),
            }
            for window, found in every.values()
        ]


def compute_windows(result: RetrievalResult) -> WindowScores:
    """Score every window."""
    metric = common_metrics(result)[0]
    windows = [Window.of(row.name) for row in result.rows]
    first = min(window.start_s for window in windows)
    shortest: dict[tuple[str, float], Window] = {}
    for window in windows:
        key = window.region, window.end_s
        shortest[key] = max(shortest.get(key, window), window, key=lambda each: each.start_s)
    scored = {window.row: estimate(result, window.row, metric) for window in windows}
    regions = list(dict.fromkeys(window.region for window in windows))

    def curves(some: Sequence[Window]) -> dict[str, list[tuple[Window, Estimate]]]:
        return {
            region: [(each, scored[each.row]) for each in some if each.region == region]
            for region in regions
        }

    return WindowScores(
        title=result.title,
        metric=metric,
        regions=regions,
        single=curves(list(shortest.values())),
        until=curves([window for window in windows if window.start_s == first]),
        chance=_chance(result, metric),
    )


def draw_windows(data: WindowScores, axes: Sequence[Axes]) -> None:
    """Draw every bin by itself on the first axes, all until then on the second."""
    looks = {WHOLE: BLACK, **colours([each for each in data.regions if each != WHOLE])}
    for ax, found, title in (
        (axes[0], data.single, "each time bin alone"),
        (axes[1], data.until, "all bins until then"),
    ):
        for region, points in found.items():
            ends = [1000 * window.end_s for window, _ in points]
            ax.plot(
                ends,
                [100 * each.value for _, each in points],
                marker="o",
                color=looks[region],
                label=region,
            )
            low = [100 * each.low for _, each in points]
            high = [100 * each.high for _, each in points]
            ax.fill_between(ends, low, high, color=looks[region], alpha=0.12, linewidth=0)
        ax.axhline(100 * data.chance, color=GREY, linewidth=0.8, linestyle=":")
        ax.axhline(0, color=LIGHT_GREY, linewidth=0.4)
        ax.set_xlabel("end of the bin after the picture came on (ms)")
        ax.set_title(title, fontsize=7.5)
    axes[0].set_ylabel(f"{data.metric.name} (%)")
    axes[0].set_ylim(bottom=0)


def colours(regions: Sequence[str]) -> Mapping[str, str]:
    """Return a colour for each region, in their order."""
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(regions)}


def _chance(result: RetrievalResult, metric: Metric) -> float:
    return sum(metric.chance(len(case)) for case in result.cases) / len(result.cases)


def _numbers(found: Estimate, chance: float) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high, "chance": chance}
