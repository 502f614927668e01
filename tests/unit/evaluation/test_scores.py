"""Scores: what they keep gives every number, and nothing counts twice or by accident."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.calibration import CountBounds, pit_histogram, poisson_bounds
from neurohorizon.evaluation.metrics import log_likelihood_kernel
from neurohorizon.evaluation.protocol import Protocol, SessionCase, prepare_case
from neurohorizon.evaluation.scores import Scores, spans_of
from neurohorizon.recordings.schema import Table
from worlds import poisson_recording

PROTOCOL = Protocol(reference_s=20.0, fewest_spikes=100, block_s=5.0)


@pytest.fixture(scope="module")
def case() -> SessionCase:
    recording = poisson_recording(num_units=4)
    quality = np.array(["", "", "unsorted", ""])
    trials = Table(start=np.arange(0.0, 60.0, 1.7), end=np.arange(0.0, 60.0, 1.7) + 1.0)
    recording = replace(
        recording,
        units=replace(recording.units, quality=quality),
        tables={"trials": trials},
    )
    return prepare_case(recording, PROTOCOL, held_out=False)


def forecast(case: SessionCase, windows) -> np.ndarray:
    """Return something that varies with window, unit and bin."""
    generator = np.random.default_rng(int(windows.origins_s[0] * 1e6))
    spread = generator.gamma(4.0, 0.25, size=windows.counts.shape)
    # The same numbers however windows are chunked: seeded by each window.
    for row, origin in enumerate(windows.origins_s):
        row_generator = np.random.default_rng(int(origin * 1e6))
        spread[row] = row_generator.gamma(4.0, 0.25, size=spread.shape[1:])
    return spread * (case.null.rate_hz * 0.02)[None, :, None]


def scored(case: SessionCase, size: int = 256) -> Scores:
    scores = Scores.empty("row", case)
    for windows in case.chunks(size):
        scores.add(windows, forecast(case, windows))
    return scores


def test_sums_equal_the_direct_computation(case):
    scores = scored(case)
    (windows,) = case.chunks(10_000)
    units = np.flatnonzero(case.scored_units)
    expected, counts = forecast(case, windows)[:, units], windows.counts[:, units]
    kernel = log_likelihood_kernel(counts, expected)
    null = log_likelihood_kernel(counts, case.null.rate_hz[units, None] * 0.02)
    assert np.allclose(scores.log_likelihood.sum(axis=0), kernel.sum(axis=0))
    assert np.allclose(scores.gain.sum(axis=0), (kernel - null).sum(axis=0))
    assert np.array_equal(scores.spikes.sum(axis=0), counts.sum(axis=0))
    at_horizon = scores.at_horizons(scores.log_likelihood).sum(axis=0)[:, 1]
    assert np.allclose(at_horizon, kernel[:, :, :12].sum(axis=(0, 2)))

    block = np.floor(windows.origins_s / 5.0)
    in_first = block == block[0]
    assert scores.num_windows[0] == in_first.sum()
    assert np.allclose(scores.log_likelihood[0], kernel[in_first].sum(axis=0))

    spans = spans_of(PROTOCOL)
    last = len(spans) - 1
    p, y = expected.sum(axis=2), counts.sum(axis=2)
    by_hand = [np.corrcoef(p[:, unit], y[:, unit])[0, 1] for unit in range(len(units))]
    assert np.allclose(scores.correlation()[:, last], by_hand)
    assert np.isclose(scores.calibration[1, last].sum(), p.sum())
    assert scores.calibration[2, last].sum() == y.sum()
    assert scores.calibration[0, last].sum() == p.size
    # Sums of independent Poisson counts are Poisson: the same as of a single wide bin.
    by_hand = pit_histogram(poisson_bounds(counts.sum(axis=2), p))
    np.testing.assert_allclose(scores.pit[-1], by_hand, rtol=1e-9)
    np.testing.assert_allclose(scores.pit.sum(axis=1), p.size)


def test_a_distribution_of_its_own_is_not_taken_for_poisson(case):
    """With log-probabilities and nothing on sums, nothing is said of their calibration."""
    scores = Scores.empty("row", case)
    (windows,) = case.chunks(10_000)
    scores.add(windows, forecast(case, windows), np.full(windows.counts.shape, -1.0))
    assert scores.pit.sum() == 0
    bounds = CountBounds(*(np.full((*windows.counts.shape[:2], 4), 0.5),) * 2)
    scores = Scores.empty("row", case)
    told = forecast(case, windows)
    scores.add(windows, told, np.full(windows.counts.shape, -1.0), bounds)
    assert scores.pit[:, :10].sum() == pytest.approx(0.0)
    assert scores.pit[:, 10:].sum() == pytest.approx(4 * len(windows) * case.scored_units.sum())


@pytest.mark.parametrize("size", [1, 7, 13])
def test_chunks_do_not_change_a_number(case, size):
    whole, chunked = scored(case), scored(case, size)
    for name, values in whole.to_arrays().items():
        assert np.allclose(values, chunked.to_arrays()[name]), name


def test_merging_parts_equals_adding_them(case):
    whole = scored(case)
    windows = list(case.chunks(11))
    parts = []
    for chosen in (windows[::2], windows[1::2]):
        part = Scores.empty("row", case)
        for each in chosen:
            part.add(each, forecast(case, each))
        parts.append(part)
    parts[0].merge(parts[1])
    for name, values in whole.to_arrays().items():
        merged = parts[0].to_arrays()[name]
        if name == "origin_ticks":
            merged = np.sort(merged)
        assert np.allclose(values, merged), name


def test_an_origin_counts_once(case):
    scores = scored(case)
    before = scores.to_arrays() | {"spikes": scores.spikes.copy()}
    windows = next(iter(case.chunks(3)))
    with pytest.raises(DataError, match=r"row on poisson: the origin at .* was scored before"):
        scores.add(windows, forecast(case, windows))
    assert np.array_equal(scores.spikes, before["spikes"])
    with pytest.raises(DataError, match="was scored before"):
        scores.merge(scored(case))


def test_left_out_units_change_nothing(case):
    scores = Scores.empty("row", case)
    for windows in case.chunks():
        spoiled = forecast(case, windows)
        spoiled[:, ~case.scored_units] = 1e6
        scores.add(windows, spoiled)
    assert np.array_equal(scores.log_likelihood, scored(case).log_likelihood)
    assert scores.unit_index.tolist() == [0, 1, 3]


def test_what_is_no_forecast_is_refused(case):
    windows = next(iter(case.chunks(3)))
    good = forecast(case, windows)
    for bad in (0.0, -1.0, np.nan, np.inf):
        spoiled = good.copy()
        spoiled[0, 0, 0] = bad
        with pytest.raises(DataError, match="row on poisson: expected counts must be positive"):
            Scores.empty("row", case).add(windows, spoiled)
    with pytest.raises(DataError, match=r"has shape \(3, 4, 49\), expected .* \(3, 4, 50\)"):
        Scores.empty("row", case).add(windows, good[:, :, 1:])
    log_prob = np.full(good.shape, -0.5)
    for bad in (0.1, np.nan, -np.inf):
        log_prob[0, 0, 0] = bad
        with pytest.raises(DataError, match="log-probabilities of counts must be finite"):
            Scores.empty("row", case).add(windows, good, log_prob)
    with pytest.raises(DataError, match=r"has shape \(3, 4, 49\)"):
        Scores.empty("row", case).add(windows, good, log_prob[:, :, 1:])


def test_scores_of_other_things_do_not_merge(case):
    with pytest.raises(DataError, match="cannot be merged"):
        scored(case).merge(Scores.empty("another", case))


def test_arrays_make_the_same_scores_again(case, tmp_path):
    scores = scored(case)
    np.savez(tmp_path / "scores.npz", **scores.to_arrays())
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        again = Scores.from_arrays("row", scores.recording, PROTOCOL, file)
    assert np.array_equal(again.gain, scores.gain)
    assert np.array_equal(again.psth_r2(), scores.psth_r2(), equal_nan=True)


def test_the_psth_of_a_perfect_forecast_is_perfect():
    # A unit that fires 0.3 s after each trial's start, forecast by who knows it.
    starts = np.arange(0.0, 600.0, 1.3)
    recording = poisson_recording(num_units=2, duration_s=600.0, rate_hz=2.0)
    burst = np.round((starts[:, None] + 0.3 + 0.01 * np.arange(10)).ravel(), 6)
    times = np.concatenate([recording.spike_times, burst])
    unit = np.concatenate([recording.spike_unit_index, np.zeros(len(burst), dtype=np.int64)])
    order = np.argsort(times)
    recording = replace(
        recording,
        spike_times=times[order],
        spike_unit_index=unit[order],
        tables={"trials": Table(start=starts, end=starts + 1.0)},
    )
    case = prepare_case(recording, PROTOCOL, held_out=False)
    knowing, constant = Scores.empty("knowing", case), Scores.empty("constant", case)
    for windows in case.chunks():
        knowing.add(windows, windows.counts + 1e-3)
        constant.add(windows, np.full(windows.counts.shape, 0.1))
    assert np.all(knowing.psth_r2()[0] > 0.99)
    assert np.all(constant.psth_r2()[0] < 0.05)


def test_without_trials_there_is_no_psth():
    case = prepare_case(poisson_recording(num_units=3), PROTOCOL, held_out=False)
    scores = scored(case)
    assert scores.psth.size == 0
    assert np.isnan(scores.psth_r2()).all()
