"""What is to be decoded, part by part of the split: whether test looks like training.

One cut in time measures drift, not skill: where the target's distribution moves between
training and test, even a good decoder scores below 0, as published decoders of wheel velocity
did on every validation. This is looked at before any decoder is.

References
----------
Austin 2009, Statistics in Medicine 28:3083 (standardised mean difference); Kolmogorov 1933.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.decoding.cases import DecodingCase, Part, PartName
from neurohorizon.recordings.schema import FloatArray

PARTS: tuple[PartName, ...] = ("train", "valid", "test")
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
NUM_BINS = 40
#: From here on a difference between training and test is worth a word: the mean has moved by half
#: a standard deviation, or a fifth of the values would have to move.
MUCH_SHIFT = 0.5
MUCH_DISTANCE = 0.2


@dataclass(frozen=True, eq=False)
class TargetByPart:
    """One column of a task of one recording, or its classes, by part of the split.

    Parameters
    ----------
    recording, task : str
    column : int
        Of a continuous task; -1 for classes.
    unit : str
        Of the values.
    counts : (3,) int
        Time stamps of train, valid and test.
    mean, deviation : (3,) float
        NaN of classes, and where a part is empty.
    quantiles : (3, 7) float
        At :data:`QUANTILES`; NaN likewise.
    edges : (B + 1,) float
        Of the histogram; of classes they lie around 0, 1, ...
    shares : (3, B) float
        Of a part's time stamps in each bin, or class.
    classes : tuple of str
        Empty for a continuous task.
    shift : (3,) float
        Mean minus the training mean, in training deviations; NaN of classes.
    distance : (3,) float
        To training: the largest difference of the cumulative distributions (Kolmogorov); of
        classes the share that would have to change class (total variation).
    """

    recording: str
    task: str
    column: int
    unit: str
    counts: NDArray[np.int64]
    mean: FloatArray
    deviation: FloatArray
    quantiles: FloatArray
    edges: FloatArray
    shares: FloatArray
    classes: tuple[str, ...]
    shift: FloatArray
    distance: FloatArray

    @property
    def warning(self) -> str:
        """One line where the test part differs much from training; empty where it does not."""
        here = f"{self.recording}, task {self.task}"
        if not self.counts[2]:
            return f"{here}: the test part has no value"
        shift, distance = float(self.shift[2]), float(self.distance[2])
        if not (abs(shift) >= MUCH_SHIFT or distance >= MUCH_DISTANCE):
            return ""
        what = f"{here}: the test part's distribution is not that of training"
        if self.classes:
            told = f"{distance:.0%} of its time stamps are of other classes"
        else:
            told = (
                f"column {self.column} has moved by {shift:+.2f} training deviations, Kolmogorov "
                f"distance {distance:.2f}"
            )
        return f"{what} ({told}): scores speak of drift too; interleave the split in time or trials"

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a part."""
        records = []
        for index, part in enumerate(PARTS):
            record: dict[str, Any] = {
                "recording": self.recording,
                "task": self.task,
                "column": "classes" if self.classes else self.column,
                "unit": self.unit,
                "part": part,
                "time_stamps": int(self.counts[index]),
                "shift_from_train": self.shift[index],
                "distance_to_train": self.distance[index],
                "mean": self.mean[index],
                "deviation": self.deviation[index],
            }
            for share, value in zip(QUANTILES, self.quantiles[index], strict=True):
                record[f"q{100 * share:02.0f}"] = value
            told = zip(self.classes, self.shares[index], strict=True) if self.classes else ()
            record["shares"] = ", ".join(f"{name} {share:.3f}" for name, share in told)
            records.append(record)
        return records


def targets_by_part(cases: Sequence[DecodingCase]) -> list[TargetByPart]:
    """Describe every target of every case, part by part.

    Returns
    -------
    list of TargetByPart
        One a column of a continuous task, one a categorical task.
    """
    found = []
    for case in cases:
        parts = [case.part(name) for name in PARTS]
        if case.task.spec.is_categorical:
            found.append(_classes(case, parts))
        else:
            for column in range(case.values.shape[1]):
                found.append(_column(case, parts, column))
    return found


def warnings_of(found: Sequence[TargetByPart]) -> list[str]:
    """Return one line for each target whose test part differs much from training."""
    return [each.warning for each in found if each.warning]


def kolmogorov_distance(one: FloatArray, other: FloatArray) -> float:
    """Return the largest difference of two samples' cumulative distributions; NaN if one is empty.

    Examples
    --------
    >>> kolmogorov_distance(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.5
    """
    if not (len(one) and len(other)):
        return float("nan")
    at = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(each), at, side="right") / len(each) for each in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


def _column(case: DecodingCase, parts: Sequence[Part], column: int) -> TargetByPart:
    values = [part.values[:, column].astype(np.float64) for part in parts]
    every = np.concatenate(values)
    # One far value must not squeeze all others into one bin.
    low, high = np.quantile(every, [0.001, 0.999]) if len(every) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, NUM_BINS + 1)
    counted = [np.histogram(np.clip(each, edges[0], edges[-1]), edges)[0] for each in values]
    nothing = np.full(len(QUANTILES), np.nan)
    mean = np.array([each.mean() if len(each) else np.nan for each in values])
    deviation = np.array([each.std() if len(each) else np.nan for each in values])
    scale = deviation[0] if deviation[0] > 0 else np.nan
    return TargetByPart(
        recording=case.recording_id,
        task=case.task.name,
        column=column,
        unit=case.unit,
        counts=np.array([len(each) for each in values]),
        mean=mean,
        deviation=deviation,
        quantiles=np.stack(
            [np.quantile(each, QUANTILES) if len(each) else nothing for each in values]
        ),
        edges=edges.astype(np.float64),
        shares=np.stack([each / max(each.sum(), 1) for each in counted]),
        classes=(),
        shift=(mean - mean[0]) / scale,
        distance=np.array([kolmogorov_distance(values[0], each) for each in values]),
    )


def _classes(case: DecodingCase, parts: Sequence[Part]) -> TargetByPart:
    size = case.task.num_outputs
    counts = np.stack([np.bincount(part.values, minlength=size) for part in parts])
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    nothing = np.full(len(PARTS), np.nan)
    return TargetByPart(
        recording=case.recording_id,
        task=case.task.name,
        column=-1,
        unit="",
        counts=total[:, 0],
        mean=nothing,
        deviation=nothing,
        quantiles=np.full((len(PARTS), len(QUANTILES)), np.nan),
        edges=np.arange(size + 1, dtype=np.float64) - 0.5,
        shares=shares,
        classes=case.task.classes,
        shift=nothing,
        distance=0.5 * np.abs(shares - shares[0]).sum(axis=1),
    )
