"""Which units a decoder reads: what it loses without each, most first, and beside its attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from scipy.stats import spearmanr

from neurohorizon.evaluation.decoding.importance import Importance
from neurohorizon.evaluation.decoding.views import UnitAttention
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.decoding_rows import metric_word
from neurohorizon.report.style import BLACK, BLUE, GREY, LIGHT_GREY

_MOST_NAMED = 40


@dataclass(frozen=True, eq=False)
class AttentionAndLoss:
    """Attention to each unit that was measured, beside what is lost without it.

    Parameters
    ----------
    recording, task, metric : str
    unit : (N,) str
    attention : (N,) float
        Share of the attention to all units of the recording.
    tokens : (N,) float
        Share of their tokens.
    loss : (N,) float
    read : (N,) bool
    rank_correlation : float
        Spearman's, of attention and loss; NaN where one of them does not vary.
    of_tokens : float
        The same of attention and tokens.
    """

    recording: str
    task: str
    metric: str
    unit: NDArray[np.str_]
    attention: FloatArray
    tokens: FloatArray
    loss: FloatArray
    read: NDArray[np.bool_]
    rank_correlation: float
    of_tokens: float


def attention_and_loss(data: Importance, attention: UnitAttention) -> AttentionAndLoss:
    """Set attention beside importance, unit by unit.

    Raises
    ------
    KeyError
        If a unit is not of the recording that was looked into.
    """
    place = {str(unit): index for index, unit in enumerate(attention.unit_id)}
    rows = [place[str(unit)] for unit in data.unit_id]
    mine, tokens = attention.attention[rows], attention.tokens[rows]
    return AttentionAndLoss(
        recording=data.recording,
        task=data.task,
        metric=data.metric,
        unit=data.unit_id,
        attention=mine,
        tokens=tokens,
        loss=data.loss,
        read=data.read,
        rank_correlation=_ranks_agree(mine, data.loss),
        of_tokens=_ranks_agree(mine, tokens),
    )


def importance_answer(data: Importance) -> str:
    """Say in a line how many units are read, and which one most."""
    word = metric_word(data.metric)
    first = int(np.argmax(data.loss))
    most = f"most without {data.unit_id[first]}: {word} {data.loss[first]:.3f} lost"
    return (
        f"{data.recording}, {data.task}: {int(data.read.sum())} of {len(data.read)} units are read "
        f"for sure ({most} of {data.score:.3f})"
    )


def importance_table(found: Sequence[Importance]) -> list[dict[str, Any]]:
    """Return the numbers of all recordings, one record a unit or area."""
    return [record for each in found for record in each.table()]


def draw_importance(data: Importance, ax: Axes) -> None:
    """Draw one dot a unit with its interval, sorted; those that are read for sure in colour."""
    order = np.argsort(-data.loss, kind="stable")
    rank = np.arange(len(order))
    read = data.read[order]
    for mask, colour, label in (
        (read, BLUE, f"read (of {len(rank)}: {int(read.sum())})"),
        (~read, GREY, "others"),
    ):
        if mask.any():
            ax.vlines(
                rank[mask],
                data.low[order][mask],
                data.high[order][mask],
                color=colour,
                linewidth=0.7,
            )
            ax.plot(rank[mask], data.loss[order][mask], "o", color=colour, ms=2.8, label=label)
    ax.axhline(0.0, color=BLACK, linewidth=0.7, zorder=0)
    if len(rank) <= _MOST_NAMED:
        ax.set_xticks(rank, data.unit_id[order].tolist(), rotation=90, fontsize=5.5)
        ax.tick_params(axis="x", length=0)
    else:
        ax.set_xlabel("unit, sorted")
    ax.set_ylabel(f"{metric_word(data.metric)} lost")
    ax.set_title(
        f"{data.recording}, {data.task}: {data.row} ({metric_word(data.metric)} {data.score:.3f})",
        loc="left",
    )
    ax.grid(axis="y", color=LIGHT_GREY, linewidth=0.4)
    ax.set_axisbelow(True)
    ax.legend(loc="upper right", handletextpad=0.2)


def draw_attention_and_loss(data: AttentionAndLoss, ax: Axes) -> None:
    """Draw one dot a unit: its share of the attention, and what is lost without it."""
    for mask, colour in ((~data.read, GREY), (data.read, BLUE)):
        ax.plot(data.attention[mask], data.loss[mask], "o", color=colour, ms=3, alpha=0.85)
    ax.axhline(0.0, color=BLACK, linewidth=0.7, zorder=0)
    ax.set_xlim(left=0.0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    ax.set_xlabel("share of the attention")
    ax.set_ylabel(f"{metric_word(data.metric)} lost")
    known = np.isfinite(data.rank_correlation)
    told = f"ρ = {data.rank_correlation:.2f}".replace("-", "−") if known else "no correlation"
    ax.set_title(f"{told}, n = {len(data.unit)} units", loc="left")
    ax.grid(color=LIGHT_GREY, linewidth=0.4)
    ax.set_axisbelow(True)


def _ranks_agree(one: FloatArray, other: FloatArray) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.asarray(spearmanr(one, other))[0])
