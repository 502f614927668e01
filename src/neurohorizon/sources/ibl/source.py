"""The International Brain Laboratory's brain-wide map: mice deciding, brain-wide.

Neuropixels recordings of 12 laboratories in one task, read from ALF files in ONE's layout,
``laboratory/Subjects/subject/date/number/alf/...``. Both probes of a session are on one clock,
the behaviour's, so their units become one population.

ONE-api alone is needed. A unit's place is looked up as the laboratory's own loader does it:
by its channel, where histology put the electrode (``electrodeSites``, else ``channels``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.blocks import blocks
from neurohorizon.ops.intervals import contains, intersect
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording, Table, Units
from neurohorizon.recordings.spike_spool import SpikeSpool
from neurohorizon.sources.ibl.behaviour import read_behaviour
from neurohorizon.sources.ibl.files import (
    LOCATIONS,
    cluster_metrics,
    map_array,
    read_array,
    read_regions,
    read_table,
    require_one,
    session_files,
)
from neurohorizon.sources.ibl.sessions import download, list_sessions, measure, session_id
from neurohorizon.sources.naming import to_ascii, to_name, whole_seconds_around
from neurohorizon.sources.source import Setting, Source

NAME = "ibl"
# The ontology's ids of what is no area: outside the brain, and nowhere in particular.
NO_AREA = {0: "void", 997: "root"}
IDS, ACRONYMS, CCF = LOCATIONS
ALONG_PROBE = "localCoordinates"


@dataclass(frozen=True)
class _Probe:
    """One probe: its spikes on disk, and what is known of each cluster (C rows)."""

    name: str
    times: FloatArray
    clusters: IntArray
    span: FloatArray
    num_spikes: IntArray
    label: FloatArray
    area: NDArray[np.str_]
    ccf_um: FloatArray
    along_um: FloatArray
    area_from: str
    num_dropped: int
    metrics: Mapping[str, FloatArray]


def find_files(path: Path) -> list[Path]:
    """Return the sessions' folders below a folder: ``date/number`` with an ``alf`` folder."""
    folders = [alf.parent for alf in path.absolute().rglob("alf") if alf.is_dir()]
    return sorted(folder for folder in folders if _is_session(folder))


def convert(
    path: Path,
    *,
    label: float = 1.0,
    min_rate_hz: float = 0.1,
    min_units: int = 10,
    task_only: bool = False,
) -> Recording:
    """Read one session: all its probes as one population.

    Parameters
    ----------
    path : Path
        The session's folder, ``.../subject/date/number``.
    label : float
        Least quality of a unit: the share of the laboratory's three criteria that it meets.
        0 takes all clusters, multi-unit activity included.
    min_rate_hz : float
        Least mean rate of a unit.
    min_units : int
        A session with fewer units is refused.
    task_only : bool
        End with the last trial: what follows is passive stimulation.

    Raises
    ------
    DataError
        If there are no sorted spikes, too few good units, or a file is damaged.
    MissingExtraError
        If ONE-api is not installed.
    """
    require_one("read IBL sessions")
    path = path.absolute()
    if not _is_session(path) or not path.is_dir():
        raise DataError(f"{path}: expected a session's folder, .../subject/2020-01-31/001")
    files = session_files(path)
    if not files.probes:
        raise DataError(
            f"{path}: no sorted spikes here; expected "
            "alf/probe00/pykilosort/spikes.times.npy and spikes.clusters.npy"
        )
    regions = read_regions(path)
    probes = [
        _read_probe(path, name, found, regions=regions) for name, found in files.probes.items()
    ]
    probes = _with_all_metrics(probes)
    series, tables, left_out = read_behaviour(path, files.behaviour)
    if num_dropped := sum(probe.num_dropped for probe in probes):
        left_out.append(f"{num_dropped} spikes before 0 or without a time")
    domain = _domain(path, probes, tables.get("trials") if task_only else None, task_only)
    ccf = all(np.isfinite(probe.ccf_um).any() for probe in probes)
    chosen = [
        _choose(probe, domain, label=label, min_rate_hz=min_rate_hz, path=path) for probe in probes
    ]
    num_units = sum(len(clusters) for clusters in chosen)
    if num_units < max(min_units, 1):
        num_clusters = sum(np.count_nonzero(probe.num_spikes) for probe in probes)
        raise DataError(
            f"{path}: {num_units} of {num_clusters} clusters have label >= {label:g} and at "
            f"least {min_rate_hz:g} Hz, fewer than min_units={min_units}; leave the session out "
            "or ask for less"
        )
    pairs = list(zip(probes, chosen, strict=True))
    units = Units.concatenate([_units(probe, clusters, ccf=ccf) for probe, clusters in pairs])
    times, unit_index = _merge(pairs, domain)
    laboratory, subject, date, number = _place(path)
    metadata = {
        "laboratory": laboratory,
        "species": "Mus musculus",
        "task": "visual decision with a wheel (IBL task)",
        "preparation": "Neuropixels, head-fixed",
        "date": date,
        "spike_sorting": ", ".join(f"{name}: {word}" for name, word in files.sortings.items()),
        "area_from": ", ".join(f"{probe.name}: {probe.area_from}" for probe in probes),
        "position_um": (
            "Allen CCF: mediolateral, anteroposterior, dorsoventral from bregma"
            if ccf
            else "along the probe: lateral, axial from the tip"
        ),
        "left_out": to_ascii("; ".join(left_out)),
        "licence": SOURCE.licence,
        "citation": SOURCE.citation,
        "homepage": SOURCE.homepage,
    }
    return Recording(
        id=session_id(subject, date, int(number)),
        subject=to_name(subject),
        source=NAME,
        spike_times=times,
        spike_unit_index=unit_index,
        units=units,
        domain=domain,
        series=series,
        tables=tables,
        metadata={key: value for key, value in metadata.items() if value},
    )


def _is_session(path: Path) -> bool:
    date = re.fullmatch(r"\d{4}-\d{2}-\d{2}", path.parent.name)
    return bool(date and re.fullmatch(r"\d{1,3}", path.name))


def _place(path: Path) -> tuple[str, str, str, str]:
    """Return laboratory ("" if the folders do not tell), subject, date and number."""
    number, date, subject = path.name, path.parent.name, path.parent.parent.name
    above = path.parent.parent.parent
    return above.parent.name if above.name == "Subjects" else "", subject, date, number


def _read_probe(
    session: Path, name: str, files: dict[str, str], *, regions: dict[int, str]
) -> _Probe:
    times = map_array(session / files["spikes.times"]).ravel()
    clusters = map_array(session / files["spikes.clusters"]).ravel()
    if len(times) != len(clusters):
        raise DataError(
            f"{session / files['spikes.times']}: {len(times)} spike times, but {len(clusters)} "
            "cluster numbers; download the session again"
        )
    num_spikes, spans = np.zeros(0, dtype=np.int64), []
    for some_times, some_clusters in _blocks(times, clusters):
        if some_clusters.min() < 0:
            raise DataError(f"{session / files['spikes.times']}: no spikes of numbered clusters")
        count = np.bincount(some_clusters, minlength=len(num_spikes))
        count[: len(num_spikes)] += num_spikes
        num_spikes = count
        spans.append([some_times.min(), some_times.max()])
    if not spans:
        raise DataError(f"{session / files['spikes.times']}: no spikes of numbered clusters")
    channels = None
    if "clusters.channels" in files:
        channels = read_array(session / files["clusters.channels"]).ravel().astype(np.int64)
    num_clusters = max(len(num_spikes), 0 if channels is None else len(channels))
    metrics: dict[str, FloatArray] = {}
    if "clusters.metrics" in files:
        metrics = cluster_metrics(read_table(session / files["clusters.metrics"]), num_clusters)

    def of_clusters(attribute: str) -> NDArray[Any] | None:
        """Return a property of each cluster's place, as far as the files tell."""
        for kind in ("electrodeSites", "channels", "clusters"):
            if f"{kind}.{attribute}" not in files or (kind != "clusters" and channels is None):
                continue
            values = read_array(session / files[f"{kind}.{attribute}"])
            rows = np.arange(num_clusters) if kind == "clusters" else channels
            if rows is not None and len(rows) == num_clusters and rows.max() < len(values):
                return values[rows]
        return None

    area, area_from = _areas(of_clusters(IDS), of_clusters(ACRONYMS), regions, num_clusters)
    return _Probe(
        name=name,
        times=times,
        clusters=clusters,
        span=np.array([np.min(spans), np.max(spans)]),
        num_spikes=num_spikes,
        label=metrics.get("label", np.full(num_clusters, np.nan)),
        area=area,
        ccf_um=_position(of_clusters(CCF), num_clusters),
        along_um=_position(of_clusters(ALONG_PROBE), num_clusters),
        area_from=area_from,
        num_dropped=len(times) - int(num_spikes.sum()),
        metrics=metrics,
    )


def _with_all_metrics(probes: Sequence[_Probe]) -> list[_Probe]:
    """Return the probes with the metrics of any of them, NaN where one has none."""
    names = sorted({name for probe in probes for name in probe.metrics})
    return [
        replace(
            probe,
            metrics={
                name: probe.metrics.get(name, np.full(len(probe.label), np.nan)) for name in names
            },
        )
        for probe in probes
    ]


def _areas(
    ids: NDArray[Any] | None,
    acronyms: NDArray[Any] | None,
    regions: dict[int, str],
    num_clusters: int,
) -> tuple[NDArray[np.str_], str]:
    """Return each cluster's area, and where its name comes from."""
    if ids is not None and (regions or acronyms is None):
        # A negative id is the left hemisphere in some files.
        numbers = np.abs(ids.ravel().astype(np.int64)).tolist()
        names = [NO_AREA.get(n) or regions.get(n) or f"ccf_{n}" for n in numbers]
        origin = "names of ids" if regions else "ids without names"
        return np.array([to_ascii(name) for name in names], dtype=np.str_), origin
    if acronyms is not None:
        return np.array([to_ascii(str(name)) for name in acronyms], dtype=np.str_), "acronyms"
    return np.full(num_clusters, "", dtype=np.str_), "not known"


def _position(values: NDArray[Any] | None, num_clusters: int) -> FloatArray:
    position_um = np.full((num_clusters, 3), np.nan)
    if values is not None:
        position_um[:, : values.shape[1]] = values
    return position_um


def _domain(
    path: Path, probes: Sequence[_Probe], trials: Table | None, task_only: bool
) -> FloatArray:
    """Return when all probes recorded, in whole seconds; of the task alone if asked."""
    domain = whole_seconds_around(probes[0].span)
    for probe in probes[1:]:
        domain = intersect(domain, whole_seconds_around(probe.span))
    if task_only:
        if trials is None:
            raise DataError(f"{path}: no trials, so task_only has nothing to keep")
        last = float(np.ceil(trials.end.max()))
        domain = intersect(domain, np.array([[np.floor(trials.start[0]), last]]))
    if len(domain) == 0:
        raise DataError(f"{path}: probes and trials share no time; their clocks do not fit")
    return domain


def _blocks(times: FloatArray, clusters: IntArray) -> Iterator[tuple[FloatArray, IntArray]]:
    """Yield times and clusters of the spikes that have a usable time, a block at a time."""
    for rows in blocks(len(times)):
        some = np.asarray(times[rows], dtype=np.float64)
        # Aligning clocks can put the first spikes before 0, where no recording starts.
        good = np.isfinite(some) & (some >= 0)
        if good.any():
            yield some[good], np.asarray(clusters[rows])[good].astype(np.int64)


def _choose(
    probe: _Probe, domain: FloatArray, *, label: float, min_rate_hz: float, path: Path
) -> IntArray:
    """Return the numbers of a probe's good clusters."""
    if label > 0 and not np.isfinite(probe.label).any():
        raise DataError(
            f"{path}: {probe.name} has no clusters.metrics with a label; give label=0 to take "
            "all clusters"
        )
    count = np.zeros(len(probe.label), dtype=np.int64)
    for times, clusters in _blocks(probe.times, probe.clusters):
        count += np.bincount(clusters[contains(domain, times)], minlength=len(count))
    good = (count > 0) & (count >= min_rate_hz * np.sum(domain[:, 1] - domain[:, 0]))
    if label > 0:
        good &= np.nan_to_num(probe.label, nan=-1.0) >= label
    return np.flatnonzero(good)


def _units(probe: _Probe, chosen: IntArray, *, ccf: bool) -> Units:
    position = probe.ccf_um if ccf else probe.along_um
    words = [f"{value:.2f}" if np.isfinite(value) else "" for value in probe.label[chosen]]
    return Units(
        id=np.array([f"{to_name(probe.name)}_cluster{number}" for number in chosen], np.str_),
        area=probe.area[chosen],
        position_um=position[chosen],
        quality=np.array(words, dtype=np.str_),
        columns={name: values[chosen] for name, values in probe.metrics.items()},
    )


def _merge(
    probes: Sequence[tuple[_Probe, IntArray]], domain: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Return times and units of the good clusters' spikes within the domain, all probes."""
    spool, num_before = SpikeSpool(), 0
    for probe, chosen in probes:
        unit = np.full(len(probe.label), -1)
        unit[chosen] = num_before + np.arange(len(chosen))
        for times, clusters in _blocks(probe.times, probe.clusters):
            kept = contains(domain, times) & (unit[clusters] >= 0)
            spool.add(times[kept], unit[clusters[kept]])
        num_before += len(chosen)
    return spool.sorted()


SOURCE = Source(
    name=NAME,
    title="IBL brain-wide map: mice in a visual decision task, Neuropixels",
    find_files=find_files,
    convert=convert,
    list_sessions=list_sessions,
    download=download,
    measure=measure,
    query_settings={
        "project": Setting("brainwide", "part of the project's name"),
        "task_protocol": Setting("ephysChoiceWorld", "part of the task protocol's name"),
        "laboratory": Setting("", "one laboratory, for example churchlandlab; empty: all"),
        "subject": Setting("", "one mouse, for example KS023; empty: all"),
    },
    convert_settings={
        "label": Setting(1.0, "least share of the three quality criteria; 0 takes all clusters"),
        "min_rate_hz": Setting(0.1, "least mean rate of a unit, in Hz"),
        "min_units": Setting(10, "sessions with fewer units are refused"),
        "task_only": Setting(False, "end with the last trial, without passive stimulation"),
    },
    licence="CC-BY-4.0",
    citation=(
        "International Brain Laboratory et al. (2025). A brain-wide map of neural activity during "
        "complex behaviour. Nature 645, 177-191. doi:10.1038/s41586-025-09235-0"
    ),
    homepage="https://docs.internationalbrainlab.org/notebooks_external/"
    "2025_data_release_brainwidemap.html",
    num_recordings=459,
    notes=(
        "459 sessions, 699 probe insertions, 139 mice, 12 laboratories are the published map. "
        "The project on the server holds some more, which did not pass its quality control.",
        "Good units have label 1: 75,708 of 621,733. Lower labels are mostly multi-unit activity.",
        "Spikes of a session go on after its last trial, through passive stimulation "
        "(task_only=true leaves it out).",
        "The wheel is filtered forwards and backwards: its velocity knows the next 0.1 s, so it "
        "may be a target, never an input at the forecast's origin.",
        "Two sessions of one mouse are not independent: hold out by subject, stratified by "
        "laboratory. A session's activity also carries its laboratory.",
        "One cut in time measures drift: decode the wheel with an interleaved split.",
        "Sessions were sorted again over the years; the newest sorting is read and named in the "
        "metadata (spike_sorting). Numbers of units differ from older papers.",
    ),
)
