"""Time courses of single trials: activity from 100 ms before the picture to 200 ms after."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.simulate.ventral.electrodes import NUM_ELECTRODES, Electrodes
from neurohorizon.simulate.ventral.recording import Array, Recorded

BEFORE_MS, AFTER_MS = 100, 200
#: First ms, and the one after the last, over which an area's answer is averaged.
WINDOWS_MS = {"V1": (25, 125), "V4": (50, 150), "IT": (75, 175)}
STEPS_MS = (1.0, 5.0, 12.5, 25.0)
#: Unless told otherwise.
STEP_MS = 5.0
_NOISE_TAU_MS = 20.0
_BLOCK = 64


def require_step(step_ms: float) -> None:
    """Make sure that samples fit the windows.

    Raises
    ------
    ConfigError
        If they do not.
    """
    if step_ms not in STEPS_MS:
        choices = ", ".join(f"{step:g}" for step in STEPS_MS)
        raise ConfigError(f"samples of {step_ms:g} ms do not fit the areas' windows: {choices} do")


def sample_times_ms(step_ms: float) -> NDArray[np.float64]:
    """Return when samples begin, from the picture's onset."""
    require_step(step_ms)
    return np.arange(-BEFORE_MS, AFTER_MS, step_ms)


def time_courses(electrodes: Electrodes, time_ms: NDArray[np.float64]) -> Array:
    """Return how each electrode's answer unfolds, (times, 1024), of mean 1 over its window.

    It rises from the electrode's latency on, and relaxes to a plateau.
    """
    since = time_ms[:, None] - electrodes.latency_ms
    after = np.maximum(since, 0)
    course = (1 - np.exp(-after / 6)) * (0.45 + 0.55 * np.exp(-after / 30))
    course[since < 0] = 0
    inside = _inside(electrodes, time_ms)
    course *= inside.sum(axis=0) / (course * inside).sum(axis=0)
    return course.astype(np.float32)


def _inside(electrodes: Electrodes, time_ms: NDArray[np.float64]) -> NDArray[np.bool_]:
    low, high = np.array([WINDOWS_MS[name] for name in electrodes.area]).T
    return (time_ms[:, None] >= low) & (time_ms[:, None] < high)


def trial_table(
    recorded: Recorded, *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Put presentations into an order, day by day.

    Returns
    -------
    table : (trials, 6) float
        ``ALLMAT``: trial, train picture, test picture, repeat, count within the fixation, day;
        all from 1, 0 where it is a picture of the other part.
    repeat, row : (trials,) int
        Where its values are: row of the train pictures where `repeat` is -1, else of the
        test pictures.
    """
    rng = np.random.default_rng([seed, 40])
    num_repeats, num_test = recorded.repeats.shape[:2]
    repeat = np.concatenate(
        [np.full(len(recorded.train), -1), np.repeat(np.arange(num_repeats), num_test)]
    )
    row = np.concatenate(
        [np.arange(len(recorded.train)), np.tile(np.arange(num_test), num_repeats)]
    )
    day = np.concatenate([recorded.train_day, np.repeat(recorded.repeat_day, num_test)])
    order = np.lexsort([rng.random(len(day)), day])
    repeat, row, day = repeat[order], row[order], day[order]
    number = np.arange(len(day))
    is_train = repeat < 0
    table = np.column_stack(
        [
            number + 1,
            np.where(is_train, row + 1, 0),
            np.where(is_train, 0, row + 1),
            np.where(is_train, 1, repeat + 1),
            number % 4 + 1,
            day + 1,
        ]
    )
    return table.astype(np.float64), repeat, row


class _NoiseLaw:
    """Noise over time whose mean over the area's window is told."""

    def __init__(self, electrodes: Electrodes, time_ms: NDArray[np.float64]) -> None:
        inside = _inside(electrodes, time_ms)
        self._weights = (inside / inside.sum(axis=0)).astype(np.float32)
        apart = np.abs(time_ms[:, None] - time_ms[None])
        with_mean = np.exp(-apart / _NOISE_TAU_MS) @ (inside / inside.sum(axis=0))
        variance = (with_mean * inside / inside.sum(axis=0)).sum(axis=0)
        self._unit = (1 / np.sqrt(variance)).astype(np.float32)
        self._gain = (with_mean / variance).astype(np.float32)
        self._keep = np.float32(np.exp(-(time_ms[1] - time_ms[0]) / _NOISE_TAU_MS))
        self._copies = np.flatnonzero(electrodes.copy_of >= 0)
        self._sources = electrodes.copy_of[self._copies]

    def draw(self, rng: np.random.Generator, mean: Array, scale: Array) -> Array:
        """Draw noise, (times, trials, electrodes).

        Parameters
        ----------
        rng : numpy.random.Generator
        mean : (trials, electrodes) float32
            What its mean over the window shall be.
        scale : (trials, electrodes) float32
            Standard deviation of such means.

        Notes
        -----
        A Gaussian process, and what its covariance with the mean adds where the mean is off:
        the law of the process given the mean.
        """
        noise = rng.standard_normal((len(self._weights), *mean.shape), dtype=np.float32)
        noise[1:] *= np.sqrt(1 - self._keep**2)
        for step in range(1, len(noise)):
            noise[step] += self._keep * noise[step - 1]
        noise[:, :, self._copies] = noise[:, :, self._sources]
        noise *= self._unit * scale
        missed = mean - np.einsum("tke,te->ke", noise, self._weights)
        noise += self._gain[:, None] * missed
        return noise


def write_activity(
    file: h5py.File,
    recorded: Recorded,
    electrodes: Electrodes,
    *,
    channel: NDArray[np.int64],
    step_ms: float,
    noise: float,
    seed: int,
    progress: Callable[[int, int], None],
) -> None:
    """Write ``ALLMUA``, ``ALLMAT`` and ``tb``.

    Parameters
    ----------
    file : h5py.File
    recorded : Recorded
    electrodes : Electrodes
    channel : (1024,) int
        The recorder's channel of each electrode, from 0.
    step_ms : float
        Width of a sample.
    noise : float
        Scale of trial noise.
    seed : int
    progress : callable
        Called with (trials done, trials in all).

    Notes
    -----
    Activity is ``offset + answer course(t) + noise(t)``. The noise is correlated over some
    20 ms, and such that the mean of activity over the area's window is what `recorded` holds.
    """
    time_ms = sample_times_ms(step_ms)
    table, repeat, row = trial_table(recorded, seed=seed)
    shape = (len(time_ms), len(table), NUM_ELECTRODES)
    chunks = (min(30, shape[0]), min(16, shape[1]), 512)
    activity = file.create_dataset("ALLMUA", shape, dtype="f4", chunks=chunks)
    activity.attrs["MATLAB_class"] = b"single"
    rng = np.random.default_rng([seed, 41])
    course, law = time_courses(electrodes, time_ms), _NoiseLaw(electrodes, time_ms)
    progress(0, len(table))
    for first in range(0, len(table), _BLOCK):
        part = slice(first, first + _BLOCK)
        day = table[part, 5].astype(np.int64) - 1
        values, answers = (
            np.stack(
                [
                    train[place] if which < 0 else test[which % len(test), place]
                    for which, place in zip(repeat[part], row[part], strict=True)
                ]
            )
            for train, test in (
                (recorded.train, recorded.repeats),
                (recorded.train_answer, recorded.test_answer[None]),
            )
        )
        scale, offset = recorded.scale[day], recorded.offset[day]
        answers *= scale
        block = law.draw(rng, values - offset - answers, np.float32(noise) * scale)
        block += course[:, None] * answers
        block += offset
        recorder = np.empty_like(block)
        recorder[:, :, channel] = block
        activity[:, part] = recorder
        progress(min(first + _BLOCK, len(table)), len(table))
    file.create_dataset("ALLMAT", data=table.T).attrs["MATLAB_class"] = b"double"
    file.create_dataset("tb", data=time_ms[:, None]).attrs["MATLAB_class"] = b"double"
