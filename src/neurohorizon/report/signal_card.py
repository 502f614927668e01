"""The card of a recording of continuous values: one look before anything is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray, Recording, Split
from neurohorizon.recordings.splits import PARTS
from neurohorizon.report.style import (
    BLACK,
    BLUE,
    GREY,
    PART_COLOURS,
    label_panel,
    new_figure,
    styled,
)

MOST_SAMPLES = 4000
SHOWN_S = 120.0
NUM_BINS = 400


@dataclass(frozen=True)
class SignalCard:
    """What the card shows.

    Parameters
    ----------
    title, signal, unit : str
        The signal shown, and the physical unit of its values.
    span_s : (float, float)
        The stretch shown unit by unit.
    shown : (N, P) float
        Each unit's values there in its standard deviations, by area; NaN where missing.
    rows : list of (str, float)
        Areas and the middle of their rows.
    times_s, mean : (P,) float
        Mean over units, of standardised values, over the whole recording.
    deviation, skewness : (N,) float
    split : Split or None
    """

    title: str
    signal: str
    unit: str
    span_s: tuple[float, float]
    shown: FloatArray
    rows: list[tuple[str, float]]
    times_s: FloatArray
    mean: FloatArray
    deviation: FloatArray
    skewness: FloatArray
    split: Split | None


def compute_signal_card(recording: Recording) -> SignalCard:
    """Gather what the card shows of the first signal.

    Raises
    ------
    DataError
        If the recording has no signals.
    """
    if not recording.signals:
        raise DataError(f"{recording.id}: no signals, so there is nothing to show")
    name, signal = next(iter(recording.signals.items()))
    if len(signal.timestamps) < 2:
        raise DataError(f"{recording.id}: signal {name} has fewer than two samples")
    order = np.argsort(recording.units.area, kind="stable")
    area = recording.units.area[order]
    step = max(1, len(signal.timestamps) // (10 * MOST_SAMPLES))
    sample = np.asarray(signal.values[::step], dtype=np.float64)[:, order]
    known = np.isfinite(sample)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, sample, 0.0)
    mean = centred.sum(axis=0) / count
    centred = np.where(known, sample - mean, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / count)
    scale = np.where(deviation > 0, deviation, np.nan)
    skewness = (centred**3).sum(axis=0) / count / scale**3
    times = np.asarray(signal.timestamps)
    middle = float(times[len(times) // 2])
    low, high = np.searchsorted(times, (middle, middle + SHOWN_S))
    every = max(1, (high - low) // MOST_SAMPLES)
    stretch = np.asarray(signal.values[low:high:every], dtype=np.float64)[:, order]
    standard = np.where(known, centred / scale, 0.0)
    edges = np.linspace(0, len(sample), min(NUM_BINS, len(sample)) + 1).astype(int)
    sums = np.add.reduceat(np.nansum(standard, axis=1), edges[:-1])
    sizes = np.maximum(np.add.reduceat(known.sum(axis=1), edges[:-1]), 1)
    names = [str(each) or "unknown" for each in area]
    middles = [
        (each, float(np.mean([row for row, found in enumerate(names) if found == each])))
        for each in dict.fromkeys(names)
    ]
    rate_hz = 1.0 / float(np.median(np.diff(times)))
    return SignalCard(
        title=f"{recording.id}: {recording.num_units:,} units, {name} at {rate_hz:.3g} Hz, "
        f"{recording.duration_s / 60:.1f} min",
        signal=name,
        unit=signal.unit,
        span_s=(middle, float(times[high - 1])),
        shown=((stretch - mean) / scale).T,
        rows=middles,
        times_s=times[::step][(edges[:-1] + edges[1:]) // 2],
        mean=sums / sizes,
        deviation=deviation,
        skewness=skewness,
        split=recording.split,
    )


@styled()
def draw_signal_card(card: SignalCard) -> Figure:
    """Draw the card, one page wide."""
    figure = new_figure(183, 95)
    grid = figure.add_gridspec(2, 3, height_ratios=[1.6, 1.0])
    _draw_values(card, figure, figure.add_subplot(grid[0, :]))
    _draw_mean(card, figure.add_subplot(grid[1, 0]))
    _draw_histogram(
        card.deviation,
        f"standard deviation ({card.unit or 'a.u.'})",
        figure.add_subplot(grid[1, 1]),
    )
    _draw_histogram(card.skewness, "skewness", figure.add_subplot(grid[1, 2]))
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    for ax, letter in zip(panels, "abcd", strict=True):
        label_panel(ax, letter)
    figure.suptitle(card.title)
    return figure


def _draw_values(card: SignalCard, figure: Figure, ax: Axes) -> None:
    image = ax.imshow(
        card.shown,
        aspect="auto",
        cmap="Greys",
        vmin=0,
        vmax=4,
        interpolation="nearest",
        extent=(card.span_s[0], card.span_s[1], len(card.shown) - 0.5, -0.5),
    )
    ax.set_yticks([middle for _, middle in card.rows], [area for area, _ in card.rows])
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("time (s)")
    bar = figure.colorbar(image, ax=ax, shrink=0.7, pad=0.01, ticks=[0, 2, 4])
    bar.set_label("standard deviations")


def _draw_mean(card: SignalCard, ax: Axes) -> None:
    ax.plot(card.times_s / 60, card.mean, color=BLACK, linewidth=0.6)
    if card.split is not None:
        for part in PARTS:
            for start, end in card.split.domain(part) / 60:
                ax.axvspan(start, end, ymin=0, ymax=0.04, color=PART_COLOURS[part], linewidth=0)
    ax.axhline(0.0, color=GREY, linewidth=0.5)
    ax.set_xlabel("time (min); below: train, valid, test")
    ax.set_ylabel("mean of the units")


def _draw_histogram(values: FloatArray, label: str, ax: Axes) -> None:
    known = values[np.isfinite(values)]
    ax.hist(known, int(np.clip(len(known) / 4, 8, 40)), color=BLUE)
    ax.set_xlabel(label)
    ax.set_ylabel("units")
