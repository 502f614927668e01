"""The ideal observer: causal, between null and oracle, exact where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.simulate.observer import IdealObserver
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.world import PopulationWorld

WORLD = PopulationWorld()
HORIZON_BINS = (5, 12, 25, 50)
FAST = {"num_particles": 300, "num_rollouts": 100, "reference_s": 100.0}


def bits_per_spike(session, origins_s, expected, *, reference_s):
    """Return cumulative bits per spike at 100, 240, 500 and 1000 ms over the unit's mean."""
    counts = count_in_windows(
        session.spike_times,
        session.spike_unit_index,
        num_units=session.num_units,
        starts_s=origins_s,
        bin_s=0.02,
        num_bins=50,
    )
    seen = session.spike_unit_index[session.spike_times < reference_s]
    num_seen = np.bincount(seen, minlength=session.num_units)
    null = ((num_seen + 0.5) / reference_s * 0.02)[None, :, None]
    gain = counts * np.log(expected / null) - (expected - null)
    ends = np.array(HORIZON_BINS) - 1
    return gain.sum(axis=(0, 1)).cumsum()[ends] / (
        counts.sum(axis=(0, 1)).cumsum()[ends] * np.log(2)
    )


@pytest.fixture(scope="module")
def session():
    return simulate_session(WORLD, num_units=30, duration_s=200.0, seed=5)


def test_above_the_null_and_below_the_oracle(session):
    origins_s = np.arange(100.0, 199.0, 0.5)
    current = IdealObserver(session, **FAST)
    reference = IdealObserver(session, **FAST, gains="reference")
    observed, less_told, known = (
        bits_per_spike(session, origins_s, expected, reference_s=100.0)
        for expected in (
            current.forecast(origins_s),
            reference.forecast(origins_s),
            current.oracle(origins_s),
        )
    )
    assert np.all(observed > 0.05)
    assert np.all(observed < known - 0.02)
    assert np.all(less_told < observed)
    assert np.all(np.diff(observed) < 0)


def test_the_future_does_not_change_a_forecast(session):
    origins_s = np.array([110.0, 112.0, 114.0])
    changed = session.spike_times >= 112.0
    unit = session.spike_unit_index.copy()
    unit[changed] = (unit[changed] + 1) % session.num_units
    other = replace(session, spike_unit_index=unit)
    left = IdealObserver(session, **FAST).forecast(origins_s)
    right = IdealObserver(other, **FAST).forecast(origins_s)
    np.testing.assert_array_equal(left[:2], right[:2])
    assert not np.allclose(left[2], right[2], rtol=0.05)


def test_same_seed_same_forecast_and_other_seed_nearly(session):
    origins_s = np.array([105.0, 106.0])
    left, again, other = (
        IdealObserver(session, **{**FAST, "num_particles": 2000}, seed=seed).forecast(origins_s)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(left, again)
    assert not np.array_equal(left, other)
    assert np.median(np.abs(np.log(left / other))) < 0.1


def test_wider_bins_hold_the_sum_of_narrow_ones(session):
    observer, origins_s = IdealObserver(session, **FAST), np.array([105.0, 106.003])
    fine = observer.forecast(origins_s, bin_s=0.02, num_bins=50)
    coarse = observer.forecast(origins_s, bin_s=0.1, num_bins=10)
    np.testing.assert_allclose(coarse, fine.reshape(2, -1, 10, 5).sum(axis=-1), rtol=1e-9)


def test_bins_finer_than_the_grid_share_its_steps(session):
    observer, origins_s = IdealObserver(session, **FAST), np.array([105.0])
    whole = observer.forecast(origins_s, bin_s=0.01, num_bins=20)
    halves = observer.forecast(origins_s, bin_s=0.005, num_bins=40)
    np.testing.assert_allclose(halves, np.repeat(whole / 2, 2, axis=-1), rtol=1e-9)


def test_a_far_origin_is_reached_without_what_lies_between(session):
    """After a gap longer than the burn-in the filter starts anew, and loses nothing."""
    observer = IdealObserver(session, **{**FAST, "num_particles": 1000})
    far = observer.forecast([101.0, 190.0])[1]
    run_on = observer.forecast(np.arange(170.0, 190.5, 1.0))[-1]
    assert np.median(np.abs(np.log(far / run_on))) < 0.15


def test_units_without_loadings_have_a_known_forecast():
    """With nothing to infer, forecast and oracle are one constant: the true mean rate."""
    blind = replace(WORLD, block_loading=(0.0,) * 5)
    session = simulate_session(blind, num_units=10, duration_s=150.0, seed=1, drift=False)
    observer = IdealObserver(session, **FAST)
    origins_s = np.arange(101.0, 148.0, 5.0)
    expected = observer.forecast(origins_s)
    np.testing.assert_allclose(expected, observer.oracle(origins_s), rtol=1e-5)
    per_unit = expected[0, :, 0]
    np.testing.assert_allclose(expected, np.broadcast_to(per_unit[:, None], (10, 10, 50)))
    spikes = np.bincount(session.spike_unit_index, minlength=10)
    wanted = per_unit / 0.02 * 150.0
    assert np.all(np.abs(spikes - wanted) < 5 * np.sqrt(wanted))


def test_without_trials_the_clock_stays_at_rest():
    resting = simulate_session(WORLD, num_units=20, duration_s=110.0, seed=1, trials=False)
    expected = IdealObserver(resting, **FAST).forecast([105.0])
    assert np.all(expected > 0)
    assert np.isfinite(expected).all()


def test_progress_counts_origins(session):
    calls = []
    IdealObserver(session, **FAST).forecast(
        [105.0, 105.5], progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(1, 2), (2, 2)]


def test_no_origins_no_forecast(session):
    assert IdealObserver(session, **FAST).forecast([]).shape == (0, 30, 50)


@pytest.mark.parametrize(
    ("origins_s", "reason"),
    [
        ([106.0, 105.0], "sorted"),
        ([50.0, 105.0], "end of the reference"),
        ([105.0, 201.0], "that of the session"),
    ],
)
def test_origins_that_cannot_be_forecast_are_refused(session, origins_s, reason):
    with pytest.raises(ConfigError, match=reason):
        IdealObserver(session, **FAST).forecast(origins_s)


def test_the_oracle_refuses_windows_past_the_end(session):
    with pytest.raises(ConfigError, match="ends after it"):
        IdealObserver(session, **FAST).oracle([199.5])


@pytest.mark.parametrize(
    "settings",
    [{"reference_s": 300.0}, {"reference_s": 0.0}, {"gains": "true"}, {"num_particles": 0}],
)
def test_settings_out_of_range_are_refused(session, settings):
    with pytest.raises(ConfigError, match="expected"):
        IdealObserver(session, **{**FAST, **settings})


def test_the_default_world_is_as_hard_as_in_the_study():
    """Sessions differ (0.20 to 0.32 bits/spike at 100 ms); these two together lie midway.

    Their spikes are fixed, so only a change of the world or of the observer moves the score.
    """
    origins_s = np.arange(360.0, 479.0, 0.5)
    current, reference = [], []
    for index, num_units in ((2, 88), (3, 80)):
        session = simulate_session(WORLD, num_units=num_units, duration_s=480.0, seed=(0, index))
        for gains, scores in (("current", current), ("reference", reference)):
            observer = IdealObserver(
                session, num_particles=500, num_rollouts=100, gains=gains, reference_s=360.0
            )
            expected = observer.forecast(origins_s)
            scores.append(bits_per_spike(session, origins_s, expected, reference_s=360.0))
    current, reference = np.mean(current, axis=0), np.mean(reference, axis=0)
    assert 0.25 < current[0] < 0.32
    assert 0.12 < current[3] < 0.17
    assert 0.02 < (current - reference)[0] < 0.07
