"""Splits by whole trials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from decoding_worlds import moving_recording
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import contains, intersect, total_s
from neurohorizon.recordings.decoding.batches import TokenType
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.schema import Table
from neurohorizon.recordings.splits import assert_no_leakage
from neurohorizon.recordings.trial_splits import split_by_trials
from neurohorizon.training.decoding.data import DecodeData

RNG = np.random.default_rng(0)
START = np.cumsum(RNG.uniform(2.0, 4.0, 200))
TRIALS = Table(START, START + 1.5, {"side": RNG.choice(["left", "right", "right", "up"], 200)})
DOMAIN = np.array([[0.0, 300.0], [320.0, START[-1] + 2.0]])


@pytest.mark.parametrize("pauses", [True, False])
def test_whole_trials_are_dealt_out_over_the_session(pauses: bool) -> None:
    split = split_by_trials(DOMAIN, TRIALS, stratify="side", pauses=pauses, seed=3)
    assert split.interleaved
    assert_no_leakage(split, context_s=0.0, horizon_s=0.0)
    middle = START + 0.75
    whole = contains(DOMAIN, START) & contains(DOMAIN, START + 1.5)
    owner = np.array([contains(split.domain(p), middle) for p in ("train", "valid", "test")])
    assert owner[:, whole].sum(axis=0).tolist() == [1] * int(whole.sum())
    for index, part in enumerate(("train", "valid", "test")):
        rows = np.column_stack([START, START + 1.5])[owner[index] & whole]
        np.testing.assert_allclose(total_s(intersect(split.domain(part), rows)), 1.5 * len(rows))
        share = (0.6, 0.1, 0.3)[index]
        for side in ("left", "right", "up"):
            mine = (TRIALS.columns["side"] == side) & whole
            assert abs(owner[index][mine].sum() - share * mine.sum()) <= 2
        # Early and late alike.
        halves = [owner[index][half].mean() for half in np.split(np.arange(200), 2)]
        assert abs(halves[0] - halves[1]) < 0.1
    gained = total_s(split.train) - 1.5 * owner[0].sum()
    assert gained > 50 if pauses else abs(gained) < 2
    for part in ("train", "valid", "test"):
        inside = total_s(intersect(split.domain(part), DOMAIN))
        np.testing.assert_allclose(inside, total_s(split.domain(part)))


def test_the_seed_and_nothing_else_decides() -> None:
    one, again, other = (split_by_trials(DOMAIN, TRIALS, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.test, again.test)
    assert not np.array_equal(one.test, other.test)


def test_a_guard_keeps_training_off() -> None:
    split = split_by_trials(DOMAIN, TRIALS, guard_s=0.5)
    assert_no_leakage(split, context_s=0.25, horizon_s=0.25)


def test_few_trials_and_small_strata() -> None:
    three = Table(START[:3], START[:3] + 1, {"side": np.array(["a", "b", "c"])})
    split = split_by_trials(DOMAIN, three, stratify="side")
    assert all(len(split.domain(part)) for part in ("train", "valid", "test"))
    pairs = Table(START[:40], START[:40] + 1, {"side": np.arange(40) // 2})
    split = split_by_trials(DOMAIN, pairs, stratify="side", pauses=False)
    assert [round(total_s(split.domain(p))) for p in ("train", "valid", "test")] == [24, 4, 12]
    with pytest.raises(DataError, match="2 trials lie in the recording"):
        split_by_trials(DOMAIN, Table(START[:2], START[:2] + 1))
    with pytest.raises(DataError, match="no column 'sides' to stratify by; columns here: side"):
        split_by_trials(DOMAIN, TRIALS, stratify="sides")
    with pytest.raises(ConfigError, match="sum to 1"):
        split_by_trials(DOMAIN, TRIALS, fractions=(0.5, 0.1, 0.1))


@pytest.mark.parametrize("pauses", [True, False])
def test_no_training_window_touches_another_trial(pauses: bool) -> None:
    source = moving_recording(duration_s=200.0)
    split = split_by_trials(source.domain, source.tables["trials"], pauses=pauses)
    series = source.series["velocity"]
    marked = replace(
        source,
        split=split,
        spike_unit_index=np.where(contains(split.train, source.spike_times), 0, 1),
        series={
            "velocity": replace(
                series,
                values=np.where(contains(split.train, series.timestamps), RNG.random(10_000), 9.0)[
                    :, None
                ],
            )
        },
    )
    spec = TaskSpec(name="velocity", series="velocity", standardise=False, rate_hz=15)
    data = DecodeData(recordings=[marked], tasks=[spec], length_s=1.0, tokens_per_batch=2_000)
    for batch, _ in zip(data.train_loader(), range(32), strict=False):
        fired = batch.token_mask_WE & (batch.token_type_WE == TokenType.SPIKE)
        assert fired.any()
        assert not batch.token_unit_WE[fired].any()
        assert batch.targets["velocity"].max() < 1.0
