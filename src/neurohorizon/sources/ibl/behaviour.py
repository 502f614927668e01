"""Behaviour of an IBL session: trials, wheel, pupil and licks, all on the spikes' clock.

The wheel's velocity is made as in the laboratory's own library (``brainbox.behavior.wheel``
of ibllib): position interpolated linearly to 1 kHz, low-passed at 20 Hz by a Butterworth
filter of 8th order run forwards and backwards, then differences between samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray, Series, Table
from neurohorizon.sources.ibl.files import TRIAL_NUMBERS, TRIAL_TIMES, read_array, read_table

FILTER_HZ, FILTER_ORDER = 20.0, 8
INTERPOLATED_HZ = 1000
# What is left above 20 Hz is noise: every tenth sample holds all of it.
KEEP_EVERY = 10
PUPIL_COLUMNS = ("pupilDiameter_smooth", "pupilDiameter_raw")


def read_behaviour(
    session: Path, files: Mapping[str, str]
) -> tuple[dict[str, Series], dict[str, Table], list[str]]:
    """Read what there is of a session's behaviour.

    Parameters
    ----------
    session : Path
    files : mapping of str to str
        `SessionFiles.behaviour`.

    Returns
    -------
    series : dict of str to Series
        ``wheel.position`` (rad), ``wheel.velocity`` (rad/s), ``pupil`` (diameter, px).
    tables : dict of str to Table
        ``trials``; ``licks``, of no length each.
    left_out : list of str
        What is missing or cannot be used, and why.

    Raises
    ------
    DataError
        If a file is damaged or its length does not fit the others.
    """
    wheel, no_wheel = _read_wheel(session, files)
    pupil, no_pupil = _read_pupil(session, files)
    trials, no_trials = _read_trials(session, files)
    licks, no_licks = _read_licks(session, files)
    problems = {"wheel": no_wheel, "pupil": no_pupil, "trials": no_trials, "licks": no_licks}
    left_out = [f"{name} ({problem})" for name, problem in problems.items() if problem]
    return {**wheel, **pupil}, {**trials, **licks}, left_out


def wheel_velocity(
    timestamps: FloatArray, position: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Interpolate the wheel's position to 1 kHz and filter its velocity.

    Parameters
    ----------
    timestamps : (T,) float
        Seconds, increasing; the encoder writes one only when the wheel moves.
    position : (T,) float
        Radians, unwrapped.

    Returns
    -------
    times : (M,) float
        Seconds, 1 ms apart, from the first time stamp.
    position : (M,) float
        Radians, not filtered.
    velocity : (M,) float
        Radians per second: difference of the filtered position to the sample before.
    """
    # Slow to import, and only needed here.
    from scipy.signal import butter, sosfiltfilt

    times = np.arange(timestamps[0], timestamps[-1], 1 / INTERPOLATED_HZ)
    even = np.interp(times, timestamps, position)
    sos = butter(FILTER_ORDER, FILTER_HZ / INTERPOLATED_HZ * 2, btype="lowpass", output="sos")
    smooth = np.asarray(sosfiltfilt(sos, even), dtype=np.float64)
    return times, even, np.diff(smooth, prepend=smooth[:1]) * INTERPOLATED_HZ


def _read_wheel(session: Path, files: Mapping[str, str]) -> tuple[dict[str, Series], str]:
    if not {"wheel.position", "wheel.timestamps"} <= set(files):
        return {}, "no file"
    position = read_array(session / files["wheel.position"]).ravel()
    timestamps = _sample_times(session / files["wheel.timestamps"], len(position))
    if len(position) != len(timestamps):
        raise DataError(
            f"{session / files['wheel.position']}: {len(position)} positions, but "
            f"{len(timestamps)} time stamps; download the session again"
        )
    finite = np.isfinite(timestamps) & np.isfinite(position)
    timestamps, first = np.unique(timestamps[finite], return_index=True)
    position = position[finite][first]
    # The filter needs more samples than it reaches back at an end.
    if len(timestamps) < 2 or timestamps[-1] - timestamps[0] < 1.0:
        return {}, "less than 1 s"
    times, even, velocity = wheel_velocity(timestamps, position.astype(np.float64))
    kept = slice(None, None, KEEP_EVERY)
    return {
        "wheel.position": Series(times[kept], even[kept, None], unit="rad"),
        "wheel.velocity": Series(times[kept], velocity[kept, None], unit="rad/s"),
    }, ""


def _sample_times(path: Path, num_samples: int) -> FloatArray:
    """Return a time a sample; ALF may give only those of some samples, (sample, seconds)."""
    stamps = read_array(path)
    if stamps.ndim == 2 and stamps.shape[1] == 2:
        return np.interp(np.arange(num_samples), stamps[:, 0], stamps[:, 1])
    return stamps.ravel().astype(np.float64)


def _read_pupil(session: Path, files: Mapping[str, str]) -> tuple[dict[str, Series], str]:
    if "pupil.features" not in files:
        return {}, "no file"
    table = read_table(session / files["pupil.features"])
    names = [name for name in PUPIL_COLUMNS if name in table]
    values = [np.asarray(table[name], dtype=np.float64) for name in names]
    known = [column for column in values if np.isfinite(column).any()]
    if not known:
        return {}, "no diameters"
    diameter = known[0]
    times = read_array(session / files["pupil.times"]).ravel().astype(np.float64)
    if len(times) < len(diameter):
        return {}, f"{len(diameter)} frames, but {len(times)} camera times"
    # The first frames of some videos were not kept: times are counted from the end.
    times = times[len(times) - len(diameter) :]
    finite = np.isfinite(times)
    order = np.argsort(times[finite], kind="stable")
    return {"pupil": Series(times[finite][order], diameter[finite][order, None], unit="px")}, ""


def _read_trials(session: Path, files: Mapping[str, str]) -> tuple[dict[str, Table], str]:
    columns: dict[str, NDArray[Any]] = {}
    intervals = None
    if "trials.table" in files:
        table = read_table(session / files["trials.table"])
        columns = {name: np.asarray(table[name]) for name in table}
        if {"intervals_0", "intervals_1"} <= set(columns):
            intervals = np.column_stack([columns["intervals_0"], columns["intervals_1"]])
    if intervals is None and "trials.intervals" in files:
        intervals = read_array(session / files["trials.intervals"]).reshape(-1, 2)
    if intervals is None:
        return {}, "no intervals"
    intervals = intervals.astype(np.float64)
    for name in (*TRIAL_NUMBERS, *TRIAL_TIMES):
        if name not in columns and f"trials.{name}" in files:
            columns[name] = read_array(session / files[f"trials.{name}"]).ravel()
        if name in columns and len(columns[name]) != len(intervals):
            raise DataError(
                f"{session}: {len(columns[name])} values of trials.{name}, but "
                f"{len(intervals)} intervals of trials; download the session again"
            )
    kept = {
        name: columns[name].astype(np.float64)
        for name in (*TRIAL_NUMBERS, *TRIAL_TIMES)
        if name in columns
    }
    if {"contrastLeft", "contrastRight"} <= set(kept):
        # The side without a stimulus is NaN.
        kept["contrast"] = np.nan_to_num(kept["contrastRight"]) - np.nan_to_num(
            kept["contrastLeft"]
        )
    good = np.isfinite(intervals).all(axis=1)
    order = np.flatnonzero(good)[np.argsort(intervals[good, 0], kind="stable")]
    problem = f"{np.sum(~good)} without start or end" if not good.all() else ""
    if len(order) == 0:
        return {}, "none"
    trials = Table(
        start=intervals[order, 0],
        end=intervals[order, 1],
        columns={name: values[order] for name, values in kept.items()},
    )
    return {"trials": trials}, problem


def _read_licks(session: Path, files: Mapping[str, str]) -> tuple[dict[str, Table], str]:
    if "licks.times" not in files:
        return {}, "no file"
    times = read_array(session / files["licks.times"]).ravel().astype(np.float64)
    times = np.sort(times[np.isfinite(times)])
    return ({"licks": Table(start=times, end=times)}, "") if len(times) else ({}, "none")
