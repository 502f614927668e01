"""States of a decoder's latents in the plane, coloured by what was true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from numpy.typing import ArrayLike, NDArray

from neurohorizon.evaluation.decoding.views import LatentStates
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import GREY, LIGHT_GREY, PALETTE

#: Classes with a colour of their own; the others share grey.
MOST_CLASSES = len(PALETTE) - 1
_DOT = 5.0
#: From the middle of the values to where colours are full, as a quantile of distances.
_FULL_AT = 0.9


def latents_table(found: Sequence[LatentStates]) -> list[dict[str, Any]]:
    """Return the numbers, one record a state."""
    table = []
    most = max((each.values.shape[1] for each in found), default=0)
    for each in found:
        for index in range(len(each.times_s)):
            record: dict[str, Any] = {
                "recording": each.recording,
                "task": each.task,
                "time_s": each.times_s[index],
            }
            for number, value in enumerate(each.position[index]):
                record[f"component {number + 1}"] = value
            for column in range(most):
                value = each.values[index, column] if column < each.values.shape[1] else ""
                record[f"true {column}"] = each.classes[int(value)] if len(each.classes) else value
            table.append(record)
    return table


def is_plane(data: LatentStates) -> bool:
    """Whether the true values are points of a plane."""
    return not len(data.classes) and data.values.shape[1] == 2


def draw_latents(data: LatentStates, ax: Axes, *, across: int, up: int) -> PathCollection:
    """Draw one dot a state, coloured by the true value at its time.

    Parameters
    ----------
    data : LatentStates
    ax : Axes
    across, up : int
        Components.

    Returns
    -------
    PathCollection
        The dots: of a continuous value, what a colour bar is drawn of.
    """
    order = _mixed(len(data.times_s))
    style: dict[str, Any] = {"s": _DOT, "linewidth": 0, "rasterized": True}
    if len(data.classes):
        style["c"] = [_class_colour(int(value)) for value in data.values[order, 0]]
    elif is_plane(data):
        style["c"] = plane_colours(data.values)[order]
    else:
        low, high = (float(each) for each in np.quantile(data.values[:, 0], (0.02, 0.98)))
        style |= {"c": data.values[order, 0], "cmap": "viridis", "vmin": low, "vmax": high}
    dots = ax.scatter(data.position[order, across], data.position[order, up], **style)
    for component, label in ((across, ax.set_xlabel), (up, ax.set_ylabel)):
        label(f"component {component + 1} ({data.explained[component]:.0%})")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.margins(0.06)
    return dots


def draw_plane_key(data: LatentStates, ax: Axes) -> None:
    """Draw the true values in their own plane, in the colours of the states."""
    order = _mixed(len(data.times_s))
    ax.scatter(
        *data.values[order].T, c=plane_colours(data.values)[order], s=_DOT, linewidth=0,
        rasterized=True,
    )  # fmt: skip
    unit = f" ({data.unit})" if data.unit else ""
    ax.set_xlabel(f"{data.task} 0{unit}")
    ax.set_ylabel(f"{data.task} 1{unit}")
    ax.set_aspect("equal", adjustable="datalim")
    ax.grid(color=LIGHT_GREY, linewidth=0.4)
    ax.set_axisbelow(True)
    ax.margins(0.06)


def draw_classes_key(data: LatentStates, ax: Axes) -> None:
    """Name the colours of classes beside the panel."""
    for number, name in enumerate(data.classes[:MOST_CLASSES].tolist()):
        ax.plot([], [], "o", color=_class_colour(number), ms=4, label=name)
    if len(data.classes) > MOST_CLASSES:
        ax.plot([], [], "o", color=GREY, ms=4, label="others")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title=data.task, alignment="left")


def plane_colours(values: ArrayLike) -> FloatArray:
    """Return a colour for each point of a plane, (S, 3): its hue says where from the middle it
    lies, and the further off it is, the stronger the colour.
    """  # noqa: D205
    points = np.asarray(values, dtype=np.float64)
    away = points - np.median(points, axis=0)
    distance = np.linalg.norm(away, axis=1)
    full = float(np.quantile(distance, _FULL_AT)) if len(points) else 1.0
    strength = np.minimum(distance / full if full > 0 else distance, 1.0)
    return _from_oklch(
        0.78 - 0.12 * strength, 0.02 + 0.15 * strength, np.arctan2(away[:, 1], away[:, 0])
    )


def _from_oklch(lightness: FloatArray, chroma: FloatArray, hue: FloatArray) -> FloatArray:
    """Return sRGB of Oklch colours (Ottosson 2020), in which hues look equally light."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cones = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(cones**3 @ to_rgb.T, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _class_colour(number: int) -> str:
    return PALETTE[number] if 0 <= number < MOST_CLASSES else GREY


def _mixed(count: int) -> NDArray[np.int64]:
    """Return an order in which no time is always drawn above another."""
    return np.random.default_rng(0).permutation(count)
