"""Folds: every block is left out once, and no reference touches the windows that it serves."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.ops.intervals import as_intervals, dilate, intersect, total_s
from neurohorizon.recordings.reference_pool import NUM_FOLDS, draw_folds, has_folds
from neurohorizon.recordings.schema import Split
from neurohorizon.recordings.splits import split_in_time, split_interleaved
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import waving_recording

SPEC = WindowSpec()
GUARD_S = SPEC.context_s + SPEC.horizon_s


def test_every_block_is_left_out_once_and_its_reference_is_all_others():
    recording = waving_recording(duration_s=300.0, num_units=4)
    blocks = split_interleaved(recording.domain).train
    folds = draw_folds(recording, blocks, spec=SPEC, seed=3)
    assert len(folds) == NUM_FOLDS
    left_out = np.concatenate([fold.free for fold in folds])
    np.testing.assert_array_equal(as_intervals(left_out), blocks)
    for fold in folds:
        both = np.concatenate([fold.free, fold.reference.intervals])
        np.testing.assert_array_equal(as_intervals(both), blocks)
        assert total_s(intersect(dilate(fold.reference.intervals, GUARD_S), fold.free)) == 0


def test_blocks_that_a_short_gap_divides_keep_the_guard():
    recording = waving_recording(duration_s=100.0, num_units=4)
    blocks = np.array([[0.0, 20.0], [20.2, 40.0], [50.0, 70.0], [75.0, 95.0]])
    folds = draw_folds(recording, blocks, spec=SPEC, seed=0)
    for fold in folds:
        near = dilate(fold.reference.intervals, GUARD_S - 1e-6)
        assert total_s(intersect(near, fold.free)) == 0
    lengths = sorted(total_s(fold.free) for fold in folds)
    np.testing.assert_allclose(lengths, [19.8 - 1.3, 20.0 - 1.3, 20.0, 20.0])


def test_another_seed_deals_blocks_out_otherwise():
    recording = waving_recording(duration_s=300.0, num_units=4)
    blocks = split_interleaved(recording.domain).train
    first, same, other = (
        [fold.free.tolist() for fold in draw_folds(recording, blocks, spec=SPEC, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert first == same
    assert first != other


@pytest.mark.parametrize(
    ("split", "reference_s", "expected"),
    [
        (split_interleaved(np.array([[0.0, 300.0]])), None, True),
        (split_interleaved(np.array([[0.0, 300.0]])), 120.0, False),
        (split_in_time(np.array([[0.0, 300.0]])), None, False),
    ],
)
def test_folds_are_for_references_that_surround_what_they_serve(
    split: Split, reference_s: float | None, expected: bool
):
    assert has_folds(split, reference_s) is expected
    if expected:
        assert not has_folds(replace(split, train=split.train[:3]), reference_s)
