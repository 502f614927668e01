"""The table of masked pretraining: how well hidden responses are said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def format_filling(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Write explained variance of hidden responses as text, a recording a line.

    Parameters
    ----------
    scores : mapping of str to mapping
        What the run wrote of each recording (``score.json``).
    """
    lines = [
        "explained variance of hidden responses to pictures that were not learned from (the "
        "mean: 0)",
        f"{'recording':<16}{'model':>24}{'linear':>24}{'model - linear':>24}{'untrained':>12}",
    ]
    for name, written in scores.items():
        score = written["score"]
        cells = [_interval(score[key]) for key in ("model", "linear", "difference")]
        lines.append(
            f"{name:<16}" + "".join(f"{cell:>24}" for cell in cells) + f"{score['untrained']:12.3f}"
        )
        if score["accuracy"] is not None:
            lines.append(
                f"{'':<16}category told right: {score['accuracy']:.3f}; the commonest of "
                f"{written['categories']}: {score['commonest']:.3f}"
            )
    return "\n".join(lines)


def _interval(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "-"
    return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**estimate)
