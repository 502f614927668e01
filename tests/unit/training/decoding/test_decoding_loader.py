"""What is timed against torch_brain's loader loads the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch_brain.datasets import DatasetIndex

from neurohorizon.recordings.decoding.collate import collate_decode
from neurohorizon.recordings.decoding.sessions import unit_words
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.speed.decoding_loader import (
    make_recordings,
    torch_brain_loader,
)
from neurohorizon.training.speed.plan import SpeedPlan

PLAN = SpeedPlan(
    num_recordings=2,
    num_spikes=20_000,
    num_units=12,
    duration_s=200.0,
    num_slow_windows=130,
    repeats=1,
)


def test_tokens_and_targets_are_those_of_torch_brain(tmp_path: Path) -> None:
    recordings = make_recordings(PLAN, tmp_path)
    loader = torch_brain_loader(tmp_path, num_workers=0)
    dataset = loader.dataset
    spec = TaskSpec(name="velocity", series="velocity", standardise=False)
    data = DecodeData(recordings=recordings, tasks=[spec])
    # Their vocabulary numbers units in the order of their names.
    words = dict(enumerate(["NA", *(w for each in recordings for w in unit_words(each))]))
    for recording, made in zip(recordings, data.recordings, strict=True):
        for start in (10.0, 57.256):
            theirs = dataset[DatasetIndex(recording.id, start, start + 1.0)]
            session = made.views[0].session
            batch = collate_decode([session.group(session.reader.read([start]))], data.tasks)
            names = {row: word for word, row in data.unit_rows.items()}
            mine = _sorted(
                [names[row] for row in batch.unit_row_U[batch.token_unit_WE[0]].tolist()],
                batch.token_type_WE[0].numpy(),
                batch.token_time_WE[0].numpy(),
            )
            other = _sorted(
                [words[row] for row in np.asarray(theirs["input_unit_index"].obj).tolist()],
                np.asarray(theirs["input_token_type"].obj),
                np.asarray(theirs["input_timestamps"].obj),
            )
            assert mine[0] == other[0]
            np.testing.assert_allclose(mine[1], other[1], atol=1e-6)
            np.testing.assert_allclose(
                batch.query_time_WQ[0], theirs["output_timestamps"].obj, atol=1e-6
            )
            np.testing.assert_allclose(batch.targets["velocity"], theirs["target"].obj, atol=1e-6)


def _sorted(
    words: list[str], types: np.ndarray, times: np.ndarray
) -> tuple[list[tuple[int, str]], np.ndarray]:
    order = sorted(range(len(words)), key=lambda i: (round(float(times[i]), 5), types[i], words[i]))
    return [(int(types[i]), words[i]) for i in order], times[order]
