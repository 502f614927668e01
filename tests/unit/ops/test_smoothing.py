"""Smoothing, slopes and clocks that never reach across a gap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from neurohorizon.ops.smoothing import (
    differentiate,
    find_runs,
    resample_held,
    resample_mean,
    smooth,
)

ONE_RUN = np.array([0, 400])


def brute_force(times: np.ndarray, values: np.ndarray, sigma_s: float) -> np.ndarray:
    weight = np.exp(-0.5 * ((times[:, None] - times) / sigma_s) ** 2)
    return weight @ values / weight.sum(axis=1, keepdims=True)


def test_smoothing_is_a_gaussian_on_a_regular_clock() -> None:
    times = np.arange(400) * 0.01
    values = np.random.default_rng(0).standard_normal((400, 2)) + 300.0
    smoothed = smooth(times, values, ONE_RUN, sigma_s=0.05)
    np.testing.assert_allclose(
        smoothed[50:-50], gaussian_filter1d(values, 5, axis=0)[50:-50], atol=1e-9
    )
    # At the ends, the kernel is what is left of it.
    np.testing.assert_allclose(smoothed, brute_force(times, values, 0.05), atol=1e-3)


def test_smoothing_bears_missing_samples_and_a_clock_that_jitters() -> None:
    generator = np.random.default_rng(1)
    times = np.sort(generator.uniform(0, 4, 400))
    values = np.sin(times)[:, None] + 0.1 * generator.standard_normal((400, 1))
    smoothed = smooth(times, values, ONE_RUN, sigma_s=0.1)
    np.testing.assert_allclose(smoothed, brute_force(times, values, 0.1), atol=0.02)


def test_runs_are_never_mixed() -> None:
    times = np.concatenate([np.arange(100) * 0.01, 1.0 + np.arange(100) * 0.01])
    values = np.repeat([[0.0], [1.0]], 100, axis=0)
    offsets = find_runs(times, longest_gap_s=0.5, edges_s=np.array([1.0]))
    assert offsets.tolist() == [0, 100, 200]
    np.testing.assert_allclose(smooth(times, values, offsets, sigma_s=0.2), values, atol=1e-9)
    np.testing.assert_allclose(differentiate(times, values, offsets), 0.0, atol=1e-9)
    ticks, means = resample_mean(times, values, offsets, rate_hz=8.0)
    assert set(means.ravel().tolist()) == {0.0, 1.0}
    assert np.all((means[:, 0] == 1.0) == (ticks >= 1.0))


def test_slopes() -> None:
    times = np.cumsum(np.random.default_rng(2).uniform(0.005, 0.02, 400))
    slope = differentiate(times, 3.0 * times[:, None], ONE_RUN)
    np.testing.assert_allclose(slope, 3.0)
    assert np.isnan(differentiate(times[:1], times[:1, None], np.array([0, 1]))).all()


def test_a_faster_series_is_averaged_and_a_slower_one_joined_by_lines() -> None:
    times = np.arange(400) * 0.01
    ticks, means = resample_mean(times, times[:, None], ONE_RUN, rate_hz=10.0)
    np.testing.assert_allclose(ticks[:2], [0.05, 0.15])
    np.testing.assert_allclose(means[:, 0], ticks, atol=0.005 + 1e-12)
    np.testing.assert_allclose(means[3, 0], times[30:40].mean())
    ticks, means = resample_mean(times, times[:, None], ONE_RUN, rate_hz=1000.0)
    np.testing.assert_allclose(means[:, 0], ticks, atol=1e-12)
    assert ticks[0] >= times[0]
    assert ticks[-1] <= times[-1]


def test_classes_hold_on_until_the_next_sample() -> None:
    times = np.array([0.0, 1.0, 2.0])
    ticks, sample = resample_held(times, np.array([0, 3]), rate_hz=2.0)
    assert ticks.tolist() == [0.25, 0.75, 1.25, 1.75]
    assert sample.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("number", [0, 1])
def test_little_is_no_error(number: int) -> None:
    times, values = np.arange(number, dtype=float), np.ones((number, 1))
    offsets = find_runs(times, longest_gap_s=1.0, edges_s=np.empty(0))
    assert smooth(times, values, offsets, sigma_s=1.0).shape == values.shape
    assert resample_mean(times, values, offsets, rate_hz=1.0)[0].size <= 1
