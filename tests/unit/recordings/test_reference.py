"""The reference: causal, finite, informative, and indifferent to what it should ignore."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.recordings.reference import (
    NUM_FUNCTIONAL_FEATURES,
    compute_reference,
)
from neurohorizon.recordings.reference_features import (
    NUM_REFERENCE_FEATURES,
    FeatureScaler,
    reference_features,
    skewed_reference_features,
)
from neurohorizon.recordings.reference_pool import draw_cross_fits, last_stretch
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec()
STRETCH = np.array([[10.0, 70.0]])


def assert_same(left, right):
    for name in ("rate_hz", "statistics", "functional"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), atol=1e-9)
    for one, other in zip(left.adapter.maps, right.adapter.maps, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-9)
    one, other = left.adapter.dynamics, right.adapter.dynamics
    np.testing.assert_allclose(one.transition, other.transition, atol=1e-9)
    np.testing.assert_allclose(one.loadings, other.loadings, atol=1e-9)


def test_nothing_outside_the_stretch_is_read():
    recording = waving_recording(duration_s=90.0)
    inside = (recording.spike_times >= 10.0) & (recording.spike_times < 70.0)
    alone = replace(
        recording,
        spike_times=recording.spike_times[inside],
        spike_unit_index=recording.spike_unit_index[inside],
    )
    assert_same(
        compute_reference(recording, STRETCH, spec=SPEC),
        compute_reference(alone, STRETCH, spec=SPEC),
    )


def test_units_in_another_order_get_the_same_reference_in_that_order():
    recording = waving_recording(duration_s=90.0)
    order = np.random.default_rng(0).permutation(recording.num_units)
    first = compute_reference(recording, STRETCH, spec=SPEC)
    second = compute_reference(recording.select_units(order), STRETCH, spec=SPEC)
    np.testing.assert_allclose(second.statistics, first.statistics[order], atol=1e-9)
    np.testing.assert_allclose(second.functional, first.functional[order], atol=1e-6)
    forecasts = []
    for each, reference in ((recording, first), (recording.select_units(order), second)):
        windows = reference.read_windows(WindowReader(each, SPEC), [75.0, 80.0])
        forecasts.append(reference.adapter.forecast(windows.traces_hz, windows.states))
    np.testing.assert_allclose(forecasts[1], forecasts[0][:, order], atol=1e-6)


def test_the_adapter_foretells_held_out_time_of_a_rhythm_and_nothing_of_noise():
    gains = {}
    for recording in (waving_recording(duration_s=150.0), poisson_recording(duration_s=150.0)):
        reference = compute_reference(recording, np.array([[0.0, 90.0]]), spec=SPEC)
        origins = np.arange(95.0, 145.0, 0.25)
        windows = reference.read_windows(WindowReader(recording, SPEC), origins)
        relative = SPEC.group_rates(windows.counts) / reference.rate_hz[:, None] - 1.0
        forecast = reference.adapter.forecast(windows.traces_hz, windows.states)
        gains[recording.id] = [
            np.corrcoef(each.ravel(), relative.ravel())[0, 1]
            for each in np.moveaxis(forecast, -1, 0)
        ]
    assert min(gains["waves"]) > 0.15
    assert np.abs(gains["poisson"]).max() < 0.03


def test_silent_and_single_spike_units_have_finite_features():
    features = reference_features(
        np.array([5.0]), np.array([1]), num_units=3, start_s=0.0, end_s=60.0
    )
    assert features.shape == (3, NUM_REFERENCE_FEATURES)
    assert np.isfinite(features).all()


def test_features_know_known_trains():
    regular = np.arange(0.05, 100.0, 0.1)
    generator = np.random.default_rng(0)
    poisson = np.sort(generator.uniform(0, 100.0, 1000))
    times = np.concatenate([regular, poisson])
    unit = np.repeat([0, 1], [len(regular), len(poisson)])
    order = np.argsort(times)
    features = reference_features(times[order], unit[order], num_units=2, start_s=0.0, end_s=100.0)
    assert np.allclose(features[:, 0], 10.0, rtol=0.01)
    assert features[0, 1] < 0.01, "a clock has no ISI variation"
    assert np.isclose(features[1, 1], 1.0, atol=0.1), "a Poisson train has CV 1"
    assert np.allclose(features[:, 2:22].sum(axis=1), 1.0)
    assert np.allclose(features[1, 22:32], 1.0, atol=0.25), "no autocorrelation"
    assert features[0, 22:31].max() < 0.1, "no spike follows a clock's within 90 ms"
    assert features[0, 32] < 0.1
    assert np.isclose(features[1, 32], 1.0, atol=0.3)


def test_features_of_a_stretch_with_a_gap_skip_the_gap():
    recording = poisson_recording(duration_s=120.0)
    with_gap = compute_reference(recording, np.array([[0.0, 30.0], [60.0, 120.0]]), spec=SPEC)
    assert np.isclose(with_gap.duration_s, 90.0)
    expected = np.bincount(
        recording.spike_unit_index[
            (recording.spike_times < 30.0) | (recording.spike_times >= 60.0)
        ],
        minlength=recording.num_units,
    )
    np.testing.assert_array_equal(with_gap.spike_count, expected)
    assert with_gap.functional.shape == (recording.num_units, NUM_FUNCTIONAL_FEATURES)


def test_behaviour_enters_the_functional_identity():
    recording = waving_recording(duration_s=90.0)
    without = replace(recording, series={})
    behavior = slice(8, 8 + 25)
    tuned = compute_reference(recording, STRETCH, spec=SPEC).functional[:, behavior]
    assert np.abs(tuned).max() > 0.2
    assert (compute_reference(without, STRETCH, spec=SPEC).functional[:, behavior] == 0).all()


def test_a_stretch_too_short_for_a_window_is_refused():
    with pytest.raises(DataError, match=r"a reference of 1\.5 s holds no window"):
        compute_reference(poisson_recording(), np.array([[0.0, 1.5]]), spec=SPEC)


def test_the_scaler_standardises_and_clips():
    generator = np.random.default_rng(0)
    features = np.exp(generator.standard_normal((500, NUM_REFERENCE_FEATURES)))
    scaler = FeatureScaler.fit(features, log=skewed_reference_features())
    standard = scaler.transform(features)
    assert np.abs(standard).max() <= 5.0
    np.testing.assert_allclose(standard[:, 0].mean(), 0.0, atol=0.05)
    np.testing.assert_allclose(standard[:, 0].std(), 1.0, atol=0.05)


def test_cross_fits_never_touch_the_windows_they_serve():
    recording = waving_recording(duration_s=200.0)
    domain = np.array([[0.0, 60.0], [70.0, 160.0]])
    guard = SPEC.context_s + SPEC.horizon_s
    for cross_fit in draw_cross_fits(
        recording, domain, spec=SPEC, lengths_s=(20.0, 40.0, 500.0), seed=3
    ):
        assert cross_fit.reference.duration_s <= 75.0 + 1e-6
        for start, end in cross_fit.free:
            for low, high in cross_fit.reference.intervals:
                assert end <= low - guard + 1e-6 or start >= high + guard - 1e-6


def test_the_last_stretch_ends_where_the_domain_ends():
    domain = np.array([[0.0, 50.0], [60.0, 100.0]])
    assert last_stretch(domain, 10.0).tolist() == [[90.0, 100.0]]
    assert last_stretch(domain, None) is domain


def test_private_traces_show_whose_gain_has_changed():
    recording = waving_recording(duration_s=200.0)
    reference = compute_reference(recording, np.array([[0.0, 90.0]]), spec=SPEC)
    generator = np.random.default_rng(0)
    changed = 3
    lost = (recording.spike_unit_index == changed) & (recording.spike_times > 95.0)
    lost &= generator.random(len(lost)) < 0.5
    quieter = replace(
        recording,
        spike_times=recording.spike_times[~lost],
        spike_unit_index=recording.spike_unit_index[~lost],
    )
    origins = np.arange(180.0, 198.0, 0.5)
    private = []
    for each in (recording, quieter):
        windows = reference.read_windows(WindowReader(each, SPEC), origins)
        private.append(reference.adapter.private_traces(windows.traces_hz, windows.states)[..., -1])
    shift = (private[1] - private[0]).mean(axis=0)
    np.testing.assert_allclose(shift[changed], np.log(0.5), atol=0.2)
    assert np.abs(np.delete(shift, changed)).max() < 0.1
