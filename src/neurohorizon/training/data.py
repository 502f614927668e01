"""Training data: batches drawn from windows and references of many recordings.

A batch is a function of the seed and its number and nothing else, so training that was
interrupted goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from neurohorizon.errors import DataError
from neurohorizon.models.encoder import event_parts
from neurohorizon.ops.intervals import as_intervals
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup, collate_groups
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.reference_features import FeatureScaler, skewed_reference_features
from neurohorizon.recordings.reference_pool import (
    SHORTEST_REFERENCE_S,
    CrossFit,
    draw_cross_fits,
    draw_folds,
    has_folds,
    last_stretch,
    random_reference_lengths,
)
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.windows import WindowReader, WindowSpec

Progress = Callable[[int, int], None]

# Of a window, beside units and events: latents and population tokens.
_OTHER_TOKENS = 50


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
    """

    reader: WindowReader
    cross_fits: list[CrossFit]
    known_unit: NDArray[np.int64]
    events_per_window: float

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

    Notes
    -----
    The sessions of a batch are neighbours in their number of units, which keeps padding low;
    the first is drawn so that every session is as likely as any other.
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
    ) -> None:
        self.sessions = sessions
        self.references_per_batch = references_per_batch
        self.tokens_per_batch = tokens_per_batch
        self.seed = seed
        self.cosmoothing_share = cosmoothing_share
        self.cosmoothing_units = cosmoothing_units

    def __getitem__(self, number: int) -> ForecastBatch:
        generator = np.random.default_rng((self.seed, number))
        count, last = self.references_per_batch, len(self.sessions) - 1
        first = int(generator.integers(1 - count, last + 1))
        members = [self.sessions[min(max(first + i, 0), last)] for i in range(count)]
        most_units = max(member.num_units for member in members)
        events = sum(member.events_per_window for member in members)
        tokens = count * (most_units + _OTHER_TOKENS) + events
        num_windows = max(int(self.tokens_per_batch / tokens), 1)
        groups = [_draw_group(m, num_windows, generator) for m in members]
        if self.cosmoothing_share and generator.random() < self.cosmoothing_share:
            groups = [_hide_some(group, self.cosmoothing_units, generator) for group in groups]
        return collate_groups(groups)


class EpochNumbers(Sampler[int]):
    """The batch numbers of the epoch that is about to start.

    Parameters
    ----------
    steps_per_epoch : int
    batches_seen : callable
        Asked each time iteration starts, so that a resumed training goes on where it
        stopped.
    """

    def __init__(self, steps_per_epoch: int, batches_seen: Callable[[], int]) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.batches_seen = batches_seen

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[int]:
        first = self.batches_seen()
        return iter(range(first, first + self.steps_per_epoch))


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


class ForecastData:
    """Everything a training run reads, from recordings that have a split.

    Parameters
    ----------
    recordings : sequence of Recording
        Training recordings; only their train and valid domains are read.
    spec : WindowSpec
    num_references : int
        References of random length drawn from each recording.
    shortest_reference_s, longest_reference_s : float
        Their lengths are log-uniform between these (at most half of the train domain).
    references_per_batch : int
    tokens_per_batch : int
    steps_per_epoch : int
    valid_reference_s : float or None
        Reference of the validation windows: the last seconds of the train domain; all of it
        for None. Where it then surrounds what is forecast (interleaved splits), four folds
        are trained on beside the references of random length.
    valid_origin_step_s : float
        Seconds between validation origins.
    cosmoothing_share, cosmoothing_units : float
        Share of the windows in which units are hidden, and of the units there.
    num_workers : int
        Loader processes; 0 reads in the training process.
    seed : int
    progress : callable, optional
        Told (recordings read, recordings in all).

    Raises
    ------
    DataError
        If a recording has no split or is too short.
    """

    def __init__(
        self,
        *,
        recordings: Sequence[Recording],
        spec: WindowSpec,
        num_references: int = 6,
        shortest_reference_s: float = 20.0,
        longest_reference_s: float = 300.0,
        references_per_batch: int = 4,
        tokens_per_batch: int = 12_000,
        steps_per_epoch: int = 100,
        valid_reference_s: float | None = 120.0,
        valid_origin_step_s: float = 0.5,
        cosmoothing_share: float = 0.0,
        cosmoothing_units: float = 0.25,
        num_workers: int = 0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        if not recordings:
            raise DataError("no training recordings: check the folder and what is held out")
        self.spec = spec
        self.references_per_batch = references_per_batch
        self.tokens_per_batch = tokens_per_batch
        self.steps_per_epoch = steps_per_epoch
        self.cosmoothing_share = cosmoothing_share
        self.cosmoothing_units = cosmoothing_units
        self.num_workers = num_workers
        self.seed = seed
        self.known_units: dict[str, int] = {}
        sessions: list[TrainingSession] = []
        self.valid_groups: list[tuple[Recording, WindowGroup]] = []
        for index, recording in enumerate(recordings):
            split = recording.require_split()
            if cosmoothing_share and recording.num_units < 2:
                raise DataError(
                    f"{recording.id}: one unit alone cannot be told from others: leave it out, or "
                    "train with training.cosmoothing_share=0"
                )
            reader = WindowReader(recording, spec)
            lengths = random_reference_lengths(
                num_references,
                shortest_s=max(shortest_reference_s, SHORTEST_REFERENCE_S),
                longest_s=longest_reference_s,
                seed=seed + index,
            )
            cross_fits = draw_cross_fits(
                recording, split.train, spec=spec, lengths_s=lengths, seed=seed + index
            )
            if has_folds(split, valid_reference_s):
                cross_fits += draw_folds(recording, split.train, spec=spec, seed=seed + index)
            cross_fits = [c for c in cross_fits if len(window_rooms(c.free, spec))]
            if not cross_fits:
                raise DataError(
                    f"{recording.id}: no training window fits beside a reference: the train "
                    f"domain must hold stretches longer than {spec.context_s + spec.horizon_s:g} s"
                )
            known = self._register_units(recording)
            events = spec.context_s * float(recording.rate_hz.sum())
            sessions.append(TrainingSession(reader, cross_fits, known, events))
            origins = spec.origins(split.valid, step_s=valid_origin_step_s)
            if len(origins):
                stretch = last_stretch(split.train, valid_reference_s)
                reference = compute_reference(recording, stretch, spec=spec)
                windows = reference.read_windows(reader, origins)
                self.valid_groups.append((recording, WindowGroup(reference, windows, known)))
            if progress is not None:
                progress(index + 1, len(recordings))
        if not self.valid_groups:
            raise DataError(
                "no validation window in any training recording: make their valid domain "
                f"longer than {spec.context_s + spec.horizon_s:g} s"
            )
        self.sessions = sorted(sessions, key=lambda s: (s.num_units, s.events_per_window))

    def _register_units(self, recording: Recording) -> NDArray[np.int64]:
        rows = []
        for unit in recording.units.id:
            key = f"{recording.id}/{unit}"
            rows.append(self.known_units.setdefault(key, len(self.known_units) + 1))
        return np.array(rows, dtype=np.int64)

    def feature_scalers(self) -> tuple[FeatureScaler, FeatureScaler]:
        """Fit the standardisation of statistics and functional identity on all references."""
        references = [c.reference for session in self.sessions for c in session.cross_fits]
        statistics = np.concatenate([reference.statistics for reference in references])
        functional = np.concatenate([reference.functional for reference in references])
        return (
            FeatureScaler.fit(statistics, log=skewed_reference_features()),
            FeatureScaler.fit(functional, log=np.zeros(functional.shape[1], dtype=bool)),
        )

    def picture_scaler(self) -> tuple[NDArray[np.float64], float]:
        """Return the mean and the deviation of the training pictures' embeddings, each once."""
        name = self.spec.conditions.images
        pictures = {
            image_hash: vector
            for session in self.sessions
            if name in session.reader.recording.embeddings
            for image_hash, vector in zip(
                session.reader.recording.embeddings[name].hashes.tolist(),
                np.asarray(session.reader.recording.embeddings[name].vectors),
                strict=True,
            )
        }
        if not pictures:
            return np.zeros(0), 1.0
        vectors = np.stack(list(pictures.values())).astype(np.float64)
        return vectors.mean(axis=0), max(float(vectors.std(axis=0).mean()), 1e-6)

    def train_loader(
        self, batches_seen: Callable[[], int] = lambda: 0
    ) -> DataLoader[ForecastBatch]:
        """Return the batches of the epoch that follows the batches seen."""
        batches = TrainingBatches(
            self.sessions,
            references_per_batch=self.references_per_batch,
            tokens_per_batch=self.tokens_per_batch,
            seed=self.seed,
            cosmoothing_share=self.cosmoothing_share,
            cosmoothing_units=self.cosmoothing_units,
        )
        return DataLoader(
            batches,
            batch_size=None,
            sampler=EpochNumbers(self.steps_per_epoch, batches_seen),
            num_workers=self.num_workers,
        )

    def padding_share(self, num_steps: int = 10) -> float:
        """Measure how much of what the encoder reads in training is padding.

        Notes
        -----
        Tokens are units, events and the population's slots, events padded as the encoder
        pads them: by parts of a batch.
        """
        filled = read = 0
        for batch, _ in zip(self.train_loader(), range(num_steps), strict=False):
            (num_windows, num_units), num_slots = batch.unit_mask_WN.shape, batch.slots_WNL.shape[2]
            parts = event_parts(batch, others=num_units + num_slots)
            population = num_windows * num_slots
            filled += int(batch.unit_mask_WN.sum()) + batch.num_events + population
            read += num_windows * num_units + population
            read += sum(len(windows) * num_events for windows, num_events in parts)
        return 1.0 - filled / max(read, 1)


def draw_queries(unit_mask_WN: torch.Tensor, num_queries: int) -> torch.Tensor | None:
    """Draw units of each window for the loss; None where all fit.

    Parameters
    ----------
    unit_mask_WN : Tensor of bool
    num_queries : int

    Returns
    -------
    (W, Q) Tensor of int64 or None
        Different units in random order; padding last.
    """
    if unit_mask_WN.shape[1] <= num_queries:
        return None
    key = torch.rand(unit_mask_WN.shape, device=unit_mask_WN.device)
    return key.masked_fill(~unit_mask_WN, 2.0).argsort(dim=1)[:, :num_queries]
