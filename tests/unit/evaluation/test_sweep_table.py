"""The table of a sweep: equal to what is known of two rows, and honest about seeds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wilcoxon

from neurohorizon.evaluation.baselines.constant import Mean, ReferenceRate
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.evaluation.summary import difference, pooled, wins
from neurohorizon.evaluation.sweep_results import SeedResult, SweepMember, SweepResults, sums_of
from neurohorizon.evaluation.sweep_steps import level_of, step_between
from neurohorizon.evaluation.sweep_table import (
    gap,
    holm,
    sweep_rows,
    table_records,
)
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import waving_recording


class Peek:
    def __init__(self, name, share):
        self.name, self.share = name, share

    def forecast(self, case, windows):
        base = (case.reference.rate_hz * windows.spec.bin_s)[None, :, None]
        return (1 - self.share) * base + self.share * windows.counts


def prepared(
    *,
    context_s=0.5,
    horizon_s=1.0,
    bin_s=0.02,
    horizons_s=(0.1, 0.5, 1.0),
    origin_step_s=0.5,
    num=3,
):
    spec = WindowSpec(context_s=context_s, horizon_s=horizon_s, bin_s=bin_s)
    protocol = Protocol(
        spec=spec,
        horizons_s=horizons_s,
        origin_step_s=origin_step_s,
        reference_s=20.0,
        block_s=4.0,
        fewest_spikes=100,
    )
    recordings = [
        waving_recording(num_units=5, duration_s=90, seed=index, name=f"s{index}")
        for index in range(num)
    ]
    return [prepare_case(recording, protocol, held_out=True) for recording in recordings]


@pytest.fixture(scope="module")
def result():
    rows = [Peek("big", 0.2), Peek("small", 0.1), Mean(), ReferenceRate()]
    return evaluate(rows, prepared())


def sums(result, name):
    return sums_of(result, [name] * len(result.protocol.horizons_s))


def seed_result(seed, of_set, result, best="reference rate"):
    known = best in {row.name for row in result.rows}
    strongest = (sums(result, best), [best] * len(of_set.horizons_s)) if known else None
    return SeedResult(
        seed=seed,
        sets={"held-out": of_set},
        by_reference={20.0: of_set},
        withheld={},
        forced={},
        strongest={} if strongest is None else {"held-out": strongest},
        num_parameters=1000 + seed,
        seconds=2.0 + seed,
    )


def member(name, sets, result, **settings):
    seeds = {seed: seed_result(seed, each, result) for seed, each in enumerate(sets)}
    return SweepMember(name, [], settings, seeds, [], {"model.width": len(name)})


@pytest.fixture(scope="module")
def results(result):
    big, small = sums(result, "big"), sums(result, "small")
    members = [
        member("first", [small, small], result),
        member("above", [big, big], result, **{"model.width": "5"}),
        member("torn", [big, sums(result, "mean")], result, **{"model.width": "4"}),
    ]
    return SweepResults({"name": "x", "recipe": "tiny", "factors": {"model.width": []}}, members)


def test_a_model_told_the_true_counts_is_shown_and_called_a_cheat(result):
    big, small = sums(result, "big"), sums(result, "small")
    feeding = member("feeding", [small, small], result)
    told = {seed: replace(run, forced={"held-out": big}) for seed, run in feeding.seeds.items()}
    members = [member("direct", [small, small], result), replace(feeding, seeds=told)]
    results = SweepResults({"name": "x", "recipe": "tiny", "factors": {}}, members)
    rows = {row.name: row for row in sweep_rows(results, "held-out")}
    row = rows["feeding, teacher-forced (cheat)"]
    assert row.member is None
    np.testing.assert_allclose(row.level.value, level_of(big).value)


def test_levels_and_differences_are_those_of_two_rows(result):
    big, small = sums(result, "big"), sums(result, "small")
    level, expected = level_of(big), pooled(result, "big")
    step, wanted = step_between({0: big}, {0: small}), difference(result, "big", "small")
    assert step is not None
    for end in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(level, end), getattr(expected, end))
        np.testing.assert_allclose(getattr(step.interval, end), getattr(wanted, end), atol=1e-12)
    assert step.wins.tolist() == wins(result, "big", "small").tolist()
    assert (step.num_recordings, step.same_windows) == (3, True)
    assert np.isnan(step.p).all()


def test_a_sure_difference_needs_every_seed(results):
    first, above, torn, baseline = sweep_rows(results, "held-out")
    assert first.step is None
    assert above.step.moved.tolist() == [1, 1, 1]
    assert above.step.agreeing.tolist() == [2, 2, 2]
    # One seed above and one below: whatever the recordings say, it has not moved.
    assert torn.step.agreeing.tolist() == [1, 1, 1]
    assert torn.step.moved.tolist() == [0, 0, 0]
    assert np.isnan(first.spread).all() or (first.spread == 0).all()
    assert (torn.spread > 0).all()
    np.testing.assert_allclose(torn.level.value, torn.by_seed.mean(axis=0), atol=1e-12)
    assert baseline.name == "strongest baseline (reference rate)"
    assert (baseline.member, baseline.seeds) == (None, [])


def test_records_hold_every_number_of_the_rows(results):
    records = table_records(results)
    rows = sweep_rows(results, "held-out")
    assert len(records) == 3 * len(rows)
    one = next(r for r in records if r["member"] == "above" and r["horizon_s"] == 0.5)
    assert one["difference"] == rows[1].step.interval.value[1]
    assert (one["moved"], one["seeds_agreeing"], one["model.width"]) == ("above", 2, 5)
    assert (one["num_parameters"], one["training_s"]) == (1000, 2.5)
    assert np.isnan(gap(results.members[0]))


@pytest.mark.parametrize("context_s", [0.25, 0.75, 1.0])
def test_another_context_is_paired_on_the_windows_that_both_have(result, context_s):
    other = evaluate([Peek("big", 0.2)], prepared(context_s=context_s))
    step = step_between({0: sums(other, "big")}, {0: sums(result, "small")})
    assert step.same_windows
    same = difference(result, "big", "small")
    np.testing.assert_allclose(step.interval.value, same.value, rtol=0.1)
    assert step.moved.tolist() == [1, 1, 1]


def test_windows_at_other_moments_are_paired_block_by_block(result):
    other = evaluate([Peek("big", 0.2)], prepared(origin_step_s=0.3))
    step = step_between({0: sums(other, "big")}, {0: sums(result, "small")})
    assert not step.same_windows
    same = difference(result, "big", "small")
    np.testing.assert_allclose(step.interval.value, same.value, rtol=0.2)
    assert step.interval.above.all()
    assert step.moved.tolist() == [0, 0, 0]  # nothing is claimed on other windows


def test_a_shorter_horizon_is_paired_on_the_windows_that_both_have(result):
    short = prepared(horizon_s=0.5, horizons_s=(0.1, 0.5))
    found = evaluate([Peek("big", 0.2)], short)
    step = step_between({0: sums(found, "big")}, {0: sums(result, "small")})
    assert len(short[0].origins_s) > len(prepared()[0].origins_s)
    assert step.same_windows
    same = difference(result, "big", "small")
    np.testing.assert_allclose(step.interval.value, same.value[:2], rtol=0.1)
    assert step.moved.tolist() == [1, 1]


def test_wider_bins_are_compared_at_the_horizons_that_both_have():
    # A forecast of rates that are constant has the same gain in any bins.
    fine = evaluate([ReferenceRate()], prepared(bin_s=0.02))
    wide = evaluate([ReferenceRate()], prepared(bin_s=0.1, horizons_s=(0.5, 0.7)))
    step = step_between({0: sums(wide, "reference rate")}, {0: sums(fine, "reference rate")})
    np.testing.assert_allclose(step.interval.value, [0.0, np.nan], atol=1e-9)
    assert step.same_windows


def test_other_recordings_cannot_be_paired(result):
    big = sums(result, "big")
    none = replace(big, recordings={f"x{name}": each for name, each in big.recordings.items()})
    assert step_between({0: none}, {0: big}) is None


def test_p_is_wilcoxon_s_over_recordings_and_is_corrected(result):
    cases = prepared(num=6)
    found = evaluate([Peek("a", 0.1), Peek("b", 0.2), Peek("c", 0.1001)], cases)
    first, other, close = ([sums(found, name)] for name in "abc")
    step = step_between(dict(enumerate(other)), dict(enumerate(first)))
    assert step.p[0] == wilcoxon([1, 2, 3, 4, 5, 6]).pvalue
    members = [member(n, s, found) for n, s in (("a", first), ("b", other), ("c", close))]
    results = SweepResults({"factors": {}}, members)
    rows = sweep_rows(results, "held-out")
    assert holm(rows, rows[1], 0.1) == pytest.approx(2 * 0.03125)
    assert np.isnan(holm(rows, rows[0], 0.1))
