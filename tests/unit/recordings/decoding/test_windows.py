"""Windows that decoders read, and the batches made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from decoding_worlds import calcium_recording, moving_recording
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import contains
from neurohorizon.recordings.decoding.batches import TokenType
from neurohorizon.recordings.decoding.collate import DecodeGroup, collate_decode
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.placement import (
    cover_stretches,
    require_behaviour,
    require_room,
    start_rooms,
)
from neurohorizon.recordings.decoding.sessions import DecodeSession
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.decoding.unit_dropout import UnitDropout
from neurohorizon.recordings.decoding.windows import DecodeReader, DecodeWindows
from neurohorizon.recordings.schema import Recording

SPECS = (
    TaskSpec(name="velocity", series="velocity", rate_hz=20),
    TaskSpec(name="side", kind="binary", table="trials", column="side"),
    TaskSpec(name="speed", series="position", transform="speed", smooth_s=0.05),
)
RECORDING = moving_recording()
TASKS = meet_tasks(SPECS, [RECORDING])
READER = DecodeReader(RECORDING, TASKS, length_s=1.0)
STARTS = np.array([3.0, 70.3, 3.5, 118.9999])


def session(reader: DecodeReader, first_row: int = 1, num_features: int = 0) -> DecodeSession:
    rows = np.arange(first_row, first_row + reader.num_units)
    features = np.zeros((reader.num_units, num_features), dtype=np.float32)
    return DecodeSession(reader, rows, 1, features)


def group(windows: DecodeWindows, first_row: int = 1, session_row: int = 1) -> DecodeGroup:
    rows = np.arange(first_row, first_row + windows.num_units)
    return DecodeGroup(windows, rows, session_row, np.zeros((windows.num_units, 0), np.float32))


def inside(times: np.ndarray, start: float, length_s: float = 1.0) -> np.ndarray:
    return (times >= start - 1e-9) & (times < start + length_s - 1e-9)


def test_a_window_holds_its_spikes_and_what_is_asked_for_in_it() -> None:
    windows = READER.read(STARTS)
    assert len(windows) == 4
    for index, start in enumerate(STARTS):
        mine = inside(RECORDING.spike_times, start)
        low, high = windows.token_offsets[index : index + 2]
        np.testing.assert_array_equal(
            windows.token_unit[low:high], RECORDING.spike_unit_index[mine]
        )
        expected = (RECORDING.spike_times[mine] - start).astype(np.float32)
        np.testing.assert_allclose(windows.token_time_s[low:high], expected, atol=1e-7)
        low, high = windows.query_offsets[index : index + 2]
        stamps = [READER.targets[task.name].times_s for task in TASKS]
        rows = [np.flatnonzero(inside(times, start)) for times in stamps]
        np.testing.assert_array_equal(windows.query_row[low:high], np.concatenate(rows))
        tasks = np.repeat(np.arange(3), [len(each) for each in rows])
        np.testing.assert_array_equal(windows.query_task[low:high], tasks)
        times = np.concatenate([t[r] for t, r in zip(stamps, rows, strict=True)]) - start
        np.testing.assert_allclose(windows.query_time_s[low:high], times, atol=1e-6)
    np.testing.assert_array_equal(windows.num_tokens, READER.count_tokens(STARTS))
    assert windows.token_time_s.dtype == np.float32


def test_spikes_on_the_edge_belong_to_the_window_that_starts_there() -> None:
    times = np.array([0.1, 0.2, 0.3 - 1e-9, 0.3, 0.4 + 2e-7, 0.5])
    recording = replace(RECORDING, spike_times=times, spike_unit_index=np.arange(6))
    reader = DecodeReader(recording, TASKS, length_s=0.1)
    windows = reader.read([0.1, 0.2, 0.3, 0.4, 0.5])
    assert [p.tolist() for p in np.split(windows.token_unit, windows.token_offsets[1:-1])] == [
        [0],
        [1],
        [2, 3],
        [4],
        [5],
    ]


def test_rows_of_a_batch_are_what_a_model_gives_back() -> None:
    """`targets` line up with the queries of their task, flattened window after window."""
    other = moving_recording(num_units=4, seed=3, name="other")
    other = replace(other, tables={})
    tasks = meet_tasks(SPECS, [RECORDING, other])
    readers = [DecodeReader(each, tasks, length_s=1.0) for each in (RECORDING, other)]
    windows = [reader.read(STARTS) for reader in readers]
    batch = collate_decode([group(windows[0]), group(windows[1], 11, 2)], tasks)
    assert batch.unit_row_U.tolist() == list(range(1, 15))
    assert batch.session_row_W.tolist() == [1] * 4 + [2] * 4
    for position, task in enumerate(tasks):
        asked = batch.query_mask_WQ & (batch.query_task_WQ == position)
        assert int(asked.sum()) == len(batch.targets[task.name]) == len(batch.weights[task.name])
        for owner, reader in enumerate(readers):
            if task.name not in reader.targets:
                assert not asked[4 * owner : 4 * owner + 4].any()
                continue
            stamps = reader.targets[task.name]
            window, column = np.nonzero(asked[4 * owner : 4 * owner + 4].numpy())
            at = STARTS[window] + batch.query_time_WQ[4 * owner + window, column].numpy()
            row = np.argmin(np.abs(stamps.times_s[:, None] - at), axis=0)
            np.testing.assert_allclose(stamps.times_s[row], at, atol=1e-6)
            first = int(asked[: 4 * owner].sum())
            told = batch.targets[task.name][first : first + len(row)].numpy()
            expected = stamps.values[row]
            if not task.spec.is_categorical:
                expected = (expected - np.array(task.mean)) / np.array(task.scale)
            np.testing.assert_allclose(told, expected, atol=1e-5)
    assert batch.targets["side"].dtype == torch.int64
    assert batch.targets["velocity"].dtype == torch.float32
    assert batch.token_value_WE.shape == (8, 0)


def test_every_unit_has_a_start_and_an_end_and_padding_is_marked() -> None:
    windows = READER.read(STARTS)
    batch = collate_decode([group(windows)], TASKS)
    for index in range(len(STARTS)):
        kept = batch.token_mask_WE[index]
        kind, unit, time = (
            each[index][kept]
            for each in (batch.token_type_WE, batch.token_unit_WE, batch.token_time_WE)
        )
        for token_type, at in ((TokenType.START, 0.0), (TokenType.END, 1.0)):
            mine = kind == token_type
            assert unit[mine].tolist() == list(range(10))
            assert set(time[mine].tolist()) == {at}
        low, high = windows.token_offsets[index : index + 2]
        assert unit[kind == TokenType.SPIKE].tolist() == windows.token_unit[low:high].tolist()
        assert not batch.token_time_WE[index][~kept].any()
    assert batch.num_tokens == windows.num_tokens.sum()


def test_units_that_are_dropped_vanish() -> None:
    kept = np.random.default_rng(0).random((4, 10)) < 0.5
    windows = READER.read(STARTS, kept_WN=kept)
    np.testing.assert_array_equal(windows.num_tokens, READER.count_tokens(STARTS, kept_WN=kept))
    batch = collate_decode([group(windows)], TASKS)
    whole = collate_decode([group(READER.read(STARTS))], TASKS)
    for index in range(4):
        shown = kept[index][whole.token_unit_WE[index].numpy()] & whole.token_mask_WE[index].numpy()
        mask = batch.token_mask_WE[index].numpy()
        for name in ("token_unit_WE", "token_type_WE", "token_time_WE"):
            expected = getattr(whole, name)[index].numpy()[shown]
            np.testing.assert_array_equal(getattr(batch, name)[index].numpy()[mask], expected)
    assert torch.equal(batch.targets["velocity"], whole.targets["velocity"])


@pytest.mark.parametrize(
    "dropout",
    [
        UnitDropout(min_units=5, mode_units=12, peak=4.0),
        UnitDropout(min_units=5, mode_units=200, peak=3.0),
        UnitDropout(min_units=5, mode_units=5, max_units=60, peak=2.0),
        UnitDropout(min_units=1, mode_units=10, max_units=30, peak=0.5),
    ],
)
def test_unit_dropout_has_the_density_that_it_documents(dropout: UnitDropout) -> None:
    from scipy.stats import chisquare

    num_units, num_windows = 20, 20_000
    kept = dropout.draw(num_windows, num_units, np.random.default_rng(4))
    last = dropout.max_units or num_units
    mode = min(dropout.mode_units, last)

    def density(k: int) -> float:
        if k <= mode and mode > dropout.min_units:
            return 1 + (dropout.peak - 1) * (k - dropout.min_units) / (mode - dropout.min_units)
        return dropout.peak - (dropout.peak - 1) * (k - mode) / (last - mode)

    chance = np.zeros(num_units + 1)
    weights = {k: density(k) for k in range(dropout.min_units, last + 1)}
    for k, weight in weights.items():
        chance[min(k, num_units)] += weight / sum(weights.values())
    np.testing.assert_allclose(dropout.probabilities(num_units), chance)
    found = np.bincount(kept.sum(axis=1), minlength=num_units + 1)
    assert found[chance == 0].sum() == 0
    assert chisquare(found[chance > 0], num_windows * chance[chance > 0]).pvalue > 1e-3
    # Every unit is as likely as any other.
    assert chisquare(kept.sum(axis=0)).pvalue > 1e-3
    np.testing.assert_allclose(kept.mean(), dropout.mean_share(num_units), atol=0.01)


def test_small_recordings_keep_all_units() -> None:
    assert UnitDropout(min_units=20).draw(3, 20, np.random.default_rng(0)).all()
    with pytest.raises(ConfigError, match="min_units 30"):
        UnitDropout(min_units=30, mode_units=20)


def test_signals_are_tokens_on_the_scale_of_training() -> None:
    recording = calcium_recording()
    signal = recording.signals["traces"]
    values = signal.values.copy()
    values[10, 2] = np.nan
    recording = replace(recording, signals={"traces": replace(signal, values=values)})
    tasks = meet_tasks([TaskSpec(name="running", series="running")], [recording])
    reader = DecodeReader(recording, tasks, length_s=1.0)
    windows = reader.read([0.0, 20.0])
    assert np.diff(windows.token_offsets).tolist() == [149, 150]
    assert reader.count_tokens([20.0]).tolist() == [160]
    train = contains(recording.require_split().train, signal.timestamps)
    mean, scale = np.nanmean(values[train], axis=0), np.nanstd(values[train], axis=0)
    expected = ((values[600:630] - mean) / scale).ravel()
    np.testing.assert_allclose(windows.token_value[149:], expected, atol=1e-5)
    np.testing.assert_array_equal(windows.token_unit[149:154], np.arange(5))
    np.testing.assert_allclose(windows.token_time_s[149:155], [0] * 5 + [1 / 30], atol=1e-6)
    batch = collate_decode([group(windows)], tasks)
    assert batch.token_value_WE.shape == batch.token_unit_WE.shape
    assert not batch.token_value_WE[batch.token_type_WE != TokenType.SPIKE].any()
    kept = np.array([[True, False, True, True, False]] * 2)
    dropped = reader.read([0.0, 20.0], kept_WN=kept)
    np.testing.assert_array_equal(
        dropped.num_tokens, [(30 + 2) * 3 - 1, reader.count_tokens([20.0], kept_WN=kept[1:])[0]]
    )
    two = replace(recording, signals=dict.fromkeys(("a", "b"), signal))
    with pytest.raises(DataError, match="several signals and no spikes: name one of a, b"):
        DecodeReader(two, tasks, length_s=1.0)
    with pytest.raises(DataError, match="did you mean traces"):
        DecodeReader(recording, tasks, length_s=1.0, signal="trace")


def test_no_training_window_holds_anything_of_another_part() -> None:
    """Blocks without a guard: what surrounds a window's stretch never enters it."""
    split = RECORDING.require_split()
    edges = np.concatenate([split.train.ravel(), split.valid.ravel(), split.test.ravel()])
    edges = np.unique(edges)
    # Spikes a fraction of a tick from every edge, on both sides, are the hardest to keep apart.
    close = np.concatenate([edges + shift for shift in (-1e-6, -4e-7, 0.0, 4e-7, 1e-6)])
    times = np.sort(np.concatenate([RECORDING.spike_times, close[(close > 0) & (close < 120)]]))
    label = np.where(contains(split.train, times), 0, 1)
    recording = replace(RECORDING, spike_times=times, spike_unit_index=label)
    reader = DecodeReader(recording, TASKS, length_s=1.0)
    rooms = start_rooms(reader, split.train)
    ticks = np.concatenate([rooms.ravel(), np.concatenate([np.arange(*r, 50_000) for r in rooms])])
    windows = reader.read(ticks / 1e6)
    assert not windows.token_unit.any()
    for position, task in enumerate(TASKS):
        rows = windows.query_row[windows.query_task == position]
        assert contains(split.train, reader.targets[task.name].times_s[rows]).all()
    # Every moment of training time is in some window.
    assert len(rooms) == len(split.train)
    np.testing.assert_allclose(rooms[:, 0] / 1e6, split.train[:, 0], atol=2e-6)
    np.testing.assert_allclose(rooms[:, 1] / 1e6 + 1, split.train[:, 1], atol=2e-6)


def test_windows_without_a_question_are_not_drawn() -> None:
    tasks = meet_tasks([SPECS[1]], [RECORDING])
    reader = DecodeReader(RECORDING, tasks, length_s=0.5)
    rooms = start_rooms(reader, RECORDING.require_split().train)
    ticks = np.concatenate([np.arange(first, last + 1, 10_000) for first, last in rooms])
    windows = reader.read(ticks / 1e6)
    assert np.diff(windows.query_offsets).min() == 1
    assert len(start_rooms(reader, RECORDING.require_split().train, with_queries=False)) < len(
        rooms
    )


def test_a_cover_asks_once_for_each_stretch() -> None:
    stretches = np.array([[0.0, 3.3], [5.0, 5.4], [9.0, 12.0]])
    cover = cover_stretches(stretches, length_s=1.0)
    np.testing.assert_allclose(cover.starts_s, [0, 0.5, 1, 1.5, 2, 2.3, 4.7, 9, 9.5, 10, 10.5, 11])
    windows = READER.read(cover.starts_s, asked_s=cover.asked_s)
    rows = windows.query_row[windows.query_task == 0]
    np.testing.assert_array_equal(np.unique(rows), READER.targets["velocity"].inside(stretches))
    with pytest.raises(ConfigError, match="a stride of 2 s"):
        cover_stretches(stretches, length_s=1.0, stride_s=2.0)


def test_predictions_of_a_cover_can_be_averaged() -> None:
    """Batches of any size, taken by any number of processes, name every time stamp."""
    split = RECORDING.require_split()
    whole = session(READER)
    for tokens, world_size in ((300, 1), (3_000, 2), (10**6, 3)):
        total = {task.name: np.zeros(len(READER.targets[task.name])) for task in TASKS}
        for rank in range(world_size):
            for part in whole.cover(
                split.test, tokens_per_batch=tokens, rank=rank, world_size=world_size
            ):
                batch = part.batch
                assert batch.token_mask_WE.numel() <= tokens or len(batch) == 1
                for name, rows in part.rows.items():
                    np.add.at(total[name], rows, 1.0)
                    task = TASKS[[each.name for each in TASKS].index(name)]
                    stamps = READER.targets[name]
                    if not task.spec.is_categorical:
                        expected = (stamps.values[rows] - task.mean) / task.scale
                        np.testing.assert_allclose(batch.targets[name], expected, atol=1e-5)
        for task in TASKS:
            asked = np.flatnonzero(total[task.name])
            np.testing.assert_array_equal(asked, READER.targets[task.name].inside(split.test))


def test_windows_without_a_question_are_not_evaluated() -> None:
    tasks = meet_tasks([SPECS[1]], [RECORDING])
    sparse = session(DecodeReader(RECORDING, tasks, length_s=0.5))
    parts = list(sparse.cover(np.array([[10.0, 20.0]])))
    # Five trials, each in two windows that overlap by half (one stamp lies on an edge of both).
    assert sum(len(part.batch) for part in parts) == 10
    assert all(bool(part.batch.query_mask_WQ.any(dim=1).all()) for part in parts)
    assert not list(sparse.cover(np.array([[10.8, 11.2]])))


def test_what_cannot_be_trained_on_is_refused() -> None:
    bare: Recording = replace(moving_recording(seed=1, name="bare"), series={}, tables={})
    with pytest.raises(DataError, match=r"bare: no behaviour for any of the tasks \(velocity, "):
        require_behaviour(DecodeReader(bare, TASKS, length_s=1.0))
    reader = DecodeReader(RECORDING, TASKS, length_s=11.0)
    with pytest.raises(DataError, match="no stretch as long as a window of 11 s"):
        require_room(reader, np.array([[0.0, 10.0], [20.0, 30.0]]))
    far = meet_tasks([replace(SPECS[1], evaluate="late")], [_with_late_trials()])
    reader = DecodeReader(_with_late_trials(), far, length_s=1.0)
    with pytest.raises(DataError, match="holds no time stamp of any task"):
        require_room(reader, np.array([[0.0, 50.0]]))


def _with_late_trials() -> Recording:
    trials = RECORDING.tables["trials"]
    late = replace(trials, start=trials.start[-9:], end=trials.end[-9:], columns={})
    return replace(RECORDING, tables={"trials": trials, "late": late})
