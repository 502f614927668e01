"""Calcium traces of known spikes."""

from __future__ import annotations

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.simulate.calcium import CalciumWorld, clean_traces, draw_calcium

WORLD = CalciumWorld(rise_s=0.05, decay_s=0.5)
RNG = np.random.default_rng(0)
TIMES = np.sort(RNG.uniform(0, 20, 300))
UNITS = RNG.integers(0, 3, 300)
FRAMES = (np.arange(599) + 1) / 30.0


def test_the_kernel_rises_and_decays_as_it_says() -> None:
    delay = np.linspace(0, 3, 30_001)
    value = WORLD.kernel(delay)
    assert value[0] == 0
    np.testing.assert_allclose(value.max(), 1.0, atol=1e-6)
    np.testing.assert_allclose(delay[np.argmax(value)], WORLD.peak_s, atol=2e-4)
    form = (1 - np.exp(-delay / 0.05)) * np.exp(-delay / 0.5)
    np.testing.assert_allclose(value, form / form.max(), atol=1e-6)
    assert not WORLD.kernel(-delay[1:]).any()


def test_traces_are_sums_of_kernels_exactly() -> None:
    traces = clean_traces(WORLD, TIMES, UNITS, num_units=4, times=FRAMES)
    for unit in range(4):
        expected = WORLD.kernel(FRAMES[:, None] - TIMES[unit == UNITS]).sum(axis=1)
        np.testing.assert_allclose(traces[:, unit], expected, atol=1e-9)
    assert not traces[:, 3].any()


def test_noise_and_drift_have_their_size() -> None:
    world = CalciumWorld(noise_sd=0.3, drift_sd=0.7, drift_tau_s=5.0, amplitude_sd=0.4)
    nothing = np.empty(0), np.empty(0, dtype=np.int64)
    made = draw_calcium(
        world, *nothing, num_units=200, duration_s=60.0, rng=np.random.default_rng(1)
    )
    traces = made.traces.astype(np.float64)
    assert traces.shape == (len(made.timestamps), 200)
    assert made.timestamps[-1] < 60.0
    np.testing.assert_allclose(np.diff(made.timestamps), 1 / 30)
    np.testing.assert_allclose(traces.std(), np.hypot(0.3, 0.7), rtol=0.05)
    lag = 150
    covariance = np.mean(traces[lag:] * traces[:-lag])
    np.testing.assert_allclose(covariance, 0.49 * np.exp(-1.0), rtol=0.15)
    np.testing.assert_allclose(np.log(made.amplitude).std(), 0.4, rtol=0.15)
    np.testing.assert_allclose(np.median(made.amplitude), 1.0, rtol=0.1)


def test_a_spike_adds_its_unit_s_amplitude() -> None:
    world = CalciumWorld(noise_sd=0.0, drift_sd=0.0)
    made = draw_calcium(
        world, TIMES, UNITS, num_units=3, duration_s=20.0, rng=np.random.default_rng(2)
    )
    clean = clean_traces(world, TIMES, UNITS, num_units=3, times=made.timestamps)
    np.testing.assert_allclose(made.traces, clean * made.amplitude, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{"decay_s": 0.0}, {"noise_sd": -1.0}, {"rate_hz": np.inf}])
def test_what_makes_no_sense_is_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match=f"CalciumWorld: {next(iter(settings))}"):
        CalciumWorld(**settings)
