"""What a decoder is trained on: windows of many recordings (its batches: `batches.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from torch.utils.data import DataLoader

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.binning import TICKS_PER_S, to_ticks
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.contexts import ContextReader, context_reader
from neurohorizon.recordings.decoding.identity import identity_features, skewed_identity_features
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.placement import (
    require_behaviour,
    require_room,
    rooms_beside,
)
from neurohorizon.recordings.decoding.references import draw_references, fold_references
from neurohorizon.recordings.decoding.sessions import CoverBatch, DecodeSession, unit_words
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.recordings.decoding.unit_dropout import UnitDropout
from neurohorizon.recordings.decoding.windows import DecodeReader
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
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.batches import EpochNumbers, Sampling
from neurohorizon.training.data import Progress
from neurohorizon.training.decoding.batches import (
    DecodeBatches,
    TrainingRecording,
    TrainingView,
    recording_shares,
)


class DecodeData:
    """Everything that the training of a decoder reads, from recordings that have a split.

    Parameters
    ----------
    recordings : sequence of Recording
        Training recordings; only their train and valid domains are read.
    tasks : sequence of TaskSpec or of Task
        Declared, or (to go on from a checkpoint) as they met other training recordings.
    length_s : float
        Length of a window, in seconds.
    signal : str
        Name of the signals to read in place of spikes, as in
        :class:`~neurohorizon.recordings.decoding.windows.DecodeReader`.
    unit_rows, session_rows : mapping of str to int, optional
        Rows of a trained model's vocabularies; what they lack is row 0. By default every unit
        and recording has a row of its own, from 1, in the order of `recordings`.
    units : {"vocabulary", "identity"}
        Whether a model learns a row for each unit, or is given the features of a reference
        (:mod:`~neurohorizon.recordings.decoding.identity`): then all rows are 0, those of
        recordings too, as they are in a recording that is new. With a `context` no features are
        read.
    context : WindowSpec, optional
        Geometry of a forecaster, for a model that reads windows as it does, each from its end
        back: `length_s` is its context. Units then have references either way.
    num_references : int
        References of random length drawn from each recording, where any are read. A window never
        touches the reference that it is read with.
    shortest_reference_s, longest_reference_s : float
        Their lengths are log-uniform between these (at most half of the train domain).
    valid_reference_s : float or None
        Reference of the validation windows: the last seconds of the train domain; all of it for
        None. Where it then surrounds them (interleaved splits), four folds are trained on beside
        the references of random length.
    unit_dropout : UnitDropout, optional
        In training windows; None shows all units.
    tokens_per_batch : int
        How many tokens a batch is expected to hold.
    steps_per_epoch : int
        Batches of an epoch.
    sampling : {"sessions", "sqrt", "equal"}
        How often a data set of n recordings is drawn: in proportion to n, to its root, or as
        often as any other; within it, every second as often.
    valid_stride_s : float, optional
        Seconds between validation windows; half of a window by default.
    num_workers : int
        Loader processes; 0 reads in the training process.
    seed : int
    progress : callable, optional
        Told (recordings read, recordings in all).

    Attributes
    ----------
    tasks : tuple of Task
    unit_rows, session_rows : dict of str to int
        By word: "recording id/unit id" and recording id.
    recordings : list of TrainingRecording
    valid_sessions : list of DecodeSession
        Recordings with something to decode in their valid domain.

    Raises
    ------
    ConfigError
        If a task's settings do not go together, or no recording has what it names; if windows are
        no contexts of the forecaster.
    DataError
        If a recording has no split, nothing to decode or no room for a window in its train
        domain.
    """

    def __init__(
        self,
        *,
        recordings: Sequence[Recording],
        tasks: Sequence[TaskSpec] | Sequence[Task],
        length_s: float = 1.0,
        signal: str = "",
        unit_rows: Mapping[str, int] | None = None,
        session_rows: Mapping[str, int] | None = None,
        units: Literal["vocabulary", "identity"] = "vocabulary",
        context: WindowSpec | None = None,
        num_references: int = 6,
        shortest_reference_s: float = 20.0,
        longest_reference_s: float = 300.0,
        valid_reference_s: float | None = 120.0,
        unit_dropout: UnitDropout | None = None,
        tokens_per_batch: int = 48_000,
        steps_per_epoch: int = 100,
        sampling: Sampling = "sessions",
        valid_stride_s: float | None = None,
        num_workers: int = 0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        if not recordings:
            raise DataError("no training recordings: check the folder and what is held out")
        if context is not None:
            _require_context(context, length_s=length_s, unit_dropout=unit_dropout)
        self.tasks = _meet(tasks, recordings)
        self.units = units
        self.unit_dropout = unit_dropout
        self.tokens_per_batch = tokens_per_batch
        self.steps_per_epoch = steps_per_epoch
        self.valid_stride_s = valid_stride_s
        self.num_workers = num_workers
        self.seed = seed
        if units == "identity":
            unit_rows, session_rows = unit_rows or {}, session_rows or {}
        self.unit_rows = _rows(unit_rows, [w for each in recordings for w in unit_words(each)])
        self.session_rows = _rows(session_rows, [each.id for each in recordings])
        views: list[tuple[TrainingView, ...]] = []
        self.valid_sessions: list[DecodeSession] = []
        for index, recording in enumerate(recordings):
            split = recording.require_split()
            reader = DecodeReader(recording, self.tasks, length_s=length_s, signal=signal)
            require_behaviour(reader)
            rooms = require_room(reader, split.train)
            valid = self.session(reader)
            if units == "identity" or context is not None:
                lengths = random_reference_lengths(
                    num_references,
                    shortest_s=max(shortest_reference_s, SHORTEST_REFERENCE_S),
                    longest_s=longest_reference_s,
                    seed=seed + index,
                )
                folds = has_folds(split, valid_reference_s)
                stretch = last_stretch(split.train, valid_reference_s)
                given = {"folds": folds, "seed": seed + index}
                if context is None:
                    views.append(self._identity_views(reader, lengths, **given))
                    valid = self.session(reader, stretch)
                else:
                    windows = context_reader(recording, context)
                    views.append(self._context_views(reader, windows, lengths, **given))
                    reference = compute_reference(recording, stretch, spec=context)
                    valid = replace(valid, context=ContextReader(windows, reference))
            else:
                views.append((TrainingView(valid, rooms),))
            if any(len(targets.inside(split.valid)) for targets in reader.targets.values()):
                self.valid_sessions.append(valid)
            if progress is not None:
                progress(index + 1, len(recordings))
        _require_alike(view[0].session.reader for view in views)
        if not self.valid_sessions:
            raise DataError(
                "no time stamp of any task in the valid domain of any training recording: give "
                "validation a larger share"
            )
        seconds = [float(np.mean([_room_s(view) for view in each])) for each in views]
        shares = recording_shares([each.source for each in recordings], seconds, sampling)
        self.recordings = [
            TrainingRecording(each, share)
            for each, share in zip(views, shares.tolist(), strict=True)
        ]

    def session(self, reader: DecodeReader, reference: FloatArray | None = None) -> DecodeSession:
        """Return a recording as the model knows it.

        Parameters
        ----------
        reader : DecodeReader
            Of any recording; units that the model does not know have row 0.
        reference : (K, 2) array, optional
            Stretches, in seconds, that features of its units are computed from; None for none.
        """
        recording = reader.recording
        rows = [self.unit_rows.get(word, 0) for word in unit_words(recording)]
        features = np.empty((recording.num_units, 0), dtype=np.float32)
        if reference is not None:
            features = identity_features(reader, reference)
        return DecodeSession(
            reader,
            np.array(rows, dtype=np.int64),
            self.session_rows.get(recording.id, 0),
            features,
        )

    def _identity_views(
        self, reader: DecodeReader, lengths_s: tuple[float, ...], *, folds: bool, seed: int
    ) -> tuple[TrainingView, ...]:
        """Return the recording as seen from several references, each with its windows."""
        recording = reader.recording
        train = recording.require_split().train
        references = draw_references(recording, train, lengths_s=lengths_s, seed=seed)
        if folds:
            references += fold_references(train, seed=seed)
        rooms = rooms_beside(reader, [each.free for each in references])
        return tuple(
            TrainingView(self.session(reader, reference.stretches), room)
            for reference, room in zip(references, rooms, strict=True)
            if len(room)
        )

    def _context_views(
        self,
        reader: DecodeReader,
        windows: WindowReader,
        lengths_s: tuple[float, ...],
        *,
        folds: bool,
        seed: int,
    ) -> tuple[TrainingView, ...]:
        """Return the recording as a forecaster sees it from several references."""
        recording, spec = reader.recording, windows.spec
        train = recording.require_split().train
        # What is asked of a window lies inside of it, not after it: no guard is needed.
        drawn = draw_cross_fits(
            recording, train, spec=spec, lengths_s=lengths_s, seed=seed, guard_s=0.0
        )
        if folds:
            drawn += draw_folds(recording, train, spec=spec, seed=seed, guard_s=0.0)
        rooms = rooms_beside(reader, [each.free for each in drawn])
        session = self.session(reader)
        return tuple(
            TrainingView(replace(session, context=ContextReader(windows, each.reference)), room)
            for each, room in zip(drawn, rooms, strict=True)
            if len(room)
        )

    @property
    def num_unit_features(self) -> int:
        """Numbers that a reference says of a unit; 0 where none is read."""
        return self.valid_sessions[0].unit_features.shape[1]

    def feature_scaler(self) -> FeatureScaler:
        """Fit the standardisation of the units' features on all training references."""
        views = [view for recording in self.recordings for view in recording.views]
        is_signal = views[0].session.reader.signal is not None
        log = skewed_identity_features(self.tasks, is_signal=is_signal)
        return FeatureScaler.fit_in_one_pass(
            (view.session.unit_features.astype(np.float64) for view in views), log=log
        )

    def reference_scalers(self) -> tuple[FeatureScaler, FeatureScaler]:
        """Fit the standardisation of what a forecaster reads of its references."""
        views = [view for recording in self.recordings for view in recording.views]
        contexts = [view.session.context for view in views]
        return fit_scalers([each.reference for each in contexts if each is not None])

    def numbered_batches(self) -> DecodeBatches:
        """Return the training batches by their numbers, without end."""
        return DecodeBatches(
            self.recordings,
            self.tasks,
            tokens_per_batch=self.tokens_per_batch,
            seed=self.seed,
            unit_dropout=self.unit_dropout,
        )

    def train_loader(
        self,
        batches_seen: Callable[[], int] = lambda: 0,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> DataLoader[DecodeBatch]:
        """Return the batches, of one process, that are left of the epoch after those seen."""
        return DataLoader(
            self.numbered_batches(),
            batch_size=None,
            sampler=EpochNumbers(
                self.steps_per_epoch, batches_seen, rank=rank, world_size=world_size
            ),
            num_workers=self.num_workers,
        )

    def valid_batches(
        self, *, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[DecodeSession, CoverBatch]]:
        """Yield windows that ask for every time stamp of the valid domains, by recording."""
        for session in self.valid_sessions:
            for batch in session.cover(
                session.reader.recording.require_split().valid,
                stride_s=self.valid_stride_s,
                tokens_per_batch=self.tokens_per_batch,
                rank=rank,
                world_size=world_size,
            ):
                yield session, batch

    def padding_share(self, num_steps: int = 32) -> float:
        """Measure how much of the tokens of training batches is padding."""
        filled = read = 0
        for batch, _ in zip(self.train_loader(), range(num_steps), strict=False):
            filled += batch.num_tokens
            read += batch.token_mask_WE.numel()
        return 1.0 - filled / max(read, 1)


def _meet(
    tasks: Sequence[TaskSpec] | Sequence[Task], recordings: Sequence[Recording]
) -> tuple[Task, ...]:
    met = tuple(task for task in tasks if isinstance(task, Task))
    if met and len(met) == len(tasks):
        return met
    return meet_tasks([task for task in tasks if isinstance(task, TaskSpec)], recordings)


def _require_context(
    context: WindowSpec, *, length_s: float, unit_dropout: UnitDropout | None
) -> None:
    """Refuse windows that are no contexts of a forecaster."""
    if to_ticks(length_s) != to_ticks(context.context_s):
        raise ConfigError(
            f"length_s is {length_s:g} s and the forecaster reads {context.context_s:g} s before "
            f"an origin: set the windows' length to {context.context_s:g} s"
        )
    if unit_dropout is not None:
        raise ConfigError(
            "unit_dropout: a forecaster's encoder reads all units of a recording: leave it out"
        )


def _rows(known: Mapping[str, int] | None, words: Sequence[str]) -> dict[str, int]:
    if known is not None:
        return dict(known)
    return {word: row for row, word in enumerate(words, start=1)}


def _require_alike(readers: Iterator[DecodeReader]) -> None:
    """Refuse spikes and signals in one training."""
    by_kind = {reader.signal is not None: reader.recording.id for reader in readers}
    if len(by_kind) > 1:
        raise DataError(
            f"{by_kind[False]} has spikes and {by_kind[True]} signals: a decoder reads one of the "
            "two; leave some recordings out, or name the signals that all of them have"
        )


def _room_s(view: TrainingView) -> float:
    return float(np.sum(view.rooms[:, 1] - view.rooms[:, 0] + 1)) / TICKS_PER_S
