"""Training data: windows and references of many recordings (its batches: `batches.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from neurohorizon.errors import DataError
from neurohorizon.models.encoder import event_parts
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.reference import compute_reference, fit_scalers
from neurohorizon.recordings.reference_features import FeatureScaler
from neurohorizon.recordings.reference_pool import (
    SHORTEST_REFERENCE_S,
    draw_cross_fits,
    draw_folds,
    has_folds,
    last_stretch,
    random_reference_lengths,
)
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.batches import (
    EpochNumbers,
    Sampling,
    TrainingBatches,
    TrainingSession,
    session_weights,
    window_rooms,
)

Progress = Callable[[int, int], None]


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
        Batches of an epoch.
    sampling : {"sessions", "sqrt", "equal"}
        How often a data set of n sessions is drawn: in proportion to n, to its root, or as
        often as any other.
    valid_reference_s : float or None
        Reference of the validation windows: the last seconds of the train domain; all of it
        for None. Where it then surrounds what is forecast (interleaved splits), four folds
        are trained on beside the references of random length.
    valid_origin_step_s : float
        Seconds between validation origins.
    cosmoothing_share, cosmoothing_units : float
        Share of the windows in which units are hidden, and of the units there.
    shuffle_labels : bool
        Whether spike events are given to random units, for a model without ``use_labels``.
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
        sampling: Sampling = "sessions",
        valid_reference_s: float | None = 120.0,
        valid_origin_step_s: float = 0.5,
        cosmoothing_share: float = 0.0,
        cosmoothing_units: float = 0.25,
        shuffle_labels: bool = False,
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
        self.shuffle_labels = shuffle_labels
        self.num_workers = num_workers
        self.seed = seed
        self.known_units: dict[str, int] = {}
        weights = session_weights([recording.source for recording in recordings], sampling)
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
            weight = weights[index]
            sessions.append(TrainingSession(reader, cross_fits, known, events, weight))
            origins = spec.origins(split.valid, step_s=valid_origin_step_s)
            if len(origins):
                stretch = last_stretch(split.train, valid_reference_s)
                reference = compute_reference(recording, stretch, spec=spec)
                windows = reference.read_windows(reader, origins)
                if shuffle_labels:
                    windows = windows.with_shuffled_events(np.random.default_rng(seed))
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
        return fit_scalers([c.reference for s in self.sessions for c in s.cross_fits])

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
        self,
        batches_seen: Callable[[], int] = lambda: 0,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> DataLoader[ForecastBatch]:
        """Return the batches, of one process, that are left of the epoch after those seen."""
        batches = TrainingBatches(
            self.sessions,
            references_per_batch=self.references_per_batch,
            tokens_per_batch=self.tokens_per_batch,
            seed=self.seed,
            cosmoothing_share=self.cosmoothing_share,
            cosmoothing_units=self.cosmoothing_units,
            shuffle_labels=self.shuffle_labels,
        )
        return DataLoader(
            batches,
            batch_size=None,
            sampler=EpochNumbers(
                self.steps_per_epoch, batches_seen, rank=rank, world_size=world_size
            ),
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
