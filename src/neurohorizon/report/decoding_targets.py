"""What is to be decoded, in training and in test: the same distribution, or another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neurohorizon.evaluation.decoding.targets_by_part import PARTS, TargetByPart
from neurohorizon.report.style import BLACK, PART_COLOURS, VERMILION

#: A figure holds so many targets at most; the table beside it holds them all.
MOST_SHOWN = 12


def target_table(found: Sequence[TargetByPart]) -> list[dict[str, Any]]:
    """Return the numbers of all targets, one record a target and part."""
    return [record for each in found for record in each.table()]


def choose_targets(found: Sequence[TargetByPart]) -> list[TargetByPart]:
    """Return the targets to show: those that differ most between training and test first."""
    far = [float(np.nan_to_num(each.distance[2], nan=2.0)) for each in found]
    chosen = sorted(np.argsort([-each for each in far], kind="stable")[:MOST_SHOWN].tolist())
    return [found[index] for index in chosen]


def draw_target(data: TargetByPart, ax: Axes) -> None:
    """Draw one target's distribution in each part: outlines of histograms, or bars of classes."""
    if data.classes:
        width = 0.8 / len(PARTS)
        for index, part in enumerate(PARTS):
            at = np.arange(len(data.classes)) + (index - 1) * width
            share = np.nan_to_num(data.shares[index])
            ax.bar(at, share, 0.9 * width, color=PART_COLOURS[part], label=part)
        turned = any(len(name) > 5 for name in data.classes)
        ax.set_xticks(
            range(len(data.classes)),
            list(data.classes),
            rotation=45 if turned else 0,
            ha="right" if turned else "center",
        )
        ax.set_ylabel("share of time")
        name = data.task
    else:
        for index, part in enumerate(PARTS):
            if data.counts[index]:
                share = data.shares[index] / np.diff(data.edges)
                style: dict[str, Any] = {"color": PART_COLOURS[part], "label": part}
                ax.stairs(share, data.edges, linewidth=1.2 if part != "valid" else 0.8, **style)
                if part == "train":
                    ax.stairs(share, data.edges, color=PART_COLOURS[part], alpha=0.15, fill=True)
        ax.set_ylabel("density")
        ax.set_yticks([])
        name = f"{data.task} {data.column}"
    ax.set_xlabel(f"{name} ({data.unit})" if data.unit else name)
    distance = data.distance[2]
    told = f"train to test {distance:.2f}" if np.isfinite(distance) else "no test values"
    if np.isfinite(data.shift[2]):
        told += f", shift {data.shift[2]:+.2f}".replace("-", "−")
    ax.set_title(f"{data.recording}\n{told}", color=VERMILION if data.warning else BLACK)
