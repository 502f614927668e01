"""Samples of a reference: what was drawn is what was recorded, and nothing is drawn unasked."""

import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.reference_samples import (
    INTERVAL_LIMITS_S,
    SPIKES_OF_A_RUN,
    SampleSpec,
    draw_samples,
)
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import poisson_recording

STRETCH = np.array([[5.0, 25.0], [30.0, 50.0]])
SPEC = SampleSpec(num_windows=12, window_s=0.5, num_spikes=48)


@pytest.fixture(scope="module")
def recording():
    return poisson_recording(num_units=5, duration_s=60.0, rate_hz=4.0)


@pytest.fixture(scope="module")
def samples(recording):
    return compute_reference(recording, STRETCH, spec=WindowSpec(samples=SPEC)).samples


def test_windows_hold_the_counts_of_stretches_inside(recording, samples):
    assert samples.counts.shape == (5, 12, 25)
    starts = np.concatenate([start + np.arange(40) * 0.5 for start in (5.0, 30.0)])
    possible = [
        np.histogram2d(
            recording.spike_unit_index,
            recording.spike_times,
            bins=(np.arange(6), start + np.arange(26) * 0.02),
        )[0]
        for start in starts
    ]
    found = [
        next(i for i, counts in enumerate(possible) if np.abs(counts - window).sum() <= 1)
        for window in samples.counts.transpose(1, 0, 2)
    ]
    assert len(set(found)) == 12
    assert np.ptp(np.diff(found)) <= 1, "drawn evenly"


def test_runs_are_consecutive_spikes_of_their_unit(recording, samples):
    inside = [recording.between(*stretch) for stretch in STRETCH]
    for unit in range(5):
        # Without the gap of 5 s between the stretches.
        times = np.concatenate(
            [
                spikes[units == unit] - gap
                for (spikes, units), gap in zip(inside, (0.0, 5.0), strict=True)
            ]
        )
        num_runs = min(len(times) // SPIKES_OF_A_RUN, 3)
        assert samples.there[unit].any(axis=1).sum() == max(num_runs, 1)
        firsts = []
        for run in range(num_runs):
            anchor = np.argmin(
                [
                    np.abs(times[i : i + 16] - times[i + 8] - samples.time_s[unit, run]).max()
                    for i in range(len(times) - 15)
                ]
            )
            firsts.append(anchor)
            here = times[anchor : anchor + 16]
            np.testing.assert_allclose(samples.time_s[unit, run], here - here[8], atol=1e-5)
            before = np.diff(np.concatenate([[-np.inf], times]))[anchor : anchor + 16]
            after = np.diff(np.concatenate([times, [np.inf]]))[anchor : anchor + 16]
            np.testing.assert_allclose(
                samples.interval_s[unit, run],
                np.clip(np.column_stack([before, after]), *INTERVAL_LIMITS_S),
                atol=1e-5,
            )
        assert firsts == sorted(firsts)
        if num_runs > 1:
            assert firsts[0] == 0
            assert firsts[-1] == len(times) - 16


def test_a_silent_unit_and_one_of_few_spikes_have_what_there_is(recording):
    times, unit = np.array([1.0, 2.0, 2.5]), np.array([1, 1, 1])
    found = draw_samples(
        recording, STRETCH, times, unit, spec=SampleSpec(num_spikes=32), bin_s=0.02
    )
    assert found.there.sum(axis=(1, 2)).tolist() == [0, 3, 0, 0, 0]
    assert found.time_s[1, 0, :4].tolist() == [-1.0, 0.0, 0.5, 0.0]
    assert found.interval_s[1, 0, 1].tolist() == [1.0, 0.5]
    none = draw_samples(
        recording, STRETCH, times[:0], unit[:0], spec=SampleSpec(num_spikes=32), bin_s=0.02
    )
    assert not none.there.any()


def test_nothing_is_drawn_unasked(recording):
    assert compute_reference(recording, STRETCH, spec=WindowSpec()).samples is None


def test_what_cannot_be_drawn_is_refused(recording):
    with pytest.raises(ConfigError, match=r"identity window of 0\.5 s is no whole number"):
        WindowSpec(bin_s=0.04, horizon_s=0.4, samples=SPEC)
    with pytest.raises(ConfigError, match="at least 16"):
        SampleSpec(num_spikes=3)
    spec = WindowSpec(samples=SampleSpec(num_windows=3, window_s=22.0))
    with pytest.raises(DataError, match="identity window of 22 s"):
        compute_reference(recording, STRETCH, spec=spec)


def test_a_geometry_with_samples_survives_json():
    spec = WindowSpec(samples=SPEC)
    told = {"samples": {"num_windows": 12, "window_s": 0.5, "num_spikes": 48}}
    assert WindowSpec.from_dict(told) == spec
    assert WindowSpec.from_dict({}) == spec.geometry
