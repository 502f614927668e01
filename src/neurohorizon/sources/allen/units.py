"""Units of the Allen Institute's NWB files, read with h5py: which pass, where, and their spikes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.blocks import blocks
from neurohorizon.recordings.schema import FloatArray, IntArray, Units
from neurohorizon.recordings.spike_spool import SpikeSpool
from neurohorizon.sources.allen.tables import H5, column

ELECTRODES = "general/extracellular_ephys/electrodes"
# What AllenSDK takes for "outside of the brain, or nobody knows".
NO_AREA = ("", "None", "nan", "null")
# The numbers per unit of AllenSDK's table of units (its ecephys warehouse query), under the names
# that the session files give them: quality metrics, then the mean waveform at the peak channel.
METRICS = (
    "firing_rate",
    "snr",
    "isi_violations",
    "presence_ratio",
    "amplitude_cutoff",
    "isolation_distance",
    "l_ratio",
    "d_prime",
    "nn_hit_rate",
    "nn_miss_rate",
    "silhouette_score",
    "max_drift",
    "cumulative_drift",
    "amplitude",
    "waveform_duration",
    "waveform_halfwidth",
    "PT_ratio",
    "recovery_slope",
    "repolarization_slope",
    "spread",
    "velocity_above",
    "velocity_below",
)


def electrode_of_units(file: H5, path: Path | str) -> NDArray[np.int64]:
    """Return the row of each unit's electrode, -1 where the file has none for it."""
    channel = _required(file, path, "units/peak_channel_id")
    number = _required(file, path, f"{ELECTRODES}/id")
    row = {int(one): index for index, one in enumerate(number)}
    return np.array([row.get(int(one), -1) for one in channel], dtype=np.int64)


def _required(file: H5, path: Path | str, name: str) -> NDArray[np.generic]:
    values = column(file, name)
    if values is None:
        raise DataError(f"{path}: no {name}: not a session's file of Visual Coding Neuropixels")
    return values


def passing(
    file: H5,
    path: Path | str,
    electrode: NDArray[np.int64],
    limits: dict[str, float],
    quality: str,
    out_of_brain: bool,
) -> tuple[NDArray[np.int64], str]:
    """Return the rows of the units that pass, and what they passed in words."""
    keep = np.ones(len(electrode), dtype=bool)
    words = []
    if quality:
        keep &= _required(file, path, "units/quality") == quality
        valid = column(file, f"{ELECTRODES}/valid_data")
        if valid is not None:
            keep &= np.where(electrode >= 0, valid.astype(bool)[electrode], False)
        words.append(f"quality {quality}")
    for name, limit in limits.items():
        least = name == "presence_ratio"
        if limit <= 0 if least else limit == np.inf:
            continue
        values = np.asarray(_required(file, path, f"units/{name}"), dtype=np.float64)
        keep &= values >= limit if least else values <= limit
        words.append(f"{name} {'>=' if least else '<='} {limit:g}")
    if not out_of_brain:
        keep &= ~np.isin(_areas(file, electrode), NO_AREA)
        words.append("in the brain")
    kept = np.flatnonzero(keep)
    if len(kept) == 0:
        raise DataError(
            f"{path}: none of {len(electrode)} units passes ({', '.join(words)}); loosen the "
            "settings"
        )
    return kept, ", ".join(words) or "none"


def _areas(file: H5, electrode: NDArray[np.int64]) -> NDArray[np.str_]:
    location = column(file, f"{ELECTRODES}/location")
    if location is None:
        return np.full(len(electrode), "", dtype=np.str_)
    area = np.where(electrode >= 0, location.astype(np.str_)[electrode], "")
    return np.where(np.isin(area, NO_AREA), "", area)


def read_spikes(file: H5, kept: NDArray[np.int64]) -> tuple[FloatArray, IntArray, int]:
    """Read the spikes of these units alone: (times, units, number dropped)."""
    units = file["units"]
    ends = np.asarray(units["spike_times_index"][:], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    row = np.full(len(ends), -1)
    row[kept] = np.arange(len(kept))
    # Units side by side lie side by side in the file: few reads for each such run.
    runs = np.split(kept, np.flatnonzero(np.diff(kept) != 1) + 1)
    spool, num_dropped = SpikeSpool(), 0
    for run in runs:
        first, last = int(starts[run[0]]), int(ends[run[-1]])
        for rows in blocks(last - first):
            place = np.arange(first + rows.start, first + rows.stop)
            times = np.asarray(units["spike_times"][place[0] : place[-1] + 1], dtype=np.float64)
            usable = np.isfinite(times) & (times >= 0)
            unit = np.searchsorted(ends, place[usable], side="right")
            spool.add(times[usable], row[unit])
            num_dropped += len(times) - int(usable.sum())
    return *spool.sorted(), num_dropped


def read_units(file: H5, kept: NDArray[np.int64], electrode: NDArray[np.int64]) -> Units:
    """Return who they are; `electrode` is of the units that are kept.

    `METRICS` that the file has become columns, as they stand in it.
    """
    number = file["units/id"][:][kept]
    quality = column(file, "units/quality")
    position = np.full((len(kept), 3), np.nan)
    for axis, name in enumerate("xyz"):
        values = column(file, f"{ELECTRODES}/{name}")
        if values is not None:
            one = np.asarray(values, dtype=np.float64)[electrode]
            # Channels that were not found in the atlas carry -1 or nothing.
            position[:, axis] = np.where((electrode >= 0) & (one > 0), one, np.nan)
    return Units(
        id=np.array([f"unit_{one}" for one in number], dtype=np.str_),
        area=_areas(file, electrode).astype(np.str_),
        position_um=position,
        quality=np.full(len(kept), "", dtype=np.str_)
        if quality is None
        else quality[kept].astype(np.str_),
        columns=_metrics(file, kept),
    )


def _metrics(file: H5, kept: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    num_units = file["units/id"].shape[0]
    columns = {}
    for name in METRICS:
        # Looked at before it is read: of a remote file, only what is small is fetched.
        dataset = file.get(f"units/{name}")
        if getattr(dataset, "shape", None) == (num_units,) and dataset.dtype.kind in "biuf":
            columns[name] = dataset[:][kept]
    return columns
