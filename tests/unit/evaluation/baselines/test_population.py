"""Population regressions: equal to their textbook solutions, and blind to what they may not see."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.population import (
    PopulationRegression,
    reference_moments,
    scaled_traces,
)
from neurohorizon.evaluation.baselines.training import prepare_training
from neurohorizon.evaluation.protocol import Protocol, SessionCase, prepare_case
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.ops.traces import exponential_traces
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import waving_recording

SPEC = WindowSpec()
PROTOCOL = Protocol(reference_s=40.0, fewest_spikes=100)


@pytest.fixture(scope="module")
def case() -> SessionCase:
    return prepare_case(waving_recording(num_units=6), PROTOCOL, held_out=True)


def direct(case: SessionCase, num_traces: int):
    """Return inputs and scaled targets of the whole reference at once."""
    known = case.known
    recording, reference = known.recording, known.reference
    ((start, end),) = reference.intervals
    origins = np.arange(start + 1.0, end - 1.0, 0.025)
    taus_s = known.history.time_constants_s[:num_traces]
    traces = exponential_traces(
        recording.spike_times,
        recording.spike_unit_index,
        num_units=6,
        at_s=origins,
        time_constants_s=taus_s,
        start_s=start,
        start_rate_hz=reference.rate_hz,
    )
    counts = count_in_windows(
        recording.spike_times,
        recording.spike_unit_index,
        num_units=6,
        starts_s=origins,
        bin_s=0.02,
        num_bins=50,
    )
    relative = SPEC.group_rates(counts) / reference.rate_hz[:, None] - 1
    widths_s = np.diff(SPEC.group_edges) * 0.02
    scale = np.sqrt(reference.rate_hz[:, None] * widths_s)
    inputs = scaled_traces(traces, reference.rate_hz, taus_s)
    return inputs, (relative * scale).reshape(len(inputs), -1), scale.reshape(-1)


def test_ridge_is_the_textbook_solution(case):
    inputs, targets, scale = direct(case, 3)
    weights = reference_moments(case.known, SPEC, num_traces=3).ridge(500.0)
    gram = inputs.T @ inputs + 500.0 * np.eye(inputs.shape[1])
    assert np.allclose(weights * scale, np.linalg.solve(gram, inputs.T @ targets), atol=1e-8)


def test_reduced_rank_is_the_best_of_its_rank(case):
    inputs, targets, scale = direct(case, 2)
    moments = reference_moments(case.known, SPEC, num_traces=2)

    def cost(weights):
        return np.sum((targets - inputs @ weights) ** 2) + 200.0 * np.sum(weights**2)

    low, high = moments.reduced_rank(200.0, [2, 5])
    full = moments.ridge(200.0)
    assert np.linalg.matrix_rank(low * scale, tol=1e-9) == 2
    assert cost(full * scale) < cost(high * scale) < cost(low * scale)
    generator = np.random.default_rng(0)
    left, _, right = np.linalg.svd(low * scale, full_matrices=False)
    for _ in range(20):
        # Nearby matrices of the same rank are all worse.
        nudge = 1e-3 * generator.standard_normal((len(left), 2)) @ right[:2]
        assert cost(low * scale + nudge) > cost(low * scale)
        nudge = left[:, :2] @ (1e-3 * generator.standard_normal((2, right.shape[1])))
        assert cost(low * scale + nudge) > cost(low * scale)
    assert np.allclose(moments.reduced_rank(200.0, [12])[0], full)


def test_a_solution_reads_only_the_reference(case):
    recording = case.recording
    ((start, end),) = case.reference.intervals
    inside = (recording.spike_times >= start) & (recording.spike_times < end)
    only = replace(
        recording,
        spike_times=recording.spike_times[inside],
        spike_unit_index=recording.spike_unit_index[inside],
    )
    blind = replace(case.known, recording=only)
    ridge = reference_moments(case.known, SPEC, num_traces=3).ridge(100.0)
    assert np.array_equal(ridge, reference_moments(blind, SPEC, num_traces=3).ridge(100.0))


def test_units_that_are_not_scored_take_no_rank_but_are_read(case):
    units = case.scored_units.copy()
    units[0] = False
    without = replace(case.known, scored_units=units)
    low = reference_moments(without, SPEC, num_traces=3).reduced_rank(100.0, [3])[0]
    by_unit = low.reshape(6, 3, 6, SPEC.num_groups)
    assert np.all(by_unit[:, :, 0] == 0)
    assert np.all(np.abs(by_unit[0][:, 1:]).max(axis=(0, 2)) > 0)


def test_it_is_tuned_and_finds_the_rhythm(case):
    training = prepare_training([waving_recording(seed=1, name="other")], PROTOCOL)
    regression = PopulationRegression(low_rank=True, penalties=(1e3, 1e9), ranks=(1, 4))
    with pytest.raises(DataError, match="fit it before"):
        regression.relative_rate(case.known, next(iter(case.chunks())))
    regression.fit(training)
    assert regression.choice is not None
    assert regression.choice[1:] == (1e3, 4)
    (windows,) = case.chunks()
    forecast = regression.relative_rate(case.known, windows)
    seen = SPEC.group_rates(windows.counts) / case.reference.rate_hz[:, None] - 1
    assert np.corrcoef(forecast[:, :, 7].ravel(), seen[:, :, 7].ravel())[0, 1] > 0.2
