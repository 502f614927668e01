"""Last windows and shrinkage: what they count, and that they see no future."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.evaluation.baselines.recent import LastWindow, Shrinkage, recent_counts
from neurohorizon.evaluation.baselines.training import prepare_training
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.recordings.splits import split_interleaved
from worlds import poisson_recording, waving_recording

PROTOCOL = Protocol(reference_s=30.0, fewest_spikes=100)


def test_recent_counts_are_counts_of_the_last_seconds():
    case = prepare_case(poisson_recording(), PROTOCOL, held_out=True)
    recording, origins = case.recording, case.origins_s[[0, 3, 9]]
    counts = recent_counts(case.known, origins, (0.25, 2.0))
    for row, origin in enumerate(origins):
        for column, width in enumerate((0.25, 2.0)):
            _, unit = recording.between(origin - width, origin)
            assert np.array_equal(
                counts[row, :, column], np.bincount(unit, minlength=recording.num_units)
            )


def test_across_the_edge_of_a_block_the_reference_rate_stands_in():
    recording = poisson_recording(duration_s=200.0)
    recording = replace(recording, split=split_interleaved(recording.domain))
    case = prepare_case(recording, replace(PROTOCOL, reference_s=None), held_out=False)
    start = case.scored[0, 0]
    counts = recent_counts(case.known, np.array([start + 0.5]), (0.5, 4.0))
    beyond = counts[0, :, 1] - counts[0, :, 0]
    assert np.allclose(beyond, 3.5 * case.reference.rate_hz)


def test_a_window_without_spikes_is_half_a_spike():
    training = prepare_training([poisson_recording(rate_hz=0.3, duration_s=120.0)], PROTOCOL)
    row = LastWindow(widths_s=(0.5,))
    row.fit(training)
    case = prepare_case(poisson_recording(rate_hz=0.3, seed=4), PROTOCOL, held_out=True)
    (windows,) = case.chunks()
    assert np.isclose(row.forecast(case, windows).min(), 0.5 / 0.5 * 0.02)


def test_on_stationary_data_the_longest_window_and_firm_priors_win():
    recordings = [poisson_recording(seed=s, name=f"p{s}", duration_s=300.0) for s in range(2)]
    training = prepare_training(recordings, PROTOCOL)
    last, shrunk = LastWindow(), Shrinkage()
    last.fit(training)
    shrunk.fit(training)
    assert last.width_of_group is not None
    assert set(last.width_of_group) == {len(last.widths_s) - 1}
    case = prepare_case(poisson_recording(seed=7), PROTOCOL, held_out=True)
    (windows,) = case.chunks()
    ratio = shrunk.forecast(case, windows) / (case.reference.rate_hz * 0.02)[:, None]
    assert np.log(ratio).std() < 0.1


@pytest.mark.parametrize("row", [LastWindow(), Shrinkage()])
def test_the_future_changes_nothing(row):
    recording = waving_recording()
    training = prepare_training([waving_recording(seed=5, name="other")], PROTOCOL)
    row.fit(training)
    case = prepare_case(recording, PROTOCOL, held_out=True)
    origin = case.origins_s[10]
    past = recording.spike_times < origin
    cut = replace(
        recording,
        spike_times=recording.spike_times[past],
        spike_unit_index=recording.spike_unit_index[past],
    )
    blind = prepare_case(cut, PROTOCOL, held_out=True)
    forecasts = []
    for each in (case, blind):
        (windows,) = each.chunks()
        forecasts.append(row.forecast(each, windows)[:11])
    assert np.array_equal(*forecasts)
