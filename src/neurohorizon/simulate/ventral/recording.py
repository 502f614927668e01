"""How answers are recorded: gain, trial noise, days, broken electrodes, and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.simulate.ventral.electrodes import PER_ARRAY, Electrodes

Array = NDArray[np.floating[Any]]

MOST_DAYS = 4
#: Shares of the variance of trial noise that an array, and that all electrodes, have in common.
ARRAY_SHARE, GLOBAL_SHARE = 0.15, 0.08
#: From one day to the next: log-gain of an electrode and of an array, offset in noise units.
GAIN_DRIFT, ARRAY_GAIN_DRIFT, OFFSET_DRIFT = 0.12, 0.08, 0.5
#: Mean answer to a picture, in standard deviations of the answers.
MEAN_ANSWER = 2.5
#: What a copy adds to the signal that it shares, in units of the electrode's scale.
COPY_NOISE = 0.05
#: Activity without a picture varies at least by this much, in noise units.
LEAST_NOISE = 0.05
_BLOCK = 1024


@dataclass(frozen=True)
class Recorded:
    """What was recorded, in the recorder's units: the mean over the window of the area.

    Parameters
    ----------
    train : (n, 1024) float32
        One presentation of each train picture; electrodes that are missing are NaN.
    repeats : (repeats, pictures, 1024) float32
        Presentations of the test pictures.
    train_day : (n,) int
        From 0.
    repeat_day : (repeats,) int
        Day of each repeat.
    offset, scale : (days, 1024) float32
        Activity without a picture, and the unit of the noise.
    train_answer, test_answer : (n, 1024) float32
        What is recorded of each picture without noise, in units of `scale`.
    """

    train: Array
    repeats: Array
    train_day: NDArray[np.int64]
    repeat_day: NDArray[np.int64]
    offset: Array
    scale: Array
    train_answer: Array
    test_answer: Array

    @property
    def num_days(self) -> int:
        """Number of days."""
        return len(self.offset)


def record(
    train: Array,
    test: Array,
    electrodes: Electrodes,
    *,
    num_repeats: int,
    noise: float,
    seed: int,
) -> Recorded:
    """Record the answers to pictures.

    Parameters
    ----------
    train, test : (n, 1024) float32
        Answers of mean 0 and standard deviation 1; scaled in place, to save memory.
    electrodes : Electrodes
    num_repeats : int
        Presentations of each test picture.
    noise : float
        Scale of all trial noise.
    seed : int

    Returns
    -------
    Recorded

    Notes
    -----
    On day d, ``offset_d + scale_d (quality (2.5 + answer) + noise * e)``, where e has
    standard deviation 1 and is correlated within an array, less over all. Offset and scale
    drift from day to day.
    """
    rng = np.random.default_rng([seed, 20])
    num_days = min(MOST_DAYS, num_repeats)
    num_electrodes = len(electrodes.area)
    unit = np.exp(0.4 * rng.standard_normal(num_electrodes))
    steps = GAIN_DRIFT * rng.standard_normal((num_days, num_electrodes))
    steps += ARRAY_GAIN_DRIFT * np.repeat(
        rng.standard_normal((num_days, num_electrodes // PER_ARRAY)), PER_ARRAY, axis=1
    )
    scale = unit * np.exp(np.cumsum(steps, axis=0))
    drift = np.cumsum(OFFSET_DRIFT * rng.standard_normal(scale.shape), axis=0)
    offset = unit * (4 + drift)
    (copies,) = np.nonzero(electrodes.copy_of >= 0)
    quality = electrodes.quality.astype(np.float32)
    for values in (train, test, scale, offset):
        values[:, copies] = values[:, electrodes.copy_of[copies]]
    for answers in (train, test):
        answers += np.float32(MEAN_ANSWER)
        answers *= quality
    recorded = Recorded(
        train=np.empty_like(train),
        repeats=np.empty((num_repeats, *test.shape), dtype=np.float32),
        train_day=rng.permutation(np.arange(len(train)) % num_days),
        repeat_day=np.arange(num_repeats) * num_days // num_repeats,
        offset=offset.astype(np.float32),
        scale=scale.astype(np.float32),
        train_answer=train,
        test_answer=test,
    )
    targets = [(recorded.train, train, recorded.train_day)]
    targets += [
        (values, test, np.full(len(test), day))
        for values, day in zip(recorded.repeats, recorded.repeat_day, strict=True)
    ]
    for target, answers, day in targets:
        for first in range(0, len(target), _BLOCK):
            part = slice(first, first + _BLOCK)
            values = np.float32(noise) * _trial_noise(rng, len(target[part]), electrodes)
            values += answers[part]
            values *= recorded.scale[day[part]]
            values += recorded.offset[day[part]]
            hiss = rng.standard_normal((len(values), len(copies)), dtype=np.float32)
            hiss *= np.float32(COPY_NOISE) * recorded.scale[day[part]][:, copies]
            values[:, copies] = values[:, electrodes.copy_of[copies]] + hiss
            values[:, electrodes.is_missing] = np.nan
            target[part] = values
    return recorded


def _trial_noise(rng: np.random.Generator, num_trials: int, electrodes: Electrodes) -> Array:
    """Return noise of standard deviation 1, in part shared."""
    num_electrodes = len(electrodes.area)
    own = rng.standard_normal((num_trials, num_electrodes), dtype=np.float32)
    array = rng.standard_normal((num_trials, num_electrodes // PER_ARRAY), dtype=np.float32)
    common = rng.standard_normal((num_trials, 1), dtype=np.float32)
    shared = np.float32(ARRAY_SHARE**0.5) * np.repeat(array, PER_ARRAY, axis=1)
    shared += np.float32(GLOBAL_SHARE**0.5) * common
    values = np.float32((1 - ARRAY_SHARE - GLOBAL_SHARE) ** 0.5) * own + shared
    values[:, electrodes.is_deaf] = own[:, electrodes.is_deaf]
    return values


def normalise(recorded: Recorded) -> tuple[Array, Array]:
    """Return train and repeats in standard units of their day.

    Notes
    -----
    As the published data: the mean and the standard deviation are those of the day's test
    presentations, so that train responses hold a little of the test's.
    """
    train, repeats = np.empty_like(recorded.train), np.empty_like(recorded.repeats)
    for day in range(recorded.num_days):
        of_day = recorded.repeat_day == day
        shown = recorded.repeats[of_day].reshape(-1, train.shape[1])
        mean, deviation = shown.mean(axis=0), shown.std(axis=0)
        deviation[deviation == 0] = 1
        rows = recorded.train_day == day
        train[rows] = (recorded.train[rows] - mean) / deviation
        repeats[of_day] = (recorded.repeats[of_day] - mean) / deviation
    return train, repeats
