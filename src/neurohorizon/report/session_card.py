"""What the session card shows: one look at a recording before anything is fitted to it.

`neurohorizon.report.session_figure` draws it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.ops.intervals import contains, regular_origins
from neurohorizon.ops.spike_trains import coincidences, refractory_violations, twin_pairs
from neurohorizon.recordings.schema import FloatArray, Recording, Series, Split
from neurohorizon.recordings.validate import REFRACTORY_S

NUM_RATE_BINS = 300
RASTER_SPIKES = 2500
RASTER_LENGTHS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)


@dataclass(frozen=True)
class SessionCard:
    """What the session card shows.

    Parameters
    ----------
    name, summary : str
        Whose session this is, and what it holds.
    domain : (K, 2) array
        Seconds.
    split : Split or None
    rate_times_s : (T,) array
        Centres of the bins of `population_hz`.
    population_hz : (T,) array
        Mean rate a unit, sorted units only; NaN where nothing was recorded.
    rate_hz, violations : (N,) array
        Mean rate, and share of intervals below the refractory period, of each unit.
    twin, unsorted : (N,) bool array
        Units that are nearly another's train; units that hold unsorted activity.
    raster_span_s : (float, float)
        The stretch whose spikes are shown.
    raster_times_s, raster_row : (S,) array
        Its spikes, and the row of each: units by area, then by rate.
    row_area : (N,) str array
        Area of each row.
    row_unsorted : (N,) bool array
        Rows of unsorted activity, shown in grey.
    position_um : (N, 3) array
        NaN where unknown.
    series_name : str
        The behaviour shown; "" if there is none.
    series : Series or None
    """

    name: str
    summary: str
    domain: FloatArray
    split: Split | None
    rate_times_s: FloatArray
    population_hz: FloatArray
    rate_hz: FloatArray
    violations: FloatArray
    twin: NDArray[np.bool_]
    unsorted: NDArray[np.bool_]
    raster_span_s: tuple[float, float]
    raster_times_s: FloatArray
    raster_row: NDArray[np.integer[Any]]
    row_area: NDArray[np.str_]
    row_unsorted: NDArray[np.bool_]
    position_um: FloatArray
    series_name: str
    series: Series | None


def compute_session_card(recording: Recording) -> SessionCard:
    """Work out what the session card of a recording shows.

    Parameters
    ----------
    recording : Recording
        With at least one spike.

    Raises
    ------
    DataError
        If there is nothing to show.
    """
    if len(recording.spike_times) == 0 or recording.duration_s <= 0:
        raise DataError(f"{recording.id}: no spikes in a domain, so there is nothing to show")
    times, unit_index = recording.spike_times, recording.spike_unit_index
    num_units = recording.num_units
    num_spikes = np.bincount(unit_index, minlength=num_units)
    unsorted = recording.units.quality == "unsorted"
    matched, _ = coincidences(times, unit_index, num_units=num_units)
    twin = np.zeros(num_units, dtype=bool)
    for pair in twin_pairs(matched, num_spikes):
        twin[list(pair)] = True
    rate_times, population = _population_rate(recording, ~unsorted)
    span = _raster_span(recording, times[~unsorted[unit_index]])
    spikes, units = recording.between(*span)
    order = np.lexsort((recording.rate_hz, recording.units.area))
    row = np.empty(num_units, dtype=np.int64)
    row[order] = np.arange(num_units)
    name = min(recording.series, default="")
    return SessionCard(
        name=recording.id,
        summary=_summary(recording),
        domain=recording.domain,
        split=recording.split,
        rate_times_s=rate_times,
        population_hz=population,
        rate_hz=recording.rate_hz,
        violations=refractory_violations(
            times, unit_index, num_units=num_units, refractory_s=REFRACTORY_S
        ),
        twin=twin,
        unsorted=unsorted,
        raster_span_s=span,
        raster_times_s=np.asarray(spikes),
        raster_row=row[units],
        row_area=recording.units.area[order],
        row_unsorted=unsorted[order],
        position_um=recording.units.position_um,
        series_name=name,
        series=recording.series[name] if name else None,
    )


def _summary(recording: Recording) -> str:
    areas = sorted({str(area) for area in recording.units.area if area})
    parts = [
        f"subject {recording.subject}",
        ", ".join(areas[:4]) + (f" and {len(areas) - 4} more areas" if len(areas) > 4 else ""),
        f"{recording.num_units} units",
        f"{len(recording.spike_times):,} spikes",
        f"{recording.duration_s / 60:.1f} min",
        f"embeddings: {', '.join(recording.embeddings)}" if recording.embeddings else "",
    ]
    return "  ·  ".join(part for part in parts if part)


def _population_rate(
    recording: Recording, kept: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    start, end = recording.domain[0, 0], recording.domain[-1, 1]
    edges = np.linspace(start, end, NUM_RATE_BINS + 1)
    times = recording.spike_times[kept[recording.spike_unit_index]]
    counts = np.histogram(times, edges)[0]
    centres = (edges[1:] + edges[:-1]) / 2
    rate = counts / np.diff(edges) / max(kept.sum(), 1)
    return centres, np.where(contains(recording.domain, centres), rate, np.nan)


def _raster_span(recording: Recording, times: FloatArray) -> tuple[float, float]:
    """Choose a stretch that shows a few thousand spikes of a lively but usual moment."""
    wanted = RASTER_SPIKES / max(len(times) / recording.duration_s, 1e-9)
    longest = float(np.max(recording.domain[:, 1] - recording.domain[:, 0]))
    fitting = [length for length in RASTER_LENGTHS_S if length <= min(wanted, longest)]
    length = fitting[-1] if fitting else min(RASTER_LENGTHS_S[0], longest)
    starts = regular_origins(recording.domain, step_s=length, before_s=0.0, after_s=length)
    if len(starts) == 0:
        return float(recording.domain[0, 0]), float(recording.domain[0, 0]) + length
    counts = count_in_windows(
        times,
        np.zeros(len(times), dtype=np.int64),
        num_units=1,
        starts_s=starts,
        bin_s=length,
        num_bins=1,
    ).ravel()
    lively = int(np.argsort(counts, kind="stable")[int(0.9 * (len(counts) - 1))])
    return float(starts[lively]), float(starts[lively]) + length
