"""Which windows a training batch holds, and which batches a process draws.

A batch is a function of the seed and its number and nothing else, so training that was
interrupted goes on with exactly the batches it would have seen, and several processes draw
together what one would draw alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from neurohorizon.ops.intervals import as_intervals
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference_pool import CrossFit
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader

# Of a window, beside units and events: latents and population tokens.
_OTHER_TOKENS = 50
# Of a batch's units and events; windows that differ in their events add some more.
_MOST_PADDING = 0.08


Sampling = Literal["sessions", "sqrt", "equal"]


@dataclass(frozen=True)
class TrainingSession:
    """One training recording, ready to draw from.

    Parameters
    ----------
    reader : WindowReader
    cross_fits : list of CrossFit
        References and the stretches whose windows they may serve.
    known_unit : (N,) int
        Rows of its units in a learned identity table.
    events_per_window : float
        Expected context spikes.
    weight : float
        How often it is drawn, relative to the others.
    """

    reader: WindowReader
    cross_fits: list[CrossFit]
    known_unit: NDArray[np.int64]
    events_per_window: float
    weight: float = 1.0

    @property
    def num_units(self) -> int:
        """Units of the recording."""
        return self.reader.recording.num_units


class TrainingBatches(Dataset[ForecastBatch]):
    """Batches by number, without end.

    Parameters
    ----------
    sessions : sequence of TrainingSession
        Ordered by their number of units.
    references_per_batch : int
    tokens_per_batch : int
        How many tokens a batch is expected to hold: units, padding included, and events,
        of which hardly any is padding (see :class:`~neurohorizon.models.encoder.Encoder`).
    seed : int
    cosmoothing_share : float
        Share of the batches in which units are hidden.
    cosmoothing_units : float
        Share of the units that are hidden there, drawn anew for each group.
    shuffle_labels : bool
        Whether spike events are given to random units.

    Notes
    -----
    The sessions of a batch are neighbours in their number of units, which keeps padding low;
    where neighbours differ much, a batch holds some of them only, with more references each.
    Each of its references is of a session with the probability that the session's weight gives it.
    """

    def __init__(
        self,
        sessions: Sequence[TrainingSession],
        *,
        references_per_batch: int,
        tokens_per_batch: int,
        seed: int,
        cosmoothing_share: float = 0.0,
        cosmoothing_units: float = 0.25,
        shuffle_labels: bool = False,
    ) -> None:
        self.sessions = sessions
        self.references_per_batch = references_per_batch
        self.tokens_per_batch = tokens_per_batch
        self.seed = seed
        self.cosmoothing_share = cosmoothing_share
        self.cosmoothing_units = cosmoothing_units
        self.shuffle_labels = shuffle_labels
        weights = np.array([session.weight for session in sessions])
        self._edges = np.cumsum(weights) / weights.sum()

    def __getitem__(self, number: int) -> ForecastBatch:
        generator = np.random.default_rng((self.seed, number))
        members = [self.sessions[index] for index in self.draw_members(generator)]
        count = len(members)
        most_units = max(member.num_units for member in members)
        events = sum(member.events_per_window for member in members)
        tokens = count * (most_units + _OTHER_TOKENS) + events
        num_windows = max(int(self.tokens_per_batch / tokens), 1)
        groups = [_draw_group(m, num_windows, generator) for m in members]
        if self.shuffle_labels:
            groups = [_shuffle_events(group, generator) for group in groups]
        if self.cosmoothing_share and generator.random() < self.cosmoothing_share:
            groups = [_hide_some(group, self.cosmoothing_units, generator) for group in groups]
        return collate_groups(groups)

    def draw_members(self, generator: np.random.Generator) -> list[int]:
        """Draw the session of each reference of a batch, by index."""
        count, last = self.references_per_batch, len(self.sessions) - 1
        # Points at equal distances on a line of which each session holds its share.
        points = (generator.uniform() + np.arange(count) / len(self.sessions)) % 1.0
        found = np.searchsorted(self._edges, points, side="right")
        members = sorted(min(int(index), last) for index in found)
        groups = self._groups_of_like_size(members)
        if len(groups) == 1:
            return members
        # A group as often as it has members, each of which then fills its share of the batch.
        chosen = groups[int(generator.choice(len(groups), p=[len(g) / count for g in groups]))]
        more = generator.choice(chosen, size=count - len(chosen))
        return sorted([*chosen, *more.tolist()])

    def _groups_of_like_size(self, members: Sequence[int]) -> list[list[int]]:
        """Divide members, ordered by units, so that little is padding within each group."""
        groups = [[members[0]]]
        for index in members[1:]:
            if self._padding([*groups[-1], index]) <= _MOST_PADDING:
                groups[-1].append(index)
            else:
                groups.append([index])
        return groups

    def _padding(self, members: Sequence[int]) -> float:
        """Return the share of the units' tokens among all that would be padding."""
        sessions = [self.sessions[index] for index in members]
        units = [session.num_units for session in sessions]
        padded = len(units) * max(units)
        events = sum(session.events_per_window for session in sessions)
        return (padded - sum(units)) / (padded + events)


class EpochNumbers(Sampler[int]):
    """The numbers of the batches that a process draws in the rest of an epoch.

    Parameters
    ----------
    batches_per_epoch : int
        Of all processes together.
    batches_seen : callable
        By all processes together; asked each time iteration starts, so that a resumed
        training goes on where it stopped.
    rank, world_size : int
        This process and all of them: they take turns, batch by batch.
    """

    def __init__(
        self,
        batches_per_epoch: int,
        batches_seen: Callable[[], int],
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.batches_per_epoch = batches_per_epoch
        self.batches_seen = batches_seen
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return self.batches_per_epoch // self.world_size

    def __iter__(self) -> Iterator[int]:
        first = self.batches_seen()
        end = (first // self.batches_per_epoch + 1) * self.batches_per_epoch
        return iter(range(first + self.rank, end, self.world_size))


def _draw_group(
    session: TrainingSession, num_windows: int, generator: np.random.Generator
) -> WindowGroup:
    cross_fit = session.cross_fits[int(generator.integers(len(session.cross_fits)))]
    rooms = window_rooms(cross_fit.free, session.reader.spec)
    length = rooms[:, 1] - rooms[:, 0]
    room = generator.choice(len(rooms), size=num_windows, p=length / length.sum())
    origins = np.sort(generator.uniform(rooms[room, 0], rooms[room, 1]).round(6))
    reference = cross_fit.reference
    windows = reference.read_windows(session.reader, origins)
    return WindowGroup(reference, windows, session.known_unit)


def _shuffle_events(group: WindowGroup, generator: np.random.Generator) -> WindowGroup:
    return replace(group, windows=group.windows.with_shuffled_events(generator))


def _hide_some(group: WindowGroup, share: float, generator: np.random.Generator) -> WindowGroup:
    """Hide units at random; one at least, and not all."""
    num_units = group.windows.num_units
    num_hidden = min(max(round(share * num_units), 1), num_units - 1)
    hidden = np.zeros(num_units, dtype=bool)
    hidden[generator.permutation(num_units)[:num_hidden]] = True
    return replace(group, hidden=hidden)


def window_rooms(stretches: FloatArray, spec: WindowSpec) -> FloatArray:
    """Return where origins may lie so that context and horizon stay inside the stretches."""
    return as_intervals(stretches + np.array([spec.context_s, -spec.horizon_s]))


def session_weights(sources: Sequence[str], sampling: Sampling) -> list[float]:
    """Return how often each session is drawn, by the data set that it is from.

    Parameters
    ----------
    sources : sequence of str
        Data set of each session.
    sampling : {"sessions", "sqrt", "equal"}
        A data set of n sessions is drawn in proportion to n, to the root of n, or as often as
        any other.

    Examples
    --------
    >>> session_weights(["ibl", "ibl", "ibl", "ibl", "allen"], "sqrt")
    [0.5, 0.5, 0.5, 0.5, 1.0]
    """
    power = {"sessions": 0.0, "sqrt": 0.5, "equal": 1.0}[sampling]
    return [sources.count(source) ** -power for source in sources]
