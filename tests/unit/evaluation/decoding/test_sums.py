"""Scores from sums of blocks are those of what was decoded, resampled or not."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding import metrics
from neurohorizon.evaluation.decoding.intervals import (
    count_wins,
    paired_difference,
    score_interval,
)
from neurohorizon.evaluation.decoding.sums import Sums
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec

TIMES = np.arange(0.0, 300.0, 0.5)
POSITION = Task(TaskSpec(name="position", series="position"), (0.0, 0.0), (1.0, 1.0))
CLASSES = Task(TaskSpec(name="c", kind="multinomial", series="c"), classes=("a", "b", "c"))
ORDER = Task(TaskSpec(name="c", kind="ordinal", series="c"), classes=("a", "b", "c"))


def walk(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    values = np.cumsum(np.random.default_rng(0).normal(size=(len(TIMES), 2)), axis=0) + 1000.0
    return values, values + noise * np.random.default_rng(seed).normal(size=values.shape)


def test_sums_give_the_scores_of_all_that_was_decoded():
    values, decoded = walk(3.0)
    sums = Sums.of(POSITION, TIMES, values, decoded)
    assert sums.num_times == len(TIMES)
    assert np.allclose(sums.by_column("r2"), metrics.r2(values, decoded))
    assert sums.score("r2") == pytest.approx(metrics.r2(values, decoded).mean())
    assert sums.score("r2_weighted") == pytest.approx(metrics.r2_weighted(values, decoded))
    assert np.allclose(sums.by_column("correlation"), metrics.correlation(values, decoded))
    error = metrics.distances(values, decoded)
    assert sums.score("mean_error") == pytest.approx(error.mean())
    assert sums.score("median_error") == pytest.approx(np.median(error), rel=0.01)


def test_resampled_scores_are_those_of_the_blocks_drawn():
    values, decoded = walk(3.0)
    sums = Sums.of(POSITION, TIMES, values, decoded)
    times = np.array([2, 0, 1, 0, 0, 3, 1, 1, 1, 1])
    drawn = np.concatenate(
        [np.flatnonzero(block == TIMES // 30) for block in range(10) for _ in range(times[block])]
    )
    again = Sums.of(POSITION, TIMES[drawn], values[drawn], decoded[drawn])
    for metric in ("r2", "r2_weighted", "correlation", "mean_error", "median_error"):
        one = sums.resampled(metric, times[None])[0]
        assert one == pytest.approx(again.score(metric), rel=0.01 if "median" in metric else 1e-9)


def test_classes_are_counted():
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, size=len(TIMES))
    said = np.where(generator.random(len(TIMES)) < 0.6, truth, generator.integers(0, 3, len(TIMES)))
    sums = Sums.of(CLASSES, TIMES, truth, np.eye(3)[said])
    counts = metrics.confusion(truth, said, num_classes=3)
    assert np.array_equal(sums.confusion, counts)
    assert sums.score("accuracy") == pytest.approx(np.mean(truth == said))
    assert sums.score("balanced_accuracy") == pytest.approx(metrics.balanced_accuracy(counts))
    ordered = Sums.of(ORDER, TIMES, truth, np.eye(3)[said])
    assert ordered.score("correlation") == pytest.approx(np.corrcoef(truth, said)[0, 1])


@pytest.mark.parametrize(
    ("values", "decoded", "metric", "why"),
    [
        (np.ones((600, 2)), "noise", "r2", "the target is constant"),
        (np.ones((600, 2)), "noise", "correlation", "the target is constant"),
        ("walk", np.ones((600, 2)), "correlation", "what was decoded is constant"),
        (np.zeros(600, dtype=int), np.eye(3)[np.zeros(600, dtype=int)], "balanced_accuracy", "one"),
    ],
)
def test_what_has_no_meaning_is_nan_with_a_reason(values, decoded, metric, why):
    walked, noise = walk(1.0)
    values = walked if isinstance(values, str) else values
    decoded = noise if isinstance(decoded, str) else decoded
    sums = Sums.of(POSITION if values.ndim == 2 else CLASSES, TIMES, values, decoded)
    assert np.isnan(sums.score(metric))
    assert why in sums.why_not(metric)


def test_a_constant_column_is_left_out_of_the_mean_and_named():
    values, decoded = walk(2.0)
    values[:, 1] = 0.1
    sums = Sums.of(POSITION, TIMES, values, decoded)
    assert sums.score("r2") == pytest.approx(metrics.r2(values, decoded)[0])
    assert "column 1" in sums.why_not("r2")
    assert np.isnan(metrics.r2(values, decoded)[1])


def test_no_time_stamp_is_no_crash():
    sums = Sums.of(POSITION, np.empty(0), np.empty((0, 2)), np.empty((0, 2)))
    assert np.isnan(sums.score("r2"))
    assert "no time stamp" in sums.why_not("r2")


def test_what_is_not_finite_is_refused():
    values, decoded = walk(1.0)
    decoded[3, 0] = np.nan
    with pytest.raises(DataError, match="1 decoded values are not finite"):
        Sums.of(POSITION, TIMES, values, decoded)


def test_paired_intervals_are_narrower_than_the_two_alone():
    values, better = walk(2.0, seed=1)
    worse = better + 0.8 * np.random.default_rng(5).normal(size=values.shape)
    one, other = (Sums.of(POSITION, TIMES, values, each) for each in (better, worse))
    step = paired_difference([one], [other], "r2")
    assert step.over == "blocks"
    assert step.num_resampled == 10
    assert step.above[0]
    alone = score_interval([one], "r2")
    assert step.high[0] - step.low[0] < alone.high[0] - alone.low[0]
    assert count_wins([one], [other], "r2") == (1, 1)
    assert count_wins([one], [other], "mean_error") == (1, 1)


def test_sessions_are_resampled_where_there_are_eight():
    sessions = [Sums.of(POSITION, TIMES, *walk(2.0, seed=seed)) for seed in range(8)]
    found = score_interval(sessions, "r2")
    assert found.over == "sessions"
    scores = [each.score("r2") for each in sessions]
    assert found.value[0] == pytest.approx(np.mean(scores))
    assert min(scores) <= found.low[0] <= found.high[0] <= max(scores)


def test_a_session_without_a_score_is_left_out():
    good = Sums.of(POSITION, TIMES, *walk(2.0))
    constant = Sums.of(POSITION, TIMES, np.ones((600, 2)), walk(2.0)[1])
    assert score_interval([good, constant], "r2").value[0] == pytest.approx(good.score("r2"))


def test_rows_on_other_time_stamps_are_not_compared():
    values, decoded = walk(2.0)
    one = Sums.of(POSITION, TIMES, values, decoded)
    other = Sums.of(POSITION, TIMES[:-1], values[:-1], decoded[:-1])
    with pytest.raises(DataError, match="other time stamps"):
        paired_difference([one], [other], "r2")
