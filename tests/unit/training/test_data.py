"""Training data: which references it holds, and how its batches are filled."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.ops.intervals import total_s
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.splits import split_interleaved
from neurohorizon.recordings.windows import WindowSpec
from neurohorizon.training.data import ForecastData
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec(horizon_s=0.5)


def interleaved() -> Recording:
    recording = waving_recording(num_units=5, duration_s=300.0)
    return replace(recording, split=split_interleaved(recording.domain))


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
