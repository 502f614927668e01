"""Behaviour from a trained decoder: the Python side of ``neurohorizon decode``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.models.decoder_files import read_decoder
from neurohorizon.models.stitching import Stitched
from neurohorizon.models.task_decoder import TaskDecoder
from neurohorizon.recordings.decoding.contexts import ContextReader, context_reader
from neurohorizon.recordings.decoding.identity import identity_features
from neurohorizon.recordings.decoding.placement import cover_stretches
from neurohorizon.recordings.decoding.sessions import CoverBatch, DecodeSession, unit_words
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.decoding.windows import DecodeReader
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.reference_pool import cut_stretch, last_stretch
from neurohorizon.recordings.schema import FloatArray, Recording

_TOKENS_AT_ONCE = 48_000
#: Seconds of a session that units are known by where nothing else is said.
REFERENCE_S = 120.0


@dataclass(frozen=True)
class Decoded:
    """What was decoded of one task of one recording.

    Parameters
    ----------
    task : Task
    times_s : (T,) float
        Seconds on the recording's clock.
    values : (T, D) float
        In the task's own units; of a categorical task (T, C), the probability of each class.
    truth : (T, D) float or (T,) int
        What the recording says; zeros where it was not asked.
    weights : (T,) float32
        Zeros likewise.
    """

    task: Task
    times_s: FloatArray
    values: FloatArray
    truth: NDArray[Any]
    weights: NDArray[np.float32]

    @property
    def classes(self) -> NDArray[np.int64]:
        """The likeliest class at each time stamp, of a categorical task."""
        assert self.task.spec.is_categorical, "a continuous task has no classes"
        return np.argmax(self.values, axis=1)


class TrainedDecoder:
    """A trained decoder, ready for recordings that it knows.

    Parameters
    ----------
    model : TaskDecoder
    name : str
        What tables and figures call it.
    signal : str
        Signals that are read in place of spikes; "" for the only ones, or spikes.
    references : mapping of str to (K, 2) array, optional
        Of a model that knows units by a reference: which stretches serve for a recording, by its
        id, where a call says nothing else.
    device : str

    Examples
    --------
    >>> decoder = TrainedDecoder.load("runs/ca1-position")          # doctest: +SKIP
    >>> decoded = decoder.decode(recording)["position"]             # doctest: +SKIP
    """

    def __init__(
        self,
        model: TaskDecoder,
        *,
        name: str = "POYO",
        signal: str = "",
        references: Mapping[str, FloatArray] | None = None,
        device: str = "cpu",
    ) -> None:
        self.model = model.to(device).eval()
        self.name = name
        self.signal = signal
        self.references = dict(references or {})
        self.device = device

    @classmethod
    def load(
        cls, run: Path | str, *, name: str = "POYO", signal: str = "", device: str = "cpu"
    ) -> TrainedDecoder:
        """Load a run folder, a folder that an adaptation wrote, or a checkpoint file.

        Raises
        ------
        CheckpointError
            If it is none.
        """
        model, told, references = read_decoder(run)
        return cls(model, name=name, signal=signal or told, references=references, device=device)

    def session(
        self,
        recording: Recording,
        *,
        reference: FloatArray | None = None,
        clock_s: FloatArray | None = None,
    ) -> DecodeSession:
        """Return a recording as the model knows it.

        Parameters
        ----------
        recording : Recording
        reference : (K, 2) array, optional
            Of a model that knows units by a reference: stretches that it is computed from, in
            seconds. Default: the one in `references`; else the last 120 s of the train domain
            or, without a split, the first 120 s.
        clock_s : (T,) float, optional
            When every task is asked for, in seconds, sorted; default: where the recording tells
            what was true.

        Raises
        ------
        DataError
            If the model does not know its units and reads no reference in their place.
        """
        reader = self._reader(recording, clock_s=clock_s)
        spec = self.model.context_spec
        if reference is None:
            reference = self.references.get(recording.id)
        if reference is None:
            reference = default_reference(recording)
        features = np.empty((reader.num_units, 0), dtype=np.float32)
        context = None
        if spec is not None:
            computed = compute_reference(recording, reference, spec=spec)
            context = ContextReader(context_reader(recording, spec), computed)
        elif self.model.knows_new_units:
            known = reader if clock_s is None else self._reader(recording)
            features = identity_features(known, reference)
        words = unit_words(recording)
        if not self.model.knows_new_units and not any(word in self.model.units for word in words):
            without = "model.units=identity" if spec is None else "model.offsets=false"
            raise DataError(
                f"{recording.id}: the model knows none of its {len(words)} units: adapt the model "
                f"to the recording first (`neurohorizon adapt`), or train with {without}"
            )
        return DecodeSession(
            reader,
            self.model.units.rows(words, unknown="zero").numpy(),
            int(self.model.sessions.rows([recording.id], unknown="zero")[0]),
            features,
            context,
        )

    def _reader(self, recording: Recording, *, clock_s: FloatArray | None = None) -> DecodeReader:
        return DecodeReader(
            recording,
            self.model.tasks,
            length_s=self.model.length_s,
            signal=self.signal,
            clock_s=clock_s,
        )

    def decode(
        self,
        recording: Recording,
        stretches: FloatArray | None = None,
        *,
        stride_s: float | None = None,
        reference: FloatArray | None = None,
        clock_s: FloatArray | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, Decoded]:
        """Decode every task at the time stamps that the recording has for it.

        Parameters
        ----------
        recording : Recording
        stretches : (K, 2) array, optional
            Where, in seconds; the whole recording by default. No window reads two stretches.
        stride_s : float, optional
            Between windows, whose overlaps are averaged; half a window by default.
        reference, clock_s
            As `session` takes them.
        progress : callable, optional
            Called with (windows decoded, windows in all).
        """
        session = self.session(recording, reference=reference, clock_s=clock_s)
        where = recording.domain if stretches is None else stretches
        cover = session.cover(where, stride_s=stride_s, tokens_per_batch=_TOKENS_AT_ONCE)
        if progress is not None:
            total = len(cover_stretches(where, length_s=self.model.length_s, stride_s=stride_s))
            cover = _told(cover, progress, total)
        stitched = stitch(self.model, session, cover, device=self.device)
        return decoded_of(session, stitched, where)


def _told(
    cover: Iterable[CoverBatch], progress: Callable[[int, int], None], total: int
) -> Iterator[CoverBatch]:
    """Yield windows, and tell how many have been decoded."""
    done = 0
    progress(done, total)
    for each in cover:
        yield each
        done += len(each.batch)
        progress(min(done, total), total)
    progress(total, total)


def default_reference(recording: Recording) -> FloatArray:
    """Return the stretches that units are known by where none are given."""
    if recording.split is not None:
        return last_stretch(recording.split.train, REFERENCE_S)
    return cut_stretch(recording.domain, 0.0, min(REFERENCE_S, recording.duration_s))


def stitch(
    model: TaskDecoder,
    session: DecodeSession,
    cover: Iterable[CoverBatch],
    *,
    device: torch.device | str = "cpu",
) -> dict[str, Stitched]:
    """Decode windows of a recording and add up what they say, by task."""
    reader, stitched = session.reader, empty_stitches(session, model.tasks)
    with torch.inference_mode():
        for each in cover:
            outputs = model(each.batch.to(device))
            for name, values in outputs.items():
                stitched[name].add(each.rows[name], values.double().cpu().numpy())
    assert set(stitched) <= set(reader.targets)
    return stitched


def empty_stitches(session: DecodeSession, tasks: Iterable[Task]) -> dict[str, Stitched]:
    """Return empty sums for every task that a recording has."""
    targets = session.reader.targets
    return {
        task.name: Stitched(
            len(targets[task.name].times_s),
            task.num_outputs,
            categorical=task.spec.is_categorical,
            where=f"{session.reader.recording.id}, task {task.name}",
        )
        for task in tasks
        if task.name in targets
    }


def decoded_of(
    session: DecodeSession, stitched: Mapping[str, Stitched], stretches: FloatArray
) -> dict[str, Decoded]:
    """Return what was decoded in stretches, in the tasks' own units."""
    found = {}
    for task in session.reader.tasks:
        if task.name not in stitched:
            continue
        targets = session.reader.targets[task.name]
        rows = targets.inside(stretches)
        values = stitched[task.name].averaged(rows)
        if not task.spec.is_categorical:
            values = values * np.array(task.scale) + np.array(task.mean)
        found[task.name] = Decoded(
            task, targets.times_s[rows], values, targets.values[rows], targets.weights[rows]
        )
    return found
