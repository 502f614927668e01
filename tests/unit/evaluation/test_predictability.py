"""What the ladder alone says: how much can be predicted, and from what."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.evaluation.baselines.constant import Mean
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.predictability import describe_predictability, predictability
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import difference, pooled, wins
from worlds import waving_recording

PROTOCOL = Protocol(reference_s=20.0, block_s=4.0, fewest_spikes=100)


class Peek:
    """A baseline that knows a share of the counts to come, up to some bin."""

    role = "baseline"

    def __init__(self, name: str, share: float, *, until: int = 50) -> None:
        self.name, self.share, self.until = name, share, until

    def forecast(self, case, windows):
        base = np.repeat(
            (case.reference.rate_hz * windows.spec.bin_s)[None, :, None],
            windows.spec.num_bins,
            axis=2,
        ) * np.ones((len(windows), 1, 1))
        peeked = (1 - self.share) * base + self.share * windows.counts
        base[:, :, : self.until] = peeked[:, :, : self.until]
        return base


@pytest.fixture(scope="module")
def cases():
    recordings = [waving_recording(seed=seed, name=f"wave{seed}") for seed in range(2)]
    return [prepare_case(each, PROTOCOL, held_out=True) for each in recordings]


@pytest.fixture(scope="module")
def ladder(cases):
    """`stack` knows more than `traces` at first, and nothing of the later bins."""
    rows = [Mean(), Peek("shrinkage", 0.05), Peek("traces", 0.1), Peek("stack", 0.2, until=5)]
    return evaluate(rows, cases, title="waves")


def test_rows_are_found_at_each_horizon(ladder):
    found = predictability(ladder)
    assert [each.horizon_s for each in found] == [0.1, 0.24, 0.5, 1.0]
    assert [each.row for each in found] == ["stack", *["traces"] * 3]
    assert {each.own for each in found} == {"traces"}
    assert {each.population for each in found} == {"stack"}


def test_its_numbers_are_those_of_the_evaluation(ladder):
    first = predictability(ladder)[0]
    level, step = pooled(ladder, "stack"), difference(ladder, "stack", "traces")
    assert (first.level, first.low, first.high) == (level.value[0], level.low[0], level.high[0])
    assert first.own_level == pooled(ladder, "traces").value[0]
    assert first.step == (step.value[0], step.low[0], step.high[0])
    assert first.wins == wins(ladder, "stack", "traces")[0] == 2


def test_the_sentence_says_how_much_and_from_what(ladder):
    first, last = predictability(ladder)[0], predictability(ladder)[-1]
    told = describe_predictability(ladder)
    verdict, _, rest = told.partition(": ")
    assert verdict == f"{first.level:.3f} bits per spike of the next 100 ms can be predicted"
    assert f"over the next 1000 ms {last.level:.3f} (traces)" in rest
    assert rest.endswith(
        f"Each unit's own spikes alone give {first.own_level:.3f} (traces); the population "
        f"(stack) adds {first.step[0]:+.4f} [{first.step[1]:+.4f}, {first.step[2]:+.4f}]."
    )


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.02, "adds nothing"), (0.1, "that the population (stack) adds to it is not sure")],
)
def test_a_population_that_adds_nothing_is_not_praised(cases, share, told):
    result = evaluate([Mean(), Peek("traces", 0.1), Peek("stack", share)], cases)
    assert told in describe_predictability(result)


def test_what_is_not_sure_is_not_claimed(cases):
    class Noise:
        name, role = "traces", "baseline"

        def forecast(self, case, windows):
            generator = np.random.default_rng(3)
            noise = generator.lognormal(0.0, 0.3, windows.counts.shape)
            return case.null.rate_hz[:, None] * windows.spec.bin_s * noise

    told = describe_predictability(evaluate([Noise()], cases))
    assert told.startswith("Nothing of the next 100 ms can surely be predicted: ")
    few = [case.thin(20) for case in cases[:1]]
    told = describe_predictability(evaluate([Peek("traces", 0.1)], few))
    assert told.startswith("Nothing is sure of the next 100 ms: ")
    assert "too few minutes were scored" in told
    nobody = [
        replace(case, why_not_scored="12 test spikes") for case in evaluate([Mean()], few).cases
    ]
    unscored = replace(evaluate([Mean()], few), cases=nobody)
    assert describe_predictability(unscored).startswith("Nothing was scored")


@pytest.mark.parametrize(("share", "said"), [(0.15, True), (0.01, False)])
def test_drift_is_named_where_it_is_worth_much(cases, share, said):
    oracle = Peek("oracle mean", share)
    oracle.role = "cheat"
    result = evaluate([Mean(), Peek("traces", 0.2), oracle], cases)
    worth = pooled(result, "oracle mean").value[0]
    assert (f"would give {worth:.3f} (oracle mean" in describe_predictability(result)) == said


def test_without_a_model_the_strongest_baseline_is_looked_at(ladder, cases):
    of_set = SetResults("held-out", ladder)
    assert not of_set.has_model
    assert (of_set.lead, of_set.rivals) == ("stack", ["traces"] * 4)
    alone = SetResults("held-out", evaluate([Mean(), Peek("traces", 0.1)], cases))
    assert (alone.lead, alone.rivals) == ("traces", ["mean"] * 4)
    model = Peek("model", 0.3)
    model.role = "model"
    of_set = SetResults("held-out", evaluate([model, Mean(), Peek("traces", 0.1)], cases))
    assert (of_set.lead, of_set.rivals) == ("model", ["traces"] * 4)
