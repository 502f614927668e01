"""The sentence says what the intervals say, horizon by horizon, and no more."""

import re

import numpy as np
import pytest

from neurohorizon.evaluation.answer import answer
from neurohorizon.evaluation.baselines.constant import Mean, ReferenceRate
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.protocol import Protocol, SessionCase, prepare_case
from neurohorizon.evaluation.summary import difference, pooled
from worlds import poisson_recording, waving_recording

PROTOCOL = Protocol(reference_s=30.0, fewest_spikes=100, block_s=5.0)


class Peeking:
    """A model that knows some bins from the counts themselves, and is wrong about others."""

    name = "peeking"

    def __init__(self, *, good: slice, bad: slice) -> None:
        self.good, self.bad = good, bad

    def forecast(self, case: SessionCase, windows) -> np.ndarray:
        counts = np.repeat(
            case.reference.rate_hz[None, :, None] * 0.02, windows.spec.num_bins, axis=2
        ) * np.ones((len(windows), 1, 1))
        counts[:, :, self.good] = (
            0.9 * windows.counts[:, :, self.good] + 0.1 * counts[:, :, self.good]
        )
        counts[:, :, self.bad] *= 4.0
        return counts


@pytest.fixture(scope="module")
def cases() -> list[SessionCase]:
    return [
        prepare_case(waving_recording(seed=seed, name=f"wave{seed}"), PROTOCOL, held_out=True)
        for seed in range(3)
    ]


NONE, EARLY, LATE, ALL = slice(0), slice(5), slice(12, None), slice(None)


@pytest.mark.parametrize(
    ("good", "bad", "verdict", "told"),
    [
        (
            ALL,
            NONE,
            "No, a GLM is not enough here",
            "peeking is surely above the strongest baseline at every horizon",
        ),
        (
            NONE,
            ALL,
            "Yes, a GLM is enough here",
            "peeking is surely below the strongest baseline at every horizon",
        ),
        (
            EARLY,
            LATE,
            "Not at every horizon",
            "peeking is surely above the strongest baseline at 100 and 240 ms and surely below "
            "it at 500 and 1000 ms",
        ),
        (
            EARLY,
            slice(5, 12),
            "Not at every horizon",
            "peeking is surely above the strongest baseline at 100 ms, and neither is surely "
            "better at 240, 500 and 1000 ms",
        ),
    ],
)
def test_it_names_the_horizons_that_are_sure(cases, good, bad, verdict, told):
    result = evaluate([Peeking(good=good, bad=bad), ReferenceRate()], cases)
    begin, _, rest = answer(result).partition(": ")
    assert begin == verdict
    assert rest.startswith(told + "; 100 ms ahead, peeking reaches ")


def test_its_numbers_are_those_of_the_first_horizon(cases):
    result = evaluate([Peeking(good=EARLY, bad=NONE), ReferenceRate()], cases)
    step = difference(result, "peeking", "reference rate")
    reach = [pooled(result, name).value[0] for name in ("peeking", "reference rate")]
    assert answer(result).endswith(
        f"100 ms ahead, peeking reaches {reach[0]:.3f} bits/spike and the strongest baseline "
        f"(reference rate) {reach[1]:.3f}, a difference of {step.value[0]:+.4f} "
        f"[{step.low[0]:+.4f}, {step.high[0]:+.4f}]."
    )


def test_a_difference_that_is_not_sure_is_not_called_one(cases):
    class Twin:
        name = "twin"

        def forecast(self, case, windows):
            return ReferenceRate().forecast(case, windows)

    sentence = answer(evaluate([Twin(), ReferenceRate()], cases))
    assert sentence.startswith(
        "Yes, a GLM is enough here: twin is not surely above or below the strongest baseline at "
        "any horizon; 100 ms ahead, twin reaches "
    )
    assert " is +" not in sentence


def test_too_little_for_an_interval_is_said(cases):
    short = [case.thin(20) for case in cases[:1]]
    result = evaluate([Peeking(good=ALL, bad=NONE), ReferenceRate()], short)
    sentence = answer(result)
    assert sentence.startswith("Nothing is sure: 100 ms ahead, peeking reaches ")
    assert sentence.endswith("; too few minutes were scored for an interval.")


def test_without_a_model_the_sentence_says_so(cases):
    sentence = answer(evaluate([Mean(), ReferenceRate()], cases))
    assert re.fullmatch(
        r"Without a model to compare: the strongest baseline \((mean|reference rate)\) reaches "
        r"-?\d\.\d{3} bits/spike 100 ms ahead, (not )?surely above the null's mean rates\.",
        sentence,
    )


def test_it_says_why_nothing_was_scored(cases):
    few = [
        prepare_case(
            poisson_recording(num_units=2, rate_hz=0.5, name=name), PROTOCOL, held_out=True
        )
        for name in ("lonely", "quiet")
    ]
    (spikes, _) = (case.num_spikes for case in few)
    sentence = answer(evaluate([Mean()], few))
    assert sentence.startswith(
        f"Nothing was scored: lonely has {spikes} test spikes, fewer than 100 "
        "(evaluation.fewest_spikes), and 1 more recording has too few, so record for longer"
    )
    only = answer(evaluate([Peeking(good=ALL, bad=NONE)], cases))
    assert only == "Nothing was scored: there is no baseline."
