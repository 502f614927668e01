"""Ten seconds of one session: spikes above their forecasts, and single units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neurohorizon.evaluation.example import TRUE_RATE, Example
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.rows import RowStyle, style_of
from neurohorizon.report.style import BLACK, GREY, LIGHT_GREY, VERMILION

MOST_UNITS = 40
#: Example units have at least so many spikes in the stretch shown.
FEWEST_SPIKES = 15
SHARES = (0.95, 0.75, 0.5, 0.25)
_TRUE_STYLE = RowStyle(BLACK, BLACK, 0.9, (0, (3, 1.5)), rank=2)


@dataclass(frozen=True)
class RasterAboveForecast:
    """Spikes of some units and what was forecast for them, on one clock.

    Parameters
    ----------
    start_s, end_s : float
    unit : list of str
        Shown units, from the bottom up.
    spike_times, spike_row : (S,) arrays
        Seconds, and row in `unit`.
    bin_start_s : (T,) float
    relative : (T, U) float
        Forecast over the mean of the forecast in the stretch.
    event_name : str
    event_s : (K,) float
        Events in the stretch, in seconds.
    """

    start_s: float
    end_s: float
    unit: list[str]
    spike_times: FloatArray
    spike_row: NDArray[np.int64]
    bin_start_s: FloatArray
    relative: FloatArray
    event_name: str
    event_s: FloatArray

    def table(self) -> list[dict[str, Any]]:
        """Return the forecasts, one record a bin and unit; spikes are in the recording."""
        return [
            {"start_s": round(float(time), 6), "unit": unit, "forecast_over_mean": value}
            for column, unit in enumerate(self.unit)
            for time, value in zip(self.bin_start_s, self.relative[:, column], strict=True)
        ]


def compute_raster(example: Example, row: str) -> RasterAboveForecast:
    """Take the most active units of the stretch, ordered by when their forecast peaks.

    Parameters
    ----------
    example : Example
    row : str
        Whose forecasts to show.

    Notes
    -----
    The order comes from the forecast alone (units whose forecasts go together are
    neighbours: the first principal component of the relative forecasts), so structure that
    the spikes show in the same order is not put there by sorting the spikes.
    """
    start, end = example.shown_s
    inside = _inside(example)
    spikes = example.counts[inside].sum(axis=0)
    units = np.sort(np.argsort(-spikes, kind="stable")[:MOST_UNITS])
    units = units[spikes[units] > 0]
    rates = example.rate_hz[row][inside][:, units].astype(np.float64)
    relative = rates / rates.mean(axis=0)
    order = np.arange(len(units))
    if len(units) > 2 and len(relative) > 2:
        standard = (relative - 1.0) / np.maximum(relative.std(axis=0), 1e-9)
        left = np.linalg.svd(standard, full_matrices=False)[2]
        order = np.argsort(np.arctan2(left[1], left[0]), kind="stable")
    units, relative = units[order], relative[:, order]
    position = np.full(len(example.unit_id), -1, dtype=np.int64)
    position[units] = np.arange(len(units))
    rows = position[example.spike_row]
    return RasterAboveForecast(
        start_s=start,
        end_s=end,
        unit=[str(unit) for unit in example.unit_id[units]],
        spike_times=example.spike_times[rows >= 0],
        spike_row=rows[rows >= 0],
        bin_start_s=example.times_s[inside],
        relative=relative,
        event_name=example.event_name,
        event_s=example.event_s[(example.event_s >= start) & (example.event_s < end)],
    )


def draw_raster_above_forecast(data: RasterAboveForecast, axes: Sequence[Axes]) -> None:
    """Draw the spikes in the first axes and the forecast in the second, rows alike."""
    above, below = axes
    above.vlines(
        data.spike_times - data.start_s,
        data.spike_row - 0.42,
        data.spike_row + 0.42,
        color=BLACK,
        linewidth=0.55,
    )
    first = float(data.bin_start_s[0] - data.start_s) if len(data.bin_start_s) else 0.0
    extent = (first, data.end_s - data.start_s, -0.5, len(data.unit) - 0.5)
    image = below.imshow(
        np.log2(np.maximum(data.relative, 1e-6)).T,
        aspect="auto",
        origin="lower",
        cmap="RdBu_r",
        vmin=-2.0,
        vmax=2.0,
        interpolation="nearest",
        extent=extent,
    )
    bar = below.figure.colorbar(image, ax=list(axes), shrink=0.45, aspect=18, pad=0.01)
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["¼", "½", "1", "2", "4"])
    bar.set_label("forecast over its mean", fontsize=7)
    for ax, what in ((above, "spikes"), (below, "forecast")):
        ax.set_xlim(0.0, data.end_s - data.start_s)
        ax.set_ylim(-0.5, len(data.unit) - 0.5)
        ax.set_yticks([])
        ax.set_ylabel(f"{what} of {len(data.unit)} units")
    if len(data.event_s):
        top = len(data.unit) - 0.5
        at = data.event_s - data.start_s
        above.plot(at, np.full(len(at), top), "v", color=VERMILION, markersize=4, clip_on=False)
        above.annotate(
            f"▼ {data.event_name}",
            (1.0, 1.02),
            xycoords="axes fraction",
            ha="right",
            va="bottom",
            fontsize=7,
            color=VERMILION,
        )
    above.tick_params(labelbottom=False)
    below.set_xlabel("time (s)")


@dataclass(frozen=True)
class UnitTraces:
    """Counts of one unit and the forecasts of them.

    Parameters
    ----------
    unit : str
    share : float
        Share of units whose gain is below this unit's.
    bits_per_spike : float
    times_s : (T,) float
        Starts of the bins since the start of the stretch.
    bin_s : float
    observed_hz : (T,) float
        Counts over the width of a bin.
    reference_hz : float
    rate_hz : mapping of str to (T,) float
        By row.
    """

    unit: str
    share: float
    bits_per_spike: float
    times_s: FloatArray
    bin_s: float
    observed_hz: FloatArray
    reference_hz: float
    rate_hz: Mapping[str, FloatArray]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a bin."""
        return [
            {
                "unit": self.unit,
                "time_s": round(float(time), 6),
                "observed_hz": self.observed_hz[index],
                "reference_hz": self.reference_hz,
                **{name: float(values[index]) for name, values in self.rate_hz.items()},
            }
            for index, time in enumerate(self.times_s)
        ]


def compute_unit_traces(example: Example, *, bin_s: float = 0.1) -> list[UnitTraces]:
    """Choose units by a rule and gather their counts and forecasts.

    Parameters
    ----------
    example : Example
    bin_s : float
        Width of the bins of the observed counts, in seconds.

    Notes
    -----
    Of the units that fire in the stretch, those at the 95th, 75th, 50th and 25th percentile
    of the model's bits per spike over the whole evaluation: a good one, two usual ones and a
    poor one.
    """
    inside = _inside(example)
    spikes = example.counts[inside].sum(axis=0)
    known = np.isfinite(example.bits_per_spike)
    lively = np.flatnonzero((spikes >= FEWEST_SPIKES) & known)
    if len(lively) < len(SHARES):
        lively = np.flatnonzero((spikes > 0) & known)
    if len(lively) == 0:
        return []
    ranked = lively[np.argsort(example.bits_per_spike[lively], kind="stable")]
    chosen = [(share, ranked[round(share * (len(ranked) - 1))]) for share in SHARES]
    step = max(1, round(bin_s / example.bin_s))
    num_bins = int(inside.sum()) // step
    rows = np.flatnonzero(inside)[: num_bins * step]

    def average(values: NDArray[Any]) -> FloatArray:
        return values[rows].astype(np.float64).reshape(num_bins, step).mean(axis=1)

    return [
        UnitTraces(
            unit=str(example.unit_id[unit]),
            share=share,
            bits_per_spike=float(example.bits_per_spike[unit]),
            times_s=np.arange(num_bins, dtype=np.float64) * step * example.bin_s,
            bin_s=step * example.bin_s,
            observed_hz=average(example.counts[:, unit]) / example.bin_s,
            reference_hz=float(example.reference_hz[unit]),
            rate_hz={name: average(rates[:, unit]) for name, rates in example.rate_hz.items()},
        )
        for share, unit in {unit: (share, unit) for share, unit in chosen}.values()
    ]


def draw_unit_traces(
    data: Sequence[UnitTraces], axes: Sequence[Axes], *, styles: Mapping[str, RowStyle]
) -> None:
    """Draw one unit a panel: counts as bars, forecasts as lines, the reference rate dotted."""
    for ax, unit in zip(axes, data, strict=True):
        edges = np.append(unit.times_s, unit.times_s[-1] + unit.bin_s)
        ax.stairs(unit.observed_hz, edges, fill=True, color=LIGHT_GREY, label="observed")
        ax.axhline(
            unit.reference_hz, color=GREY, linewidth=0.9, linestyle=":", label="reference rate"
        )
        # The model over all others.
        for name, rates in reversed(list(unit.rate_hz.items())):
            style = _TRUE_STYLE if name == TRUE_RATE else style_of(styles, name)
            ax.plot(edges[:-1] + unit.bin_s / 2, rates, **style.line, label=name)
        top = max(np.max(each) for each in (unit.observed_hz, *unit.rate_hz.values()))
        ax.set_ylim(0.0, 1.06 * max(float(top), unit.reference_hz))
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylabel("rate (Hz)")
        ax.text(
            1.005,
            0.5,
            f"{unit.unit}\n{unit.share:.0%} of units\nscore lower\n"
            f"{unit.bits_per_spike:.2f} bits/spike",
            transform=ax.transAxes,
            va="center",
            fontsize=6.5,
        )
        if ax is not axes[-1]:
            ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("time (s)")
    axes[0].figure.align_ylabels(list(axes))
    handles, labels = axes[0].get_legend_handles_labels()
    order = [labels.index(name) for name in ("observed", "reference rate")]
    order += [index for index in reversed(range(len(labels))) if index not in order]
    axes[0].legend(
        [handles[index] for index in order],
        [labels[index] for index in order],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=len(labels),
        borderaxespad=0.1,
        columnspacing=1.2,
    )


def _inside(example: Example) -> NDArray[np.bool_]:
    """Return which bins lie in the part that is shown spike by spike."""
    start, end = example.shown_s
    times = example.times_s
    return (times > start - 1e-6) & (times + example.bin_s < end + 1e-6)
