"""From windows of several recordings to one batch for decoders: gather, pad, and stack.

Shapes are those of :mod:`neurohorizon.recordings.decoding.batches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.decoding.batches import DecodeBatch, TokenType
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.decoding.windows import DecodeWindows


@dataclass(frozen=True)
class DecodeGroup:
    """Windows of one recording, and how a model knows its units.

    Parameters
    ----------
    windows : DecodeWindows
    unit_rows : (N,) int64
        Of the units in the model's vocabulary; 0 where unknown.
    session_row : int
    unit_features : (N, F) float32
        Raw features of their reference; F = 0 where no identity reads them.
    context : WindowGroup or None
        The same windows as a forecaster reads them; of all groups of a batch, or of none.
    """

    windows: DecodeWindows
    unit_rows: NDArray[np.int64]
    session_row: int
    unit_features: NDArray[np.float32]
    context: WindowGroup | None = None


def collate_decode(groups: Sequence[DecodeGroup], tasks: Sequence[Task]) -> DecodeBatch:
    """Pad and stack groups into one batch.

    Parameters
    ----------
    groups : sequence of DecodeGroup
        At least one; all with spikes or all with signals. Windows keep the order of the groups,
        and theirs within them.
    tasks : sequence of Task
        Those of the windows' readers.

    Returns
    -------
    DecodeBatch
        Of each window first the start and the end of the units that it shows, then what they
        did, in time.
    """
    is_signal = groups[0].windows.is_signal
    assert all(group.windows.is_signal == is_signal for group in groups), "spikes and signals"
    num_windows = sum(len(group.windows) for group in groups)
    num_tokens = max(int(group.windows.num_tokens.max(initial=0)) for group in groups)
    num_queries = max(int(np.diff(group.windows.query_offsets).max(initial=0)) for group in groups)
    token_unit = np.zeros((num_windows, num_tokens), dtype=np.int64)
    token_type = np.zeros((num_windows, num_tokens), dtype=np.int64)
    token_time = np.zeros((num_windows, num_tokens), dtype=np.float32)
    token_value = np.zeros((num_windows, num_tokens if is_signal else 0), dtype=np.float32)
    query_time = np.zeros((num_windows, num_queries), dtype=np.float32)
    query_task = np.zeros((num_windows, num_queries), dtype=np.int64)
    lengths, asked = [], []
    first_window = first_unit = 0
    for group in groups:
        windows = group.windows
        shown, num_shown = _shown_units(windows)
        for index in range(len(windows)):
            row, number = first_window + index, int(num_shown[index])
            units = shown[index] + first_unit
            token_unit[row, :number] = token_unit[row, number : 2 * number] = units
            token_type[row, :number] = TokenType.START
            token_type[row, number : 2 * number] = TokenType.END
            token_time[row, number : 2 * number] = windows.length_s
            low, high = windows.token_offsets[index], windows.token_offsets[index + 1]
            did = slice(2 * number, 2 * number + high - low)
            np.add(windows.token_unit[low:high], first_unit, out=token_unit[row, did])
            token_time[row, did] = windows.token_time_s[low:high]
            if is_signal:
                token_value[row, did] = windows.token_value[low:high]
            low, high = windows.query_offsets[index], windows.query_offsets[index + 1]
            query_time[row, : high - low] = windows.query_time_s[low:high]
            query_task[row, : high - low] = windows.query_task[low:high]
        lengths.append(windows.num_tokens)
        asked.append(np.diff(windows.query_offsets))
        first_window += len(windows)
        first_unit += windows.num_units
    targets, weights = _targets(groups, tasks)
    sessions = [np.full(len(group.windows), group.session_row) for group in groups]
    arrays: dict[str, NDArray[Any]] = {
        "unit_row_U": np.concatenate([group.unit_rows for group in groups]),
        "unit_features_UF": np.concatenate([group.unit_features for group in groups]),
        "session_row_W": np.concatenate(sessions).astype(np.int64),
        "token_unit_WE": token_unit,
        "token_type_WE": token_type,
        "token_time_WE": token_time,
        "token_value_WE": token_value,
        "token_mask_WE": np.arange(num_tokens) < np.concatenate(lengths)[:, None],
        "query_time_WQ": query_time,
        "query_task_WQ": query_task,
        "query_mask_WQ": np.arange(num_queries) < np.concatenate(asked)[:, None],
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    contexts = [group.context for group in groups if group.context is not None]
    assert len(contexts) in (0, len(groups)), "some groups without a context"
    context = collate_groups(contexts) if contexts else None
    return DecodeBatch(**tensors, targets=targets, weights=weights, context=context)


def _shown_units(
    windows: DecodeWindows,
) -> tuple[Sequence[NDArray[np.int64]], NDArray[np.integer[Any]]]:
    """Return the units that each window shows, and how many they are."""
    if windows.kept_WN is None:
        every = np.arange(windows.num_units)
        return [every] * len(windows), windows.num_shown
    return [np.flatnonzero(kept) for kept in windows.kept_WN], windows.num_shown


def _targets(
    groups: Sequence[DecodeGroup], tasks: Sequence[Task]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    targets, weights = {}, {}
    for task in tasks:
        asked = [group.windows for group in groups if len(group.windows.targets.get(task.name, ()))]
        if asked:
            values = np.concatenate([windows.targets[task.name] for windows in asked])
            targets[task.name] = torch.from_numpy(values)
            joined = np.concatenate([windows.weights[task.name] for windows in asked])
            weights[task.name] = torch.from_numpy(joined)
    return targets, weights
