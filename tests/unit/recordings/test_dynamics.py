"""The linear dynamical system: it finds dynamics that are there, and its filter is exact."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from neurohorizon.ops.traces import exponential_traces
from neurohorizon.recordings.dynamics import LinearDynamics, StateHistory
from neurohorizon.recordings.dynamics_fit import _thin, fit_linear_dynamics
from neurohorizon.recordings.schema import Recording, Units

BIN_S = 0.02
EDGES = np.array([0, 1, 5, 15, 50])


def rotation(*, num_steps: int, seed: int = 0) -> np.ndarray:
    """Two latents that turn at 1.3 Hz, decay in half a second and are kicked all the time."""
    generator = np.random.default_rng(seed)
    angle, decay = 2 * np.pi * 1.3 * BIN_S, np.exp(-BIN_S / 0.5)
    turn = decay * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    latents = np.zeros((num_steps, 2))
    kicks = np.sqrt(1 - decay**2) * generator.standard_normal((num_steps, 2))
    for step in range(1, num_steps):
        latents[step] = turn @ latents[step - 1] + kicks[step]
    return latents


def population(*, num_units: int = 30, minutes: float = 3.0, seed: int = 0) -> tuple:
    """Poisson counts (T, N) of units that follow the rotation, and their true rates in Hz."""
    generator = np.random.default_rng(seed + 1)
    latents = rotation(num_steps=round(60 * minutes / BIN_S), seed=seed)
    loadings = 0.6 * generator.standard_normal((num_units, 2))
    rate_hz = 6.0 * np.exp(latents @ loadings.T)
    return generator.poisson(rate_hz * BIN_S), rate_hz


def as_recording(counts: np.ndarray, *, seed: int = 0) -> Recording:
    """Place each bin's spikes at random inside the bin."""
    bins, units = np.nonzero(counts)
    repeats = counts[bins, units]
    bins, units = np.repeat(bins, repeats), np.repeat(units, repeats)
    times = np.random.default_rng(seed).uniform(bins, bins + 1) * BIN_S
    order = np.argsort(times)
    return Recording(
        id="turning",
        subject="none",
        source="test",
        spike_times=times[order],
        spike_unit_index=units[order],
        units=Units.numbered(counts.shape[1]),
        domain=np.array([[0.0, len(counts) * BIN_S]]),
    )


def fit(counts: np.ndarray, **settings) -> LinearDynamics:
    rate_hz = np.maximum(counts.mean(axis=0) / BIN_S, 0.05)
    return fit_linear_dynamics([counts], rate_hz=rate_hz, bin_s=BIN_S, **settings)


def test_forecasts_what_is_to_come():
    counts, rate_hz = population(minutes=4.0)
    half = len(counts) // 2
    dynamics = fit(counts[:half], num_latents=4)
    recording = as_recording(counts)
    origins = np.arange(half, len(counts) - 50, 25)
    states = StateHistory(recording, dynamics, segments=recording.domain).at(origins * BIN_S)
    forecast = 1.0 + dynamics.forecast(states, EDGES)
    truth = np.stack(
        [
            np.mean([rate_hz[origins + step] for step in range(low, high)], axis=0)
            for low, high in pairwise(EDGES)
        ],
        axis=-1,
    )
    truth = truth / dynamics.rate_hz[:, None]
    correlation = [
        np.corrcoef(forecast[..., g].ravel(), truth[..., g].ravel())[0, 1] for g in (0, 2)
    ]
    assert correlation[0] > 0.7
    assert correlation[1] > 0.4
    # The turn was found: an eigenvalue at its angle.
    angles = np.abs(np.angle(np.linalg.eigvals(dynamics.transition))) / (2 * np.pi * BIN_S)
    assert np.abs(angles - 1.3).min() < 0.25


def test_filter_is_the_kalman_filter():
    counts, _ = population(num_units=8, minutes=0.5)
    dynamics = fit(counts, num_latents=3)
    # All spikes at the middle of their bins: there the traces and the recursion agree.
    bins, units = np.nonzero(counts)
    repeats = counts[bins, units]
    recording = as_recording(counts)
    middle = Recording(
        id="middle",
        subject="none",
        source="test",
        spike_times=np.repeat((bins + 0.5) * BIN_S, repeats),
        spike_unit_index=np.repeat(units, repeats),
        units=recording.units,
        domain=recording.domain,
    )
    observed = (counts - dynamics.rate_hz * BIN_S) / np.sqrt(dynamics.rate_hz * BIN_S)
    state, covariance = np.zeros(3), np.eye(3)
    for _ in range(2000):
        predicted = dynamics.transition @ covariance @ dynamics.transition.T + dynamics.step_noise
        innovation = dynamics.loadings @ predicted @ dynamics.loadings.T
        innovation = innovation + np.diag(dynamics.count_noise)
        gain = np.linalg.solve(innovation, dynamics.loadings @ predicted).T
        covariance = predicted - gain @ dynamics.loadings @ predicted
    for row in observed[:500]:
        ahead = dynamics.transition @ state
        state = ahead + gain @ (row - dynamics.loadings @ ahead)
    history = StateHistory(middle, dynamics, segments=middle.domain)
    np.testing.assert_allclose(history.at([500 * BIN_S])[0], state, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("stride_s", [0.125, 0.25, 3.0])
def test_kept_states_change_nothing(stride_s):
    counts, _ = population(num_units=6, minutes=0.5)
    dynamics, recording = fit(counts, num_latents=3), as_recording(counts)
    at = np.random.default_rng(0).uniform(0.0, 30.0, 20)
    kept = StateHistory(recording, dynamics, segments=recording.domain, stride_s=stride_s).at(at)
    direct = StateHistory(recording, dynamics, segments=recording.domain, stride_s=1e4).at(at)
    np.testing.assert_allclose(kept, direct, rtol=1e-4, atol=1e-5)


def test_the_future_is_not_read_and_segments_start_afresh():
    counts, _ = population(num_units=6, minutes=0.5)
    dynamics = fit(counts, num_latents=3)
    changed = counts.copy()
    changed[600:] = counts[600:][::-1]
    segments = np.array([[0.0, 6.0], [8.0, 30.0]])
    one, other = (
        StateHistory(as_recording(each), dynamics, segments=segments) for each in (counts, changed)
    )
    before = [3.0, 8.0, 11.999]
    np.testing.assert_array_equal(one.at(before), other.at(before))
    assert np.abs(one.at([13.0]) - other.at([13.0])).max() > 1e-6
    np.testing.assert_allclose(one.at([8.0]), 0.0, atol=1e-12)


def test_units_in_another_order_are_forecast_alike():
    counts, _ = population(num_units=9, minutes=0.5)
    order, recording = np.random.default_rng(0).permutation(9), as_recording(counts)
    forecasts = []
    for each, spikes in ((counts, recording), (counts[:, order], recording.select_units(order))):
        dynamics = fit(each)
        states = StateHistory(spikes, dynamics, segments=spikes.domain).at([20.0, 21.0])
        forecasts.append(dynamics.forecast(states, EDGES))
    np.testing.assert_allclose(forecasts[1], forecasts[0][:, order], atol=1e-6)
    assert np.abs(forecasts[0]).max() > 0.1


def test_iterations_raise_the_likelihood_of_the_next_bin():
    counts, _ = population(num_units=20, minutes=1.0)
    errors = []
    for num_iterations in (1, 5, 30):
        dynamics = fit(counts, num_latents=2, num_iterations=num_iterations)
        recording = as_recording(counts)
        origins = np.arange(500, 2500)
        history = StateHistory(recording, dynamics, segments=recording.domain)
        ahead = dynamics.forecast(history.at(origins * BIN_S), np.array([0, 1]))[:, :, 0]
        expected = np.maximum(1.0 + ahead, 0.05) * dynamics.rate_hz * BIN_S
        errors.append(float(np.mean(expected - counts[origins] * np.log(expected))))
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("num_units", [1, 2, 5])
def test_few_or_silent_units_are_no_trouble(num_units):
    counts = np.random.default_rng(0).poisson(0.1, (600, num_units))
    counts[:, 0] = 0
    dynamics, recording = fit(counts), as_recording(counts)
    states = StateHistory(recording, dynamics, segments=recording.domain).at([5.0])
    assert len(dynamics.transition) <= max(1, (num_units + 1) // 2)
    assert np.isfinite(dynamics.forecast(states, EDGES)).all()


def test_dynamics_stay_bounded():
    ramp = np.random.default_rng(0).poisson(np.linspace(0.01, 2.0, 1500)[:, None], (1500, 10))
    dynamics = fit(ramp)
    assert np.abs(np.linalg.eigvals(dynamics.transition)).max() < 1.0


def test_explained_traces_are_the_traces_of_what_the_latents_expect():
    counts, _ = population(num_units=8, minutes=1.0)
    dynamics, recording = fit(counts, num_latents=3), as_recording(counts)
    history = StateHistory(recording, dynamics, segments=recording.domain)
    tau_s, end = np.array([0.3, 4.0]), 50.0
    grid = np.arange(0.0, end, 0.001) + 0.0005
    readout = dynamics.loadings / np.sqrt(dynamics.rate_hz * BIN_S)[:, None]
    expected = dynamics.rate_hz * (1.0 + history.at(grid) @ readout.T)
    # Before the recording latents are 0: a trace starts at the rate, as traces do.
    weight = np.exp(-(end - grid) / tau_s[:, None]) / tau_s[:, None] * 0.001
    direct = (weight @ expected).T + dynamics.rate_hz[:, None] * np.exp(-end / tau_s)
    traces = exponential_traces(
        recording.spike_times,
        recording.spike_unit_index,
        num_units=8,
        at_s=[end],
        time_constants_s=tau_s,
        start_s=0.0,
        start_rate_hz=dynamics.rate_hz,
    )
    explained = dynamics.explained_traces(history.at([end]), traces, time_constants_s=tau_s)
    np.testing.assert_allclose(explained[0], direct, rtol=0.02, atol=0.02)


def test_very_long_references_are_read_in_evenly_spaced_pieces():
    counts, _ = population(num_units=6, minutes=25.0)
    thinned = _thin([counts[:50_000], counts[50_000:]])
    assert 24_000 <= sum(map(len, thinned)) <= 33_000
    assert any(np.shares_memory(piece, counts[:10_000]) for piece in thinned)
    assert any(np.shares_memory(piece, counts[-10_000:]) for piece in thinned)
    assert len(_thin([counts[:20_000]])) == 1
    few, many = fit(counts[:15_000], num_latents=2), fit(counts, num_latents=2)
    np.testing.assert_allclose(
        np.sort(np.abs(np.linalg.eigvals(few.transition))),
        np.sort(np.abs(np.linalg.eigvals(many.transition))),
        atol=0.1,
    )
