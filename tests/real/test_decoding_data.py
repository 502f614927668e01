"""Real behaviour as something to decode: rat CA1, where the head was and how it moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurohorizon.recordings.decoding.identity import num_identity_features
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.targets import read_targets
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.splits import split_interleaved
from neurohorizon.recordings.store import open_recording
from neurohorizon.sources import ca1_maze
from neurohorizon.sources.prepare import prepare
from neurohorizon.training.decoding.data import DecodeData

POSITION = TaskSpec(
    name="position", series="position", smooth_s=0.25, rate_hz=10, evaluate="on_maze"
)
SPEED = replace(POSITION, name="speed", transform="speed")
HEADING = replace(
    POSITION,
    name="heading",
    kind="multinomial",
    transform="heading",
    num_classes=2,
    slowest=20.0,
)


@pytest.fixture(scope="module")
def mazes(
    real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Recording]:
    out = tmp_path_factory.mktemp("ca1_maze")
    folder = prepare(ca1_maze.SOURCE, real_data("ca1_maze"), out).folder
    opened = [open_recording(path) for path in sorted(folder.glob("*.h5"))]
    return {each.id: _split(each.without_qualities(["unsorted"])) for each in opened}


def _split(recording: Recording) -> Recording:
    table = recording.tables["on_maze"]
    where = np.column_stack([table.start, table.end])
    split = split_interleaved(where, block_s=20.0, fractions=(0.7, 0.1, 0.2), guard_s=0.0)
    return replace(recording, split=split)


def test_the_animal_is_on_the_maze_for_half_of_the_time(mazes: dict[str, Recording]) -> None:
    rows = {}
    for name, recording in mazes.items():
        table = recording.tables["on_maze"]
        rows[name] = (table.end - table.start).round().tolist()
        run = recording.tables["running"]
        assert np.all((run.start >= table.start[0]) & (run.end <= table.end[-1]))
    assert rows == {"linear-track": [939.0], "w-maze": [1071.0, 1189.0]}


def test_targets_are_those_of_an_animal_that_runs(mazes: dict[str, Recording]) -> None:
    for recording in mazes.values():
        tasks = meet_tasks([POSITION, SPEED, HEADING], [recording])
        targets = {task.name: read_targets(recording, task) for task in tasks}
        position, speed, heading = (targets[task.name] for task in tasks)
        assert position is not None
        assert speed is not None
        assert heading is not None
        # Ten a second, wherever the animal is on the maze, and none off it.
        table = recording.tables["on_maze"]
        assert abs(len(position) / 10 - np.sum(table.end - table.start)) < 5
        assert speed.values.max() < 250  # pixels a second: no jump of the tracker is left
        assert 0.25 < np.mean(speed.values > 20) < 0.5
        assert abs(len(heading) / np.sum(speed.values >= 20) - 1) < 0.02
        # To and fro, on both mazes.
        assert 0.4 < np.mean(heading.values) < 0.6
    assert meet_tasks([HEADING], [mazes["linear-track"]])[0].classes == ("35 deg", "215 deg")
    four = replace(HEADING, num_classes=4)
    arms = meet_tasks([four], [mazes["w-maze"]])[0].classes
    assert arms == ("87 deg", "177 deg", "267 deg", "357 deg")


@pytest.mark.parametrize("units", ["vocabulary", "identity"])
def test_batches_of_both_mazes(mazes: dict[str, Recording], units: str) -> None:
    data = DecodeData(
        recordings=list(mazes.values()),
        tasks=[POSITION, SPEED, HEADING],
        length_s=3.0,
        units="identity" if units == "identity" else "vocabulary",
        tokens_per_batch=8_000,
    )
    assert data.padding_share() < 0.1
    batch = next(iter(data.train_loader()))
    assert set(batch.targets) == {"position", "speed", "heading"}
    if units == "identity":
        assert batch.unit_features_UF.shape[1] == num_identity_features(data.tasks)
        features = np.concatenate(
            [view.session.unit_features for each in data.recordings for view in each.views]
        )
        assert np.isfinite(features).all()
        # Place cells: position explains a good part of some units' spikes.
        first = 33 + 14 + 10 + 16
        assert np.quantile(features[:, first], 0.9) > 0.05
