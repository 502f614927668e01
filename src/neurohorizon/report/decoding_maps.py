"""Decoded against true values: densities, where errors lie, and which classes are mixed up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from neurohorizon.evaluation.decoding.metrics import distances, r2
from neurohorizon.evaluation.decoding.results import Predictions
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import BLACK, GREY

NUM_BINS = 48
#: Cells with fewer time stamps are not drawn: a median of few is noise.
_FEWEST = 4
_MOST_CLASSES_WRITTEN = 12


@dataclass(frozen=True, eq=False)
class Density:
    """How often each true value of one column was decoded as which.

    Parameters
    ----------
    recording, row, label : str
    edges : (B + 1,) float
    counts : (B, B) int
        By true and decoded value; what was decoded beyond the true values' range lies at
        its ends.
    r2 : float
    """

    recording: str
    row: str
    label: str
    edges: FloatArray
    counts: NDArray[np.int64]
    r2: float

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a cell that is not empty."""
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        return [
            {
                "recording": self.recording,
                "row": self.row,
                "column": self.label,
                "true": middle[true],
                "decoded": middle[said],
                "time_stamps": int(self.counts[true, said]),
            }
            for true, said in zip(*np.nonzero(self.counts), strict=True)
        ]


def compute_density(
    recording: str, predictions: Predictions, row: str, column: int, *, label: str = ""
) -> Density:
    """Count true against decoded values of one column."""
    truth = predictions.values[:, column].astype(np.float64)
    said = predictions.decoded[row][:, column].astype(np.float64)
    low, high = float(truth.min()), float(truth.max())
    edges = np.linspace(low, high if high > low else low + 1.0, NUM_BINS + 1)
    counts = np.histogram2d(truth, np.clip(said, edges[0], edges[-1]), bins=(edges, edges))[0]
    score = float(r2(truth[:, None], said[:, None])[0])
    return Density(recording, row, label, edges, counts.astype(np.int64), score)


def draw_density(data: Density, ax: Axes) -> AxesImage:
    """Draw the density; on the diagonal, what is true was decoded."""
    shown = np.where(data.counts > 0, data.counts, np.nan).T
    extent = (data.edges[0], data.edges[-1], data.edges[0], data.edges[-1])
    image = ax.imshow(
        shown,
        origin="lower",
        extent=extent,
        cmap="viridis_r",
        norm=LogNorm(1, max(float(data.counts.max()), 2.0)),
        interpolation="nearest",
    )
    ax.plot(extent[:2], extent[:2], color=BLACK, linewidth=0.7, linestyle=(0, (3, 2)))
    ax.set_title(f"{data.row}\n{data.recording}, R² {data.r2:.3f}".replace("-0.", "−0."))
    ax.set_xlabel(f"true {data.label}")
    ax.set_ylabel(f"decoded {data.label}")
    return image


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """The median error at each place of a target of two columns.

    Parameters
    ----------
    recording, row, unit : str
    x_edges, y_edges : float arrays
    median : (X, Y) float
        NaN where the target hardly was.
    overall : float
        Median over all time stamps.
    """

    recording: str
    row: str
    unit: str
    x_edges: FloatArray
    y_edges: FloatArray
    median: FloatArray
    overall: float

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a place."""
        x, y = ((edges[1:] + edges[:-1]) / 2 for edges in (self.x_edges, self.y_edges))
        return [
            {
                "recording": self.recording,
                "row": self.row,
                "x": x[column],
                "y": y[line],
                "median_error": self.median[column, line],
                "unit": self.unit,
            }
            for column, line in zip(*np.nonzero(np.isfinite(self.median)), strict=True)
        ]


def compute_error_map(
    recording: str, predictions: Predictions, row: str, *, unit: str = "", num_bins: int = 32
) -> ErrorMap:
    """Take the median error at each place."""
    truth = predictions.values.astype(np.float64)
    error = distances(truth, predictions.decoded[row])
    low, high = truth.min(axis=0), truth.max(axis=0)
    cell = max(float((high - low).max()) / num_bins, 1e-9)
    place = np.floor((truth - low) / cell).astype(np.int64)
    shape = place.max(axis=0) + 1
    flat = place[:, 0] * shape[1] + place[:, 1]
    order = np.lexsort((error, flat))
    flat, error_sorted = flat[order], error[order]
    cells, first, number = np.unique(flat, return_index=True, return_counts=True)
    median = np.full(int(np.prod(shape)), np.nan)
    enough = number >= _FEWEST
    median[cells[enough]] = error_sorted[(first + number // 2)[enough]]
    return ErrorMap(
        recording=recording,
        row=row,
        unit=unit,
        x_edges=low[0] + cell * np.arange(shape[0] + 1),
        y_edges=low[1] + cell * np.arange(shape[1] + 1),
        median=median.reshape(shape),
        overall=float(np.median(error)),
    )


def draw_error_map(data: ErrorMap, ax: Axes, *, top: float) -> Any:
    """Draw the map, with colours from 0 to a common top."""
    mesh = ax.pcolormesh(
        data.x_edges,
        data.y_edges,
        data.median.T,
        cmap="magma_r",
        vmin=0.0,
        vmax=top,
        rasterized=True,
    )
    ax.set_aspect("equal")
    unit = f" {data.unit}" if data.unit else ""
    ax.set_title(f"{data.row}\n{data.recording}, median {data.overall:.3g}{unit}")
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    return mesh


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each class was decoded as which, over all recordings.

    Parameters
    ----------
    task, row : str
    classes : tuple of str
    counts : (C, C) int
        By true and decoded class.
    score : float
        Balanced accuracy, mean over recordings.
    """

    task: str
    row: str
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    score: float

    @property
    def shares(self) -> FloatArray:
        """Of each true class, the share decoded as which; NaN of a class that does not occur."""
        total = self.counts.sum(axis=1, keepdims=True)
        empty = np.full(self.counts.shape, np.nan)
        return np.divide(self.counts, total, out=empty, where=total > 0)

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a pair of classes."""
        return [
            {
                "task": self.task,
                "row": self.row,
                "true": true,
                "decoded": said,
                "time_stamps": int(self.counts[i, j]),
                "share_of_true": self.shares[i, j],
            }
            for i, true in enumerate(self.classes)
            for j, said in enumerate(self.classes)
        ]


def draw_confusion(data: Confusion, ax: Axes) -> AxesImage:
    """Draw shares of each true class, a row each."""
    image = ax.imshow(data.shares, cmap="Blues", vmin=0.0, vmax=1.0)
    size = len(data.classes)
    if size <= _MOST_CLASSES_WRITTEN:
        for i, j in np.ndindex(size, size):
            share = data.shares[i, j]
            if np.isfinite(share):
                colour = "white" if share > 0.55 else BLACK
                text = f"{share:.2f}"
                ax.text(j, i, text, ha="center", va="center", fontsize=6.5, color=colour)
    turned = any(len(name) > 4 for name in data.classes)
    ax.set_xticks(
        range(size),
        list(data.classes),
        rotation=45 if turned else 0,
        ha="right" if turned else "center",
    )
    ax.set_yticks(range(size), list(data.classes))
    ax.set_xlabel("decoded")
    ax.set_ylabel("true")
    ax.tick_params(length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GREY)
    ax.set_title(f"{data.row}\nbalanced accuracy {data.score:.3f}")
    return image
