"""Training data: which references it holds, and how its batches are filled."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from neurohorizon.ops.intervals import total_s
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.splits import split_interleaved
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.batches import (
    EpochNumbers,
    TrainingBatches,
    TrainingSession,
    session_weights,
)
from neurohorizon.training.data import ForecastData
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec(horizon_s=0.5)


def interleaved() -> Recording:
    recording = waving_recording(num_units=5, duration_s=300.0)
    return replace(recording, split=split_interleaved(recording.domain))


@pytest.fixture
def waves() -> Recording:
    return waving_recording(num_units=5, duration_s=150.0)


@pytest.mark.parametrize(
    ("recording", "reference_s", "num_folds"),
    [
        (interleaved(), None, 4),
        (interleaved(), 30.0, 0),
        (waving_recording(num_units=5, duration_s=150.0), None, 0),
    ],
)
def test_where_a_reference_surrounds_what_it_serves_training_meets_that_too(
    recording, reference_s, num_folds
):
    data = ForecastData(
        recordings=[recording],
        spec=SPEC,
        num_references=2,
        longest_reference_s=40.0,
        valid_reference_s=reference_s,
    )
    train = recording.require_split().train
    lengths = sorted(c.reference.duration_s for c in data.sessions[0].cross_fits)
    assert len(lengths) == 2 + num_folds
    assert lengths[1] <= 40.0 + 1e-6, "references of random length are there, too"
    assert all(length > total_s(train) / 2 for length in lengths[2:])
    ((_, group),) = data.valid_groups
    expected_s = total_s(train) if reference_s is None else reference_s
    assert group.reference.duration_s == pytest.approx(expected_s)


def test_sessions_of_a_batch_are_neighbours_in_their_number_of_units():
    """The busiest session is neither the largest nor the smallest."""
    recordings = [
        poisson_recording(num_units=units, duration_s=120.0, rate_hz=rate_hz, name=f"u{units}")
        for units, rate_hz in ((20, 2.0), (4, 2.0), (8, 40.0), (19, 2.0), (5, 2.0), (9, 2.0))
    ]
    data = ForecastData(
        recordings=recordings,
        spec=SPEC,
        num_references=1,
        references_per_batch=2,
        tokens_per_batch=2000,
    )
    assert [session.num_units for session in data.sessions] == [4, 5, 8, 9, 19, 20]
    tokens, met = [], set()
    for batch, _ in zip(data.train_loader(), range(40), strict=False):
        units = batch.unit_mask_SN.sum(dim=1).tolist()
        met.add(tuple(units))
        others = 50 * len(batch)
        tokens.append(batch.unit_mask_WN.numel() + batch.num_events + others)
    # 8 and 9 are alike, 9 and 19 are not: then both references are of one of them.
    alone = {(9, 9), (19, 19)}
    assert met - alone <= {(4, 4), (4, 5), (5, 8), (8, 9), (19, 20), (20, 20)}
    assert met & alone
    assert len(met) > 4
    assert 1700 < np.mean(tokens) < 2100


def test_little_of_what_is_read_is_padding_though_windows_differ():
    """Bursts: most windows hold few events, some hold many."""
    recordings = []
    for index, num_units in enumerate((10, 11)):
        recording = poisson_recording(
            num_units=num_units, duration_s=200.0, rate_hz=30.0, seed=index, name=f"b{index}"
        )
        kept = recording.spike_times % 4.0 < 0.6
        recordings.append(
            replace(
                recording,
                spike_times=recording.spike_times[kept],
                spike_unit_index=recording.spike_unit_index[kept],
            )
        )
    data = ForecastData(recordings=recordings, spec=SPEC, num_references=2)
    batch = next(iter(data.train_loader()))
    assert batch.event_mask_WE.float().mean() < 0.4
    assert 0.0 < data.padding_share(5) < 0.1


def test_padding_stays_below_a_tenth_where_neighbours_differ_much():
    """Few sessions of very different sizes, events included (to 900 units: below)."""
    recordings = [
        poisson_recording(
            num_units=units, duration_s=60.0, rate_hz=3.0, seed=units, name=f"u{units}"
        )
        for units in (17, 22, 50, 110)
    ]
    data = ForecastData(
        recordings=recordings,
        spec=SPEC,
        num_references=1,
        shortest_reference_s=12.0,
        longest_reference_s=14.0,
        valid_reference_s=12.0,
        valid_origin_step_s=5.0,
        steps_per_epoch=30,
    )
    assert 0.0 < data.padding_share(30) < 0.1


def test_shuffled_labels_leave_times_and_counts(waves):
    settings = {"spec": SPEC, "num_references": 1, "longest_reference_s": 40.0, "seed": 3}
    plain, shuffled = (
        ForecastData(recordings=[waves], shuffle_labels=shuffle, **settings)
        for shuffle in (False, True)
    )
    pairs = [
        [next(iter(data.train_loader())) for data in (plain, shuffled)],
        [collate_groups([data.valid_groups[0][1]]) for data in (plain, shuffled)],
    ]
    for batch, changed in pairs:
        assert not torch.equal(batch.event_unit_WE, changed.event_unit_WE)
        fired = [each.event_unit_WE.sort(dim=1).values for each in (batch, changed)]
        assert torch.equal(*fired), "as many of each unit"
        assert torch.equal(batch.event_time_WE, changed.event_time_WE)
        assert torch.equal(batch.traces_WNK, changed.traces_WNK)
        assert torch.equal(batch.counts_WNB, changed.counts_WNB)


def drawn(units, weights=None, *, num_batches=20_000, references_per_batch=4):
    """Return how often each session is drawn, and which are drawn together."""
    sessions = [
        TrainingSession(
            cast(WindowReader, SimpleNamespace(recording=SimpleNamespace(num_units=number))),
            cross_fits=[],
            known_unit=np.zeros(0, dtype=np.int64),
            events_per_window=1.5 * number,
            weight=1.0 if weights is None else weights[index],
        )
        for index, number in enumerate(units)
    ]
    batches = TrainingBatches(
        sessions, references_per_batch=references_per_batch, tokens_per_batch=1000, seed=0
    )
    generator = np.random.default_rng(3)
    members = [batches.draw_members(generator) for _ in range(num_batches)]
    assert {len(each) for each in members} == {references_per_batch}
    counts = np.bincount(np.concatenate(members), minlength=len(units))
    return counts / counts.sum(), members


def sessions_of_all_sizes(number, seed=0):
    generator = np.random.default_rng(seed)
    return np.sort(np.exp(generator.uniform(np.log(17), np.log(900), number)).astype(int))


@pytest.mark.parametrize("num_sessions", [1, 3, 12, 60])
def test_units_are_padded_little_and_no_session_is_favoured(num_sessions):
    units = sessions_of_all_sizes(num_sessions)
    share, members = drawn(units)
    np.testing.assert_allclose(share, 1 / num_sessions, rtol=0.2)
    padded = sum(4 * units[each].max() for each in members)
    assert (padded - sum(units[each].sum() for each in members)) / padded < 0.2
    # Beside events, of which there are more than units, that is below a tenth.
    others = sum(1.5 * units[each].sum() for each in members)
    assert (padded - sum(units[each].sum() for each in members)) / (padded + others) < 0.08


@pytest.mark.parametrize(("sampling", "of_the_small"), [("sqrt", 0.25), ("equal", 0.5)])
def test_data_sets_are_drawn_as_often_as_asked(sampling, of_the_small):
    """Ten sets' worth of sessions: 36 of one, 4 of the other, among them in size."""
    units = sessions_of_all_sizes(40)
    sources = ["allen" if index % 10 == 4 else "ibl" for index in range(40)]
    share, _ = drawn(units, session_weights(sources, sampling))
    small = np.array(sources) == "allen"
    assert share[small].sum() == pytest.approx(of_the_small, abs=0.02)
    # Within a data set all are equal.
    np.testing.assert_allclose(share[small], of_the_small / 4, rtol=0.2)
    np.testing.assert_allclose(share[~small], (1 - of_the_small) / 36, rtol=0.3)


def test_sampling_reaches_the_batches():
    recordings = [
        replace(
            waving_recording(num_units=5, duration_s=90.0, seed=index, name=f"w{index}"),
            source=source,
        )
        for index, source in enumerate(["a", "a", "a", "b"])
    ]
    data = ForecastData(
        recordings=recordings, spec=SPEC, num_references=1, sampling="sqrt", tokens_per_batch=500
    )
    weights = {each.reader.recording.id: each.weight for each in data.sessions}
    np.testing.assert_allclose([weights[f"w{i}"] for i in range(4)], [3**-0.5] * 3 + [1.0])


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_the_batches_of_an_epoch(world_size):
    seen = 16
    numbers = [
        EpochNumbers(8, lambda: seen, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert {len(each) for each in numbers} == {8 // world_size}
    together = [number for step in zip(*numbers, strict=True) for number in step]
    assert together == list(range(16, 24))
    seen = 20
    together = [number for step in zip(*numbers, strict=True) for number in step]
    assert together == list(range(20, 24)), "what is left of an epoch"
