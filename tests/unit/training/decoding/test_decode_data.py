"""What a decoder is trained on."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from decoding_worlds import calcium_recording, moving_recording, with_split
from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import contains
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.decoding.batches import DecodeBatch, TokenType
from neurohorizon.recordings.decoding.identity import num_identity_features
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.decoding.unit_dropout import UnitDropout
from neurohorizon.recordings.schema import Recording, Split, empty_intervals
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.training.decoding.batches import (
    BATCHES_A_POOL,
    DecodeBatches,
    draw_starts,
    recording_shares,
)
from neurohorizon.training.decoding.data import DecodeData

SPECS = (
    TaskSpec(name="velocity", series="velocity", rate_hz=20),
    TaskSpec(name="side", kind="binary", table="trials", column="side"),
)
RECORDINGS = [
    moving_recording(num_units=units, seed=units, name=f"of_{units}") for units in (6, 14, 30)
]


def make(recordings: list[Recording] = RECORDINGS, **settings: Any) -> DecodeData:
    settings = {"tasks": SPECS, "tokens_per_batch": 3_000, "steps_per_epoch": 40, **settings}
    return DecodeData(recordings=recordings, **settings)


def equal(left: DecodeBatch, right: DecodeBatch) -> bool:
    for field in fields(left):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if one is None or other is None:
            if one is not other:
                return False
            continue
        if isinstance(one, torch.Tensor):
            one, other = {"": one}, {"": other}
        elif isinstance(one, ForecastBatch):
            one, other = vars(one), vars(other)
        if list(one) != list(other) or not all(torch.equal(one[k], other[k]) for k in one):
            return False
    return True


def test_units_and_recordings_have_rows() -> None:
    data = make()
    assert data.session_rows == {"of_6": 1, "of_14": 2, "of_30": 3}
    assert data.unit_rows["of_6/unit_0000"] == 1
    assert data.unit_rows["of_30/unit_0029"] == len(data.unit_rows) == 50
    for batch, _ in zip(data.train_loader(), range(8), strict=False):
        assert len(set(batch.unit_row_U.tolist())) == len(batch.unit_row_U)
        for window, row in enumerate(batch.session_row_W.tolist()):
            name = ("of_6", "of_14", "of_30")[row - 1]
            mask = batch.token_mask_WE[window]
            rows = batch.unit_row_U[batch.token_unit_WE[window][mask]].tolist()
            assert set(rows) == {r for w, r in data.unit_rows.items() if w.startswith(f"{name}/")}
    # A trained model's vocabularies: what they lack is unknown.
    data = make(unit_rows={"of_14/unit_0003": 7}, session_rows={"of_14": 2})
    batch = next(iter(data.train_loader()))
    assert set(batch.unit_row_U.tolist()) <= {0, 7}
    assert set(batch.session_row_W.tolist()) <= {0, 2}


@pytest.mark.parametrize("dropout", [None, UnitDropout(min_units=4, mode_units=12)])
def test_batches_hold_their_tokens_and_little_padding(dropout: UnitDropout | None) -> None:
    data = make(unit_dropout=dropout)
    tokens = [batch.num_tokens for batch, _ in zip(data.train_loader(), range(32), strict=False)]
    assert abs(np.mean(tokens) / 3_000 - 1) < 0.05
    assert max(tokens) < 3_400
    assert data.padding_share() < 0.1


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    data = make(unit_dropout=UnitDropout(min_units=4, mode_units=12))
    batches = list(data.train_loader())
    assert len(batches) == 40
    again = list(data.train_loader(lambda: 23))
    assert len(again) == 17
    assert all(equal(one, other) for one, other in zip(batches[23:], again, strict=True))
    later = list(data.train_loader(lambda: 40))
    assert len(later) == 40
    assert not equal(batches[0], later[0])
    shared = [list(data.train_loader(lambda: 24, rank=rank, world_size=2)) for rank in range(2)]
    for number in range(16):
        assert equal(batches[24 + number], shared[number % 2][number // 2])
    assert not equal(batches[0], next(iter(make(seed=1).train_loader())))


def test_worker_processes_change_nothing() -> None:
    settings: dict[str, Any] = {"steps_per_epoch": 6, "recordings": RECORDINGS[:2]}
    alone, helped = (make(num_workers=number, **settings) for number in (0, 2))
    for one, other in zip(alone.train_loader(), helped.train_loader(), strict=True):
        assert equal(one, other)


def test_windows_lie_anywhere_in_training_time_and_nowhere_else() -> None:
    """Spikes are labelled by the part that they are from, as units; targets likewise."""
    source = moving_recording(num_units=3, duration_s=300.0, seed=5)
    split = source.require_split()
    spike_part = np.where(contains(split.train, source.spike_times), 0, 1)
    series = source.series["velocity"]
    value = np.where(contains(split.train, series.timestamps), 1.0, 2.0)
    value[::2] -= 0.25
    marked = replace(
        source,
        spike_unit_index=spike_part,
        series={"velocity": replace(series, values=value[:, None])},
        tables={},
    )
    spec = TaskSpec(name="velocity", series="velocity", standardise=False)
    data = make([marked], tasks=[spec])
    seen = []
    pool = DecodeBatches(data.recordings, data.tasks, tokens_per_batch=3_000, seed=0)
    for number in range(2 * BATCHES_A_POOL):
        batch = pool[number]
        fired = batch.token_mask_WE & (batch.token_type_WE == TokenType.SPIKE)
        assert not batch.token_unit_WE[fired].any()
        assert batch.targets["velocity"].max() == 1.0
        seen.append(pool._draw_pool(number // BATCHES_A_POOL)[0].starts_s)
    starts = np.unique(np.concatenate(seen))
    # Jittered: any place, not a grid; and all of the train domain is visited evenly.
    assert len(starts) == sum(map(len, seen[::BATCHES_A_POOL]))
    covered = [np.sum((starts >= a) & (starts < b)) / (b - a - 1.0) for a, b in split.train]
    assert min(covered) > 0.8 * max(covered)


def test_places_are_spread_evenly() -> None:
    rooms = np.array([[0, 999_999], [5_000_000, 7_999_999]])
    starts = draw_starts(rooms, 40, np.random.default_rng(0))
    assert np.sum(starts < 1.0) == 10
    assert np.histogram(starts, np.arange(5.0, 8.01, 0.5))[0].tolist() == [5] * 6
    assert not np.all(np.diff(starts) > 0)
    single = draw_starts(np.array([[7, 7]]), 3, np.random.default_rng(0))
    assert single.tolist() == [7e-6] * 3


def test_data_sets_are_weighted() -> None:
    sources, seconds = ["a", "a", "a", "a", "b"], [1.0, 1, 1, 1, 8]
    np.testing.assert_allclose(recording_shares(sources, seconds, "sessions"), [0.2] * 5)
    shares = recording_shares(sources, seconds, "sqrt")
    np.testing.assert_allclose(shares, [1 / 6] * 4 + [1 / 3])
    recordings = [replace(each, source="big") for each in RECORDINGS[:2]] + [RECORDINGS[2]]
    data = make(recordings, sampling="equal", tokens_per_batch=20_000)
    rows = [batch.session_row_W for batch, _ in zip(data.train_loader(), range(16), strict=False)]
    found = np.bincount(torch.cat(rows).numpy())[1:] / sum(map(len, rows))
    np.testing.assert_allclose(found, [0.25, 0.25, 0.5], atol=0.02)


def test_validation_asks_for_every_time_stamp_once_each_is_averaged() -> None:
    data = make()
    counts: dict[tuple[str, str], np.ndarray] = {}
    for rank in range(2):
        for session, part in data.valid_batches(rank=rank, world_size=2):
            for name, rows in part.rows.items():
                key = (session.reader.recording.id, name)
                stamps = session.reader.targets[name]
                total = counts.setdefault(key, np.zeros(len(stamps)))
                np.add.at(total, rows, 1.0)
                assert len(rows) == len(part.batch.targets[name])
    for session in data.valid_sessions:
        split = session.reader.recording.require_split()
        for name, stamps in session.reader.targets.items():
            total = counts[session.reader.recording.id, name]
            np.testing.assert_array_equal(np.flatnonzero(total), stamps.inside(split.valid))


def test_calcium_is_read_like_spikes() -> None:
    recording = calcium_recording()
    data = make([recording], tasks=[TaskSpec(name="running", series="running")])
    batch = next(iter(data.train_loader()))
    assert batch.token_value_WE.shape == batch.token_unit_WE.shape
    assert data.padding_share() < 0.1
    with pytest.raises(DataError, match="of_6 has spikes and calcium signals"):
        make(
            [RECORDINGS[0], recording],
            tasks=[SPECS[0], TaskSpec(name="running", series="running")],
        )


@pytest.mark.parametrize("valid_reference_s", [60.0, None])
def test_windows_never_touch_the_reference_that_they_are_read_with(
    valid_reference_s: float | None,
) -> None:
    recordings = [
        moving_recording(num_units=units, duration_s=400.0, seed=units, name=f"long_{units}")
        for units in (6, 14)
    ]
    data = make(recordings, units="identity", num_references=3, valid_reference_s=valid_reference_s)
    number = num_identity_features(data.tasks)
    scaler = data.feature_scaler()
    assert scaler.mean.shape == (number,)
    assert not data.unit_rows
    for recording, made in zip(recordings, data.recordings, strict=True):
        assert len(made.views) == (3 if valid_reference_s else 7)
        train = recording.require_split().train
        for view in made.views:
            features = view.session.unit_features
            assert features.shape == (recording.num_units, number)
            starts = view.rooms / 1e6
            assert contains(train, starts.ravel()).all()
            # The reference is not kept, but its length is among the features.
            length_s = 120 * np.exp(features[0, -2])
            free_s = np.sum(starts[:, 1] - starts[:, 0] + 1.0)
            assert free_s <= np.sum(train[:, 1] - train[:, 0]) - length_s + 1e-3
    for batch, _ in zip(data.train_loader(), range(20), strict=False):
        assert batch.unit_features_UF.shape == (len(batch.unit_row_U), number)
        assert not batch.unit_row_U.any()
        assert not batch.session_row_W.any()
        # Units are listed once a reference.
        assert len(np.unique(batch.unit_features_UF, axis=0)) == len(batch.unit_row_U)
    _, part = next(data.valid_batches())
    assert part.batch.unit_features_UF.shape == (6, number)


def test_what_cannot_be_trained_on_is_refused_in_one_line() -> None:
    bare = replace(moving_recording(seed=8, name="bare"), series={}, tables={})
    short = with_split(moving_recording(name="short"), split_in_time(np.array([[0.0, 18.0]])))
    whole = Split(np.array([[0.0, 120.0]]), empty_intervals(), empty_intervals())
    for recordings, settings, message in (
        ([], {}, "no training recordings"),
        ([RECORDINGS[0], bare], {}, "bare: no behaviour for any of the tasks"),
        ([short], {"length_s": 10.0}, "short: the train domain has no stretch as long"),
        ([replace(RECORDINGS[0], split=None)], {}, "no train/valid/test split"),
        ([with_split(RECORDINGS[0], whole)], {}, "in the valid domain of any"),
    ):
        with pytest.raises(DataError, match=message) as told:
            make(recordings, **settings)
        assert "\n" not in str(told.value)
