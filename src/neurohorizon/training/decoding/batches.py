"""Which windows a decoder's training batch holds.

A batch is a function of the seed and its number and nothing else (see
:mod:`neurohorizon.training.batches`). Windows are drawn for several batches at a time, a
*pool*; sorted by their tokens and cut into batches of about as many tokens each, which so hold
little padding; and the batches shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from neurohorizon.ops.binning import TICKS_PER_S
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.collate import collate_decode
from neurohorizon.recordings.decoding.sessions import DecodeSession
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.decoding.unit_dropout import UnitDropout
from neurohorizon.recordings.decoding.windows import EDGE_TOKENS
from neurohorizon.training.batches import Sampling

BATCHES_A_POOL = 16


@dataclass(frozen=True)
class TrainingView:
    """A training recording, with one way to know its units.

    Parameters
    ----------
    session : DecodeSession
    rooms : (R, 2) int64
        First and last tick at which a window may start.
    """

    session: DecodeSession
    rooms: NDArray[np.int64]


@dataclass(frozen=True)
class TrainingRecording:
    """A training recording, ready to draw from.

    Parameters
    ----------
    views : tuple of TrainingView
        One, or one a reference; a window is of any, all alike.
    share : float
        Of the windows that are drawn.
    """

    views: tuple[TrainingView, ...]
    share: float

    @property
    def num_units(self) -> int:
        """Units of the recording."""
        return self.views[0].session.reader.num_units


@dataclass(frozen=True)
class _Drawn:
    """Windows of a pool: whose, where, showing which units, with how many tokens."""

    recording: NDArray[np.int64]
    view: NDArray[np.int64]
    starts_s: NDArray[np.float64]
    num_tokens: NDArray[np.float64]
    kept: Sequence[NDArray[np.bool_] | None]


class DecodeBatches(Dataset[DecodeBatch]):
    """Batches by number, without end.

    Parameters
    ----------
    recordings : sequence of TrainingRecording
    tasks : sequence of Task
    tokens_per_batch : int
        How many tokens a batch is expected to hold, padding left out.
    seed : int
    unit_dropout : UnitDropout, optional
        None shows all units.

    Notes
    -----
    Within a pool recordings are met by their shares as closely as whole windows allow, and the
    windows of a recording lie at random places that are spread evenly over its train domain.
    """

    def __init__(
        self,
        recordings: Sequence[TrainingRecording],
        tasks: Sequence[Task],
        *,
        tokens_per_batch: int,
        seed: int,
        unit_dropout: UnitDropout | None = None,
    ) -> None:
        self.recordings = recordings
        self.tasks = tuple(tasks)
        self.tokens_per_batch = tokens_per_batch
        self.seed = seed
        self.unit_dropout = unit_dropout
        shares = np.array([recording.share for recording in recordings])
        self._edges = np.cumsum(shares) / shares.sum()
        mean_tokens = np.array([self._expected_tokens(each) for each in recordings])
        wanted = BATCHES_A_POOL * tokens_per_batch / float(shares @ mean_tokens / shares.sum())
        self.windows_per_pool = max(round(wanted), BATCHES_A_POOL)
        self._pool: tuple[int, _Drawn, list[NDArray[np.int64]]] | None = None

    def __getitem__(self, number: int) -> DecodeBatch:
        drawn, batches = self._draw_pool(number // BATCHES_A_POOL)
        mine = batches[number % BATCHES_A_POOL]
        groups = []
        for index in np.unique(drawn.recording[mine]):
            of_recording = mine[drawn.recording[mine] == index]
            for view_index in np.unique(drawn.view[of_recording]):
                rows = of_recording[drawn.view[of_recording] == view_index]
                session = self.recordings[index].views[view_index].session
                kept = None
                if self.unit_dropout is not None:
                    kept = np.stack([drawn.kept[row] for row in rows])
                windows = session.reader.read(drawn.starts_s[rows], kept_WN=kept)
                groups.append(session.group(windows))
        return collate_decode(groups, self.tasks)

    def _expected_tokens(self, recording: TrainingRecording) -> float:
        reader = recording.views[0].session.reader
        did = float(reader.token_rates_hz.sum()) * reader.length_s
        share = 1.0
        if self.unit_dropout is not None:
            share = self.unit_dropout.mean_share(recording.num_units)
        return share * (EDGE_TOKENS * recording.num_units + did)

    def _draw_pool(self, number: int) -> tuple[_Drawn, list[NDArray[np.int64]]]:
        """Draw the windows of a pool and divide them; the last pool is remembered."""
        if self._pool is None or self._pool[0] != number:
            generator = np.random.default_rng((self.seed, number))
            drawn = self._draw_windows(generator)
            batches = _divide(drawn.num_tokens, BATCHES_A_POOL)
            order = generator.permutation(BATCHES_A_POOL)
            self._pool = (number, drawn, [batches[index] for index in order])
        return self._pool[1], self._pool[2]

    def _draw_windows(self, generator: np.random.Generator) -> _Drawn:
        # Points at equal distances on a line of which each recording holds its share.
        points = (np.arange(self.windows_per_pool) + generator.random()) / self.windows_per_pool
        owner = np.searchsorted(self._edges, points, side="right")
        owner = np.minimum(owner, len(self.recordings) - 1)
        view = np.zeros(len(owner), dtype=np.int64)
        starts, num_tokens = np.empty(len(owner)), np.empty(len(owner))
        kept: list[NDArray[np.bool_] | None] = [None] * len(owner)
        for index in np.unique(owner):
            recording = self.recordings[index]
            rows = np.flatnonzero(owner == index)
            view[rows] = generator.integers(len(recording.views), size=len(rows))
            for view_index in np.unique(view[rows]):
                mine = rows[view[rows] == view_index]
                one = recording.views[view_index]
                starts[mine] = draw_starts(one.rooms, len(mine), generator)
            reader = recording.views[0].session.reader
            shown = None
            if self.unit_dropout is not None:
                shown = self.unit_dropout.draw(len(rows), reader.num_units, generator)
                for row, kept_N in zip(rows.tolist(), shown, strict=True):
                    kept[row] = kept_N
            num_tokens[rows] = reader.count_tokens(starts[rows], kept_WN=shown)
        return _Drawn(owner, view, starts, num_tokens, kept)


def draw_starts(
    rooms: NDArray[np.int64], number: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw where windows start: evenly spread over all rooms, each anywhere in its part.

    Parameters
    ----------
    rooms : (R, 2) int64
        First and last tick that is allowed.
    number : int

    Returns
    -------
    (number,) float64
        Seconds, in random order.
    """
    length = rooms[:, 1] - rooms[:, 0] + 1
    ends = np.cumsum(length)
    place = (np.arange(number) + generator.random(number)) / number * ends[-1]
    place = np.minimum(place.astype(np.int64), ends[-1] - 1)
    room = np.searchsorted(ends, place, side="right")
    ticks = rooms[room, 0] + place - (ends - length)[room]
    return generator.permutation(ticks) / TICKS_PER_S


def recording_shares(
    sources: Sequence[str], seconds: Sequence[float], sampling: Sampling
) -> NDArray[np.float64]:
    """Return how many of the windows each recording has.

    Parameters
    ----------
    sources : sequence of str
        Data set of each recording.
    seconds : sequence of float
        Where windows may start; within a data set, recordings are drawn in proportion to it.
    sampling : {"sessions", "sqrt", "equal"}
        A data set of n recordings is drawn in proportion to n, to the root of n, or as often as
        any other.

    Examples
    --------
    >>> recording_shares(["a", "a", "b"], [100.0, 300.0, 50.0], "equal").tolist()
    [0.125, 0.375, 0.5]
    """
    power = {"sessions": 1.0, "sqrt": 0.5, "equal": 0.0}[sampling]
    names = np.array(sources)
    shares = np.array(seconds, dtype=np.float64)
    for name in set(sources):
        mine = names == name
        shares[mine] *= mine.sum() ** power / shares[mine].sum()
    return shares / shares.sum()


def _divide(num_tokens: NDArray[np.float64], number: int) -> list[NDArray[np.int64]]:
    """Divide windows, sorted by their tokens, into parts of about as many tokens each."""
    order = np.argsort(num_tokens, kind="stable")
    total = np.cumsum(num_tokens[order])
    middle = total - num_tokens[order] / 2
    cuts = np.searchsorted(middle, total[-1] * np.arange(1, number) / number)
    # No part is empty.
    cuts = np.maximum.accumulate(np.maximum(cuts, np.arange(1, number)) - np.arange(number - 1))
    cuts = np.minimum(cuts + np.arange(number - 1), len(order) - number + np.arange(1, number))
    return np.split(order, cuts)
