"""The question that comes first, answered in a sentence: whether a GLM is enough here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import difference, pooled, strongest_by_horizon


def answer(result: EvaluationResult) -> str:
    """Say whether a GLM is enough here: a verdict, a colon, and what it rests on."""
    best = strongest_by_horizon(result)
    if not best:
        return f"Nothing was scored: {_why_nothing(result)}."
    ahead, name = f"{result.protocol.horizons_s[0] * 1000:g} ms ahead", best[0]
    level = pooled(result, name)
    baseline, reach = f"the strongest baseline ({name})", f"{level.value[0]:.3f} bits/spike"
    models = result.names("model")
    if not models:
        told = "surely above" if level.above[0] else "not surely above"
        return (
            f"Without a model to compare: {baseline} reaches {reach} {ahead}, {told} the null's "
            "mean rates."
        )
    model = max(models, key=lambda each: np.nansum(pooled(result, each).value))
    steps = [difference(result, model, row) for row in best]
    first = steps[0]
    reaches = (
        f"{ahead}, {model} reaches {pooled(result, model).value[0]:.3f} bits/spike and "
        f"{baseline} {level.value[0]:.3f}, a difference of {first.value[0]:+.4f}"
    )
    if not np.isfinite(first.low[0]):
        return f"Nothing is sure: {reaches}; too few minutes were scored for an interval."
    verdict, told = _verdict(
        model,
        above=[bool(step.above[index]) for index, step in enumerate(steps)],
        below=[bool(step.below[index]) for index, step in enumerate(steps)],
        horizons_s=result.protocol.horizons_s,
    )
    return f"{verdict}: {told}; {reaches} [{first.low[0]:+.4f}, {first.high[0]:+.4f}]."


def _verdict(
    model: str, *, above: list[bool], below: list[bool], horizons_s: Sequence[float]
) -> tuple[str, str]:
    """Return what the differences to the strongest baselines say, and at which horizons."""
    if all(above):
        verdict = "No, a GLM is not enough here"
        return verdict, f"{model} is surely above the strongest baseline at every horizon"
    if all(below):
        verdict = "Yes, a GLM is enough here"
        return verdict, f"{model} is surely below the strongest baseline at every horizon"
    verdict = "Not at every horizon" if any(above) else "Yes, a GLM is enough here"
    open_ = [not (up or down) for up, down in zip(above, below, strict=True)]
    if all(open_):
        told = f"{model} is not surely above or below the strongest baseline at any horizon"
        return verdict, told
    parts, over = [], "the strongest baseline"
    for word, where in (("above", above), ("below", below)):
        if any(where):
            parts.append(f"surely {word} {over} at {_listed(horizons_s, where)}")
            over = "it"
    told = f"{model} is {' and '.join(parts)}"
    if any(open_):
        told += f", and neither is surely better at {_listed(horizons_s, open_)}"
    return verdict, told


def _listed(horizons_s: Sequence[float], where: Sequence[bool]) -> str:
    """Name some of the horizons: "100, 240 and 500 ms"."""
    names = [f"{h * 1000:g}" for h, yes in zip(horizons_s, where, strict=True) if yes]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) + " ms"


def _why_nothing(result: EvaluationResult) -> str:
    """Say why no recording, or no baseline, was scored."""
    reasons = [f"{case.recording} has {case.why_not_scored}" for case in result.cases]
    if result.scored_cases():
        return "there is no baseline"
    others = len(reasons) - 1
    have = "recording has" if others == 1 else "recordings have"
    more = f", and {others} more {have} too few" if others else ""
    return (
        f"{reasons[0]} (evaluation.fewest_spikes){more}, so record for longer, or train with a "
        "smaller evaluation.fewest_spikes"
    )
