"""Attention of a decoder to each unit, beside how many tokens it has."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.evaluation.decoding.views import UnitAttention
from neurohorizon.report.style import BLUE, GREY, LIGHT_GREY, PALETTE

_MOST_AREAS = len(PALETTE) - 1


def areas_of(found: list[UnitAttention]) -> list[str]:
    """Return the areas that have a colour: none where fewer than two are known."""
    names, counts = np.unique(
        np.concatenate([each.unit_area for each in found]), return_counts=True
    )
    known = [str(name) for name in names[np.argsort(-counts, kind="stable")] if name]
    return sorted(known[:_MOST_AREAS]) if len(known) > 1 else []


def draw_attention(data: UnitAttention, ax: Axes, *, areas: list[str]) -> None:
    """Draw one dot a unit; on the line, attention is as the number of tokens.

    Parameters
    ----------
    data : UnitAttention
    ax : Axes
    areas : list of str
        Those with a colour of their own; none for one colour.
    """
    low = float(min(data.tokens.min(), data.attention[data.attention > 0].min())) / 1.4
    high = float(max(data.tokens.max(), data.attention.max())) * 1.4
    ax.plot([low, high], [low, high], color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
    for number, name in enumerate([*areas, ""]):
        rows = data.unit_area == name if name else ~np.isin(data.unit_area, areas)
        if rows.any():
            colour = PALETTE[number] if name else GREY if areas else BLUE
            label = name or ("other or unknown" if areas else None)
            ax.plot(
                data.tokens[rows],
                np.maximum(data.attention[rows], low),
                "o",
                color=colour,
                ms=3,
                alpha=0.85,
                label=label,
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator(round_values(low, high)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axis.set_minor_locator(NullLocator())
    ax.set_xlabel("share of the tokens")
    ax.set_ylabel("share of the attention")
    ax.set_title(f"{data.recording}, n = {len(data.unit_id)} units", loc="left")
    ax.grid(color=LIGHT_GREY, linewidth=0.4)
    ax.set_axisbelow(True)


def round_values(low: float, high: float) -> list[float]:
    """Return round values between two bounds, about evenly spaced on a logarithmic axis.

    Examples
    --------
    >>> round_values(0.012, 0.3), round_values(0.007, 0.04)
    ([0.03, 0.1, 0.3], [0.01, 0.02])
    """
    digits = (1,) if high / low > 300 else (1, 3) if high / low > 20 else (1, 2, 5)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    every = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in digits]
    return [value for value in every if low <= value <= high]
