"""The reference features of recordings: in their files, and as a table for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, TextIO

import numpy as np

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import as_intervals, subtract, total_s
from neurohorizon.recordings.reference import compact_spikes
from neurohorizon.recordings.reference_features import (
    AUTOCORRELOGRAM_EDGES_S,
    FANO_BIN_S,
    ISI_EDGES_S,
    FeatureScaler,
    reference_features,
    skewed_reference_features,
)
from neurohorizon.recordings.reference_pool import SHORTEST_REFERENCE_S, last_stretch
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.splits import PARTS

UNIT_COLUMNS = ("recording", "unit", "area", "reference_s")
FEATURES, FEATURES_S = "reference_features", "reference_features_s"


def feature_names() -> tuple[str, ...]:
    """Return the names of the 33 reference features, in their order.

    Examples
    --------
    >>> names = feature_names()
    >>> len(names), names[0], names[2], names[-1]
    (33, 'rate_hz', 'isi_share_1_to_1.58_ms', 'fano_1_s')
    """

    def ranges(prefix: str, edges_s: FloatArray) -> list[str]:
        edges = [f"{1000 * edge:.3g}" for edge in edges_s]
        return [f"{prefix}_{low}_to_{high}_ms" for low, high in pairwise(edges)]

    return (
        "rate_hz",
        "isi_cv",
        *ranges("isi_share", ISI_EDGES_S),
        *ranges("autocorrelogram", AUTOCORRELOGRAM_EDGES_S),
        f"fano_{FANO_BIN_S:g}_s",
    )


def reference_stretch(recording: Recording, reference_s: float) -> FloatArray:
    """Return the stretch from which a new recording's units would be known.

    Parameters
    ----------
    recording : Recording
    reference_s : float
        Seconds wanted; less where there are not as many.

    Returns
    -------
    (K, 2) array
        The last seconds before the test domain or, without a split, the first seconds.

    Raises
    ------
    ConfigError
        If fewer seconds are wanted than identify a unit.
    DataError
        If nothing lies before the test domain.
    """
    if not reference_s >= SHORTEST_REFERENCE_S:
        raise ConfigError(
            f"a reference of {reference_s:g} s: expected at least {SHORTEST_REFERENCE_S:g} s"
        )
    if recording.split is None or len(recording.split.test) == 0:
        excess_s = max(recording.duration_s - reference_s, 0.0)
        return subtract(recording.domain, last_stretch(recording.domain, excess_s))
    readable = subtract(recording.domain, recording.split.test)
    if not recording.split.interleaved:
        later = as_intervals(np.array([[recording.split.test[0, 0], np.inf]]))
        readable = subtract(readable, later)
    if total_s(readable) <= 0:
        raise DataError(
            f"{recording.id}: nothing lies before the test domain to read a reference from: "
            "split it again"
        )
    return last_stretch(readable, reference_s)


def stretch_features(recording: Recording, *, reference_s: float) -> tuple[FloatArray, float]:
    """Return the raw features of a recording's units, (N, 33), and the seconds that were read."""
    if len(recording.spike_times) == 0:
        raise DataError(f"{recording.id}: no spikes, so there are no features: leave it out")
    stretch = reference_stretch(recording, reference_s)
    read_s = total_s(stretch)
    times, unit = compact_spikes(recording, stretch)
    features = reference_features(
        times, unit, num_units=recording.num_units, start_s=0.0, end_s=read_s
    )
    return features, read_s


def with_features(recording: Recording, *, reference_s: float) -> Recording:
    """Return a recording whose units carry their raw reference features.

    Parameters
    ----------
    recording : Recording
    reference_s : float
        Seconds to read.

    Returns
    -------
    Recording
        With the column ``reference_features`` of its units, (N, 33), in the order of
        `feature_names`, and the seconds that were read in its metadata under
        ``reference_features_s``.

    Raises
    ------
    ConfigError
        If fewer seconds are wanted than identify a unit.
    DataError
        If there are no spikes, or nothing lies before the test domain.
    """
    features, read_s = stretch_features(recording, reference_s=reference_s)
    units = replace(recording.units, columns={**recording.units.columns, FEATURES: features})
    metadata = {**recording.metadata, FEATURES_S: f"{read_s:g}"}
    return replace(recording, units=units, metadata=metadata)


def feature_rows(recording: Recording, *, reference_s: float) -> Iterator[list[str | float]]:
    """Yield one row a unit: recording, unit, area, seconds read, and the 33 features."""
    features, read_s = stretch_features(recording, reference_s=reference_s)
    units = recording.units
    for unit_id, area, values in zip(units.id, units.area, features, strict=True):
        rounded = [float(f"{value:.6g}") for value in values]
        yield [recording.id, str(unit_id), str(area), round(read_s, 3), *rounded]


def write_feature_table(
    recordings: Iterable[Recording], file: TextIO, *, reference_s: float
) -> int:
    """Write the features of all units of some recordings as CSV; return how many units."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*UNIT_COLUMNS, *feature_names()])
    num_units = 0
    for recording in recordings:
        for row in feature_rows(recording, reference_s=reference_s):
            writer.writerow(row)
            num_units += 1
    return num_units


def feature_statistics(recordings: Iterable[Recording], *, reference_s: float) -> dict[str, Any]:
    """Return mean and deviation of each feature over the units of training recordings.

    Parameters
    ----------
    recordings : iterable of Recording
        Read one at a time, in one pass.
    reference_s : float
        Seconds to read of each.

    Returns
    -------
    dict
        As JSON can hold it: which recordings, how each of them is split, seconds, and by
        feature whether its logarithm is meant, its mean and its standard deviation.
    """
    split: dict[str, Any] = {}
    num_units = 0

    def batches() -> Iterator[FloatArray]:
        nonlocal num_units
        for recording in recordings:
            features, read_s = stretch_features(recording, reference_s=reference_s)
            parts = recording.split
            split[recording.id] = {
                "units": recording.num_units,
                "seconds_read": round(read_s, 3),
                **({name: parts.domain(name).tolist() for name in PARTS} if parts else {}),
            }
            num_units += recording.num_units
            yield features

    scaler = FeatureScaler.fit_in_one_pass(batches(), log=skewed_reference_features())
    columns = zip(feature_names(), scaler.log, scaler.mean, scaler.scale, strict=True)
    return {
        "reference_s": reference_s,
        "num_recordings": len(split),
        "num_units": num_units,
        "features": [
            {"name": name, "log": bool(log), "mean": float(mean), "deviation": float(scale)}
            for name, log, mean, scale in columns
        ],
        "recordings": split,
    }
