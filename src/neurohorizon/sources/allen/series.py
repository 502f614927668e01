"""Running and pupil of the Allen Institute's NWB files, read with h5py."""

from __future__ import annotations

import numpy as np

from neurohorizon.recordings.schema import FloatArray, Series
from neurohorizon.sources.allen.tables import H5

RUNNING = "processing/running"
PUPIL = "processing/eye_tracking/pupil_ellipse_fits"
# The first that is there: the filtered mapping lacks the outliers of the raw one.
GAZE = ("processing/filtered_gaze_mapping", "processing/raw_gaze_mapping")


def read_series(file: H5, left_out: list[str]) -> dict[str, Series]:
    """Return what the file tells of running and of the eye.

    Parameters
    ----------
    file : h5py.File
    left_out : list of str
        What could not be used is added, with the reason.

    Returns
    -------
    dict of str to Series
        ``running_speed`` (cm/s) and ``running_wheel_rotation`` (radians), at the middle of the
        interval that each value is of; ``pupil_area`` (pixels squared) and ``gaze`` (degrees
        on the screen: x, y), or ``pupil_area`` from the ellipses alone.
    """
    found = {
        "running_speed": _running(file, "running_speed", "cm/s"),
        "running_wheel_rotation": _running(file, "running_wheel_rotation", "radians"),
        **_eye(file),
    }
    usable = {}
    for name, series in found.items():
        if series is None:
            continue
        times, values = series.timestamps, series.values
        if times.shape != values.shape[:1] or len(times) == 0 or not np.isfinite(times).all():
            left_out.append(f"{name} (its times do not fit its values)")
            continue
        order = np.argsort(times, kind="stable")
        usable[name] = Series(times[order], values[order], series.unit)
    return usable


def _running(file: H5, name: str, unit: str) -> Series | None:
    if f"{RUNNING}/{name}/data" not in file:
        return None
    values = _values(file, f"{RUNNING}/{name}")
    times = _times(file, f"{RUNNING}/{name}")
    end = f"{RUNNING}/running_speed_end_times"
    if times.ndim == 2 and 2 in times.shape:
        # The first files: starts and ends as two rows (or columns).
        times = times.mean(axis=0 if times.shape[0] == 2 else 1)
    elif f"{end}/timestamps" in file:
        ends = _times(file, end)
        if ends.shape == times.shape:
            times = (times + ends) / 2
    said = file[f"{RUNNING}/{name}/data"].attrs.get("unit", "")
    return Series(times, values, str(said) or unit)


def _eye(file: H5) -> dict[str, Series]:
    for place in GAZE:
        if f"{place}/pupil_area/data" not in file:
            continue
        area = f"{place}/pupil_area"
        found = {"pupil_area": Series(_times(file, area), _values(file, area), "px^2")}
        gaze = f"{place}/screen_coordinates_spherical"
        if f"{gaze}/data" in file:
            # Columns are (y, x) in the file.
            found["gaze"] = Series(_times(file, gaze), _values(file, gaze)[:, ::-1], "deg")
        return found
    fits = [f"{PUPIL}/{name}" for name in ("timestamps", "width", "height")]
    if all(name in file for name in fits):
        times, width, height = (np.asarray(file[name][:], dtype=np.float64) for name in fits)
        # The format stores half-axes.
        return {"pupil_area": Series(times, (np.pi * width * height)[:, None], "px^2")}
    return {}


def _times(file: H5, place: str) -> FloatArray:
    if f"{place}/timestamps" not in file:
        return np.empty(0)
    return np.asarray(file[f"{place}/timestamps"][:], dtype=np.float64)


def _values(file: H5, place: str) -> FloatArray:
    data = file[f"{place}/data"]
    values = np.asarray(data[:], dtype=np.float64)
    values = values * float(data.attrs.get("conversion", 1.0))
    return values.reshape(len(values), -1)
