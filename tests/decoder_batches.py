"""Batches of random windows for decoders, built by hand."""

from __future__ import annotations

import numpy as np
import torch

from neurohorizon.recordings.decoding.batches import DecodeBatch, TokenType
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec

POSITION = Task(TaskSpec(name="position", series="position"), mean=(0.5, 1.0), scale=(2.0, 3.0))
SPEED = Task(TaskSpec(name="speed", series="position", transform="speed"), (0.1,), (1.0,))
CHOICE = Task(
    TaskSpec(name="choice", kind="binary", table="trials", column="choice"),
    classes=("left", "right"),
)
LEVEL = Task(
    TaskSpec(name="level", kind="ordinal", table="trials", column="level", weight=0.5),
    classes=("low", "middle", "high"),
)


def random_batch(
    tasks=(POSITION,),
    *,
    num_units=(4, 6),
    windows=(0, 1, 0),
    num_spikes=(20, 35, 0),
    num_queries=5,
    length_s=1.0,
    num_features=33,
    values=False,
    seed=0,
) -> DecodeBatch:
    """Make windows of recordings with so many units; each asks for each task at random times."""
    rng = np.random.default_rng(seed)
    first = np.concatenate([[0], np.cumsum(num_units)])
    rows = []
    for recording, count in zip(windows, num_spikes, strict=True):
        units = first[recording] + np.arange(num_units[recording])
        rows.append(
            {
                "unit": np.concatenate([np.repeat(units, 2), rng.choice(units, count)]),
                "type": np.concatenate(
                    [np.tile([TokenType.START, TokenType.END], len(units)), np.zeros(count)]
                ),
                "time": np.concatenate(
                    [np.tile([0.0, length_s], len(units)), np.sort(rng.uniform(0, length_s, count))]
                ),
            }
        )
        rows[-1]["value"] = rng.standard_normal(len(rows[-1]["unit"]))
    most = max(len(row["unit"]) for row in rows)

    def padded(key: str, dtype: torch.dtype) -> torch.Tensor:
        filled = np.zeros((len(rows), most))
        for index, row in enumerate(rows):
            filled[index, : len(row[key])] = row[key]
        return torch.as_tensor(filled, dtype=dtype)

    lengths = torch.tensor([len(row["unit"]) for row in rows])
    num_windows, asked = len(rows), num_queries * len(tasks)
    targets, weights = {}, {}
    for task in tasks:
        size = num_windows * num_queries
        if task.spec.is_categorical:
            drawn = rng.integers(0, task.num_outputs, size)
            targets[task.name] = torch.as_tensor(drawn)
        else:
            drawn = rng.standard_normal((size, task.num_outputs))
            targets[task.name] = torch.as_tensor(drawn, dtype=torch.float32)
        weights[task.name] = torch.ones(size)
    value_WE = padded("value", torch.float32)
    return DecodeBatch(
        unit_row_U=torch.arange(1, first[-1] + 1),
        unit_features_UF=torch.as_tensor(
            rng.standard_normal((first[-1], num_features)), dtype=torch.float32
        ),
        session_row_W=torch.tensor(windows) + 1,
        token_unit_WE=padded("unit", torch.int64),
        token_type_WE=padded("type", torch.int64),
        token_time_WE=padded("time", torch.float32),
        token_value_WE=value_WE if values else value_WE[:, :0],
        token_mask_WE=torch.arange(most) < lengths[:, None],
        query_time_WQ=torch.as_tensor(
            rng.uniform(0, length_s, (num_windows, asked)), dtype=torch.float32
        ),
        query_task_WQ=torch.arange(len(tasks)).repeat(num_queries).expand(num_windows, -1),
        query_mask_WQ=torch.ones(num_windows, asked, dtype=torch.bool),
        targets=targets,
        weights=weights,
    )


def unit_words(num_units=(4, 6)) -> list[str]:
    """Return the words of the units of `random_batch`."""
    return [
        f"session{recording}/unit{unit}"
        for recording, count in enumerate(num_units)
        for unit in range(count)
    ]
