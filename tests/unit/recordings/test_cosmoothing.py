"""Hiding units: counts in the context, the smoother, and every way that spikes could leak."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from neurohorizon.ops.kalman import smooth_windows
from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.cosmoothing import (
    context_counts,
    every_fourth,
    hide_units,
    smoothed_rates,
)
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from worlds import poisson_recording, waving_recording

ORIGINS = np.array([65.0, 70.013, 77.3])
HIDDEN = np.array([False, True, False, False, True, False, False])


@pytest.fixture(scope="module")
def waves():
    return waving_recording(num_units=7, duration_s=90.0)


def read(recording, *, reference, spec):
    return reference.read_windows(WindowReader(recording, spec), ORIGINS)


def hidden_spikes_replaced(recording, *, seed=5):
    """The same recording, but after the reference hidden units fire at other times."""
    other = poisson_recording(num_units=7, duration_s=90.0, rate_hz=15.0, seed=seed)
    kept = ~HIDDEN[recording.spike_unit_index] | (recording.spike_times < 60.0)
    new = HIDDEN[other.spike_unit_index] & (other.spike_times >= 60.0)
    times = np.concatenate([recording.spike_times[kept], other.spike_times[new]])
    unit = np.concatenate([recording.spike_unit_index[kept], other.spike_unit_index[new]])
    order = np.argsort(times, kind="stable")
    return replace(recording, spike_times=times[order], spike_unit_index=unit[order])


@pytest.mark.parametrize(("context_s", "bin_s"), [(0.5, 0.02), (0.25, 0.02), (0.3, 0.05)])
def test_context_counts_are_a_histogram_that_ends_at_the_origin(waves, context_s, bin_s):
    spec = WindowSpec(context_s=context_s, bin_s=bin_s)
    reference = compute_reference(waves, np.array([[5.0, 60.0]]), spec=spec)
    counts = context_counts(read(waves, reference=reference, spec=spec))
    num_bins = int(context_s / bin_s + 1e-9)
    assert counts.shape == (3, 7, num_bins)
    for origin, found in zip(ORIGINS, counts, strict=True):
        edges = np.round(origin + np.arange(-num_bins, 1) * bin_s, 6)
        for unit in range(7):
            times = waves.spike_times[waves.spike_unit_index == unit]
            expected = np.diff(np.searchsorted(times, edges))
            np.testing.assert_array_equal(found[unit], expected)


def test_the_smoother_is_the_conditional_mean_of_a_gaussian():
    """Against all states and observations of a window as one Gaussian vector."""
    generator = np.random.default_rng(0)
    size, num_units, steps = 3, 5, 6
    transition = 0.9 * np.linalg.qr(generator.standard_normal((size, size)))[0]
    step_noise = np.diag([0.3, 0.5, 0.2])
    loadings = generator.standard_normal((num_units, size))
    count_noise = generator.uniform(0.5, 2.0, num_units)
    observed = generator.standard_normal((4, steps, num_units))
    found = smooth_windows(
        observed,
        loadings=loadings,
        transition=transition,
        step_noise=step_noise,
        count_noise=count_noise,
    )
    stationary = sum(
        np.linalg.matrix_power(transition, k) @ step_noise @ np.linalg.matrix_power(transition, k).T
        for k in range(400)
    )
    blocks = [
        [
            np.linalg.matrix_power(transition, i - j) @ stationary
            if i >= j
            else stationary @ np.linalg.matrix_power(transition, j - i).T
            for j in range(steps)
        ]
        for i in range(steps)
    ]
    states = np.block(blocks)
    observe = np.kron(np.eye(steps), loadings)
    total = observe @ states @ observe.T + np.kron(np.eye(steps), np.diag(count_noise))
    expected = observed.reshape(4, -1) @ np.linalg.solve(total, observe @ states)
    np.testing.assert_allclose(found, expected.reshape(4, steps, size), atol=1e-8)


def test_hidden_units_leave_nothing_in_a_batch(waves):
    """Other spikes of hidden units change no tensor but the targets."""
    spec = WindowSpec()
    reference = compute_reference(waves, np.array([[5.0, 60.0]]), spec=spec)
    known = np.zeros(7, dtype=np.int64)
    batches = []
    for recording in (waves, hidden_spikes_replaced(waves)):
        windows = read(recording, reference=reference, spec=spec)
        batches.append(collate_groups([WindowGroup(reference, windows, known, hidden=HIDDEN)]))
    targets = {"counts_WNB", "context_counts_WNT"}
    for field in fields(batches[0]):
        one, other = (getattr(batch, field.name) for batch in batches)
        if field.name not in targets:
            assert torch.equal(one, other), field.name
    counts = [batch.context_counts_WNT for batch in batches]
    assert not torch.equal(counts[0][:, HIDDEN], counts[1][:, HIDDEN])
    assert torch.equal(counts[0][:, ~HIDDEN], counts[1][:, ~HIDDEN])
    assert not batches[0].unit_mask_SN[0, HIDDEN].any()
    assert not batches[0].adapter_mask_W.any()


def test_a_batch_without_hidden_units_is_what_it_was(waves):
    spec = WindowSpec()
    reference = compute_reference(waves, np.array([[5.0, 60.0]]), spec=spec)
    windows = read(waves, reference=reference, spec=spec)
    batch = collate_groups([WindowGroup(reference, windows, np.zeros(7, dtype=np.int64))])
    assert batch.smoothed_WNT.shape == batch.context_counts_WNT.shape == (3, 7, 0)
    assert batch.unit_mask_SN.all()
    assert not batch.hidden_SN.any()


def test_hiding_keeps_what_the_others_did(waves):
    spec = WindowSpec()
    reference = compute_reference(waves, np.array([[5.0, 60.0]]), spec=spec)
    windows = read(waves, reference=reference, spec=spec)
    seen = hide_units(windows, HIDDEN, rate_hz=reference.rate_hz)
    before, after = context_counts(windows), context_counts(seen)
    assert not after[:, HIDDEN].any()
    np.testing.assert_array_equal(after[:, ~HIDDEN], before[:, ~HIDDEN])
    np.testing.assert_array_equal(seen.traces_hz[:, ~HIDDEN], windows.traces_hz[:, ~HIDDEN])


def test_smoothed_rates_follow_what_hidden_units_did():
    recording = waving_recording(num_units=20, duration_s=150.0, rate_hz=12.0)
    spec = WindowSpec()
    reference = compute_reference(recording, np.array([[0.0, 90.0]]), spec=spec)
    windows = reference.read_windows(WindowReader(recording, spec), np.arange(92.0, 148.0, 0.5))
    counts, hidden = context_counts(windows), every_fourth(20)
    rates = smoothed_rates(counts, hidden, reference.adapter.dynamics)
    for unit in np.flatnonzero(hidden):
        correlation = np.corrcoef(rates[:, unit].ravel(), counts[:, unit].ravel())[0, 1]
        assert correlation > 0.1
