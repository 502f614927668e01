"""Turning a recording into torch_brain's ``Data``; `store` is the public door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.embeddings import ShownImages, shown_problem
from neurohorizon.recordings.hdf5_read import (
    DESCRIPTIONS,
    EMBEDDINGS,
    SPLIT_NAMES,
    UNIT_COLUMNS,
)
from neurohorizon.recordings.schema import FloatArray, Recording, Series, Table, Units

if TYPE_CHECKING:
    from torch_brain.data import ArrayDict, Data, Interval

RESERVED = {
    "spikes",
    "units",
    "metadata",
    "series_unit",
    "signals",
    "split",
    EMBEDDINGS,
    *DESCRIPTIONS,
    *(f"{name}_domain" for name in SPLIT_NAMES),
}


def to_torch_brain(recording: Recording) -> Data:
    """Make torch_brain's ``Data`` of a recording.

    Raises
    ------
    DataError
        If something in it has no place in the format: an empty domain, an empty or
        non-ASCII id, a name that the format needs for itself, series of one group on
        different clocks, a table column that is neither numbers nor text, or embeddings
        that do not fit together.
    """
    from torch_brain.data import (
        BrainsetDescription,
        Data,
        Interval,
        IrregularTimeSeries,
        SessionDescription,
        SubjectDescription,
    )

    where = recording.id or "recording"
    for word, value in (
        ("session id", recording.id),
        ("subject", recording.subject),
        ("source", recording.source),
    ):
        if not value:
            raise DataError(f"{where}: the {word} is empty; give it a name")
        _require_ascii([value], where, word)
    if len(recording.domain) == 0:
        raise DataError(f"{where}: the domain is empty: say when the recording ran")
    _require_free_names(where, recording)

    domain = _interval(recording.domain)
    metadata = recording.metadata
    children: dict[str, Any] = {
        "brainset": BrainsetDescription(
            id=recording.source,
            origin_version=metadata.get("origin_version") or "unversioned",
            derived_version="1",
            source=metadata.get("homepage") or recording.source,
            description=metadata.get("citation") or recording.source,
        ),
        "subject": SubjectDescription(
            id=recording.subject,
            species=metadata.get("species"),
            sex=metadata.get("sex"),
        ),
        "session": SessionDescription(id=recording.id),
        "metadata": _attributes(metadata),
        "units": _units(recording.units, where),
    }
    if len(recording.spike_times) or not recording.signals:
        spikes = IrregularTimeSeries(np.empty(0), unit_index=np.empty(0, int), domain=domain)
        # Set past its checks, which copy; `store` has made them, a block at a time.
        vars(spikes)["timestamps"] = np.asarray(recording.spike_times, dtype=np.float64)
        vars(spikes)["unit_index"] = np.asarray(recording.spike_unit_index)
        spikes._sorted = True
        children["spikes"] = spikes
    if recording.split is not None:
        for name in SPLIT_NAMES:
            children[f"{name}_domain"] = _interval(recording.split.domain(name))
        children["split"] = _attributes({"interleaved": recording.split.interleaved})
    if recording.signals:
        _require_unit_columns(recording, where)
        # The name of the group and its one array: what torch_brain's users see as a series.
        children["signals"] = _attributes({"names": ",".join(recording.signals)})
    if every := {**recording.series, **recording.signals}:
        units = {name: series.unit for name, series in every.items()}
        children["series_unit"] = _attributes(units)
        children |= _series_groups(every, where)
    for name, table in recording.tables.items():
        _place(children, name, _table(table, where, name), where)
    if recording.embeddings:
        children[EMBEDDINGS] = _embeddings(recording.embeddings, where, domain)
    return Data(domain=Interval(domain.start, domain.end), **_nest(children, domain))


def _attributes(values: Mapping[str, Any]) -> Data:
    from torch_brain.data import Data

    data = Data()
    for key, value in values.items():
        setattr(data, key, value)
    return data


def _interval(rows: FloatArray) -> Interval:
    from torch_brain.data import Interval

    rows = np.asarray(rows, dtype=np.float64).reshape(-1, 2)
    return Interval(start=rows[:, 0].copy(), end=rows[:, 1].copy())


def _require_ascii(values: Iterable[str], where: str, word: str) -> None:
    for value in values:
        if not str(value).isascii():
            raise DataError(
                f"{where}: {word} {str(value)!r} is not ASCII, which this file format cannot "
                "store; rename it"
            )


def is_taken(name: str) -> bool:
    """Tell whether the format needs this (dotted) name for itself or cannot hold it."""
    parts = name.split(".")
    return parts[0] in RESERVED or not all(parts) or any(_is_attribute(part) for part in parts)


def _is_attribute(name: str) -> bool:
    """Tell whether torch_brain's ``Data`` uses the name for an attribute or a method."""
    from torch_brain.data import Data

    return name.startswith("_") or "/" in name or hasattr(Data, name)


def is_taken_by_units(name: str) -> bool:
    """Tell whether a column of units cannot be called so: `Units` or torch_brain has the name."""
    from torch_brain.data import ArrayDict

    return name in UNIT_COLUMNS or name.startswith("_") or "/" in name or hasattr(ArrayDict, name)


def _require_free_names(where: str, recording: Recording) -> None:
    for word, names in (
        ("series", recording.series),
        ("signal", recording.signals),
        ("table", recording.tables),
    ):
        for name in names:
            _require_ascii([name], where, f"name of {word}")
            if is_taken(name):
                raise DataError(f"{where}: {word} cannot be called {name!r} here; rename it")
    for key in recording.metadata:
        if key in ("object", "absolute_start") or _is_attribute(key):
            raise DataError(f"{where}: metadata cannot be called {key!r} here; rename it")


def _require_unit_columns(recording: Recording, where: str) -> None:
    for name, signal in recording.signals.items():
        if name in recording.series:
            raise DataError(f"{where}: a series and a signal are both called {name!r}; rename one")
        if signal.values.ndim != 2 or signal.values.shape[1] != recording.num_units:
            raise DataError(
                f"{where}: signal {name!r} has shape {signal.values.shape}, expected one column "
                f"for each of {recording.num_units} units"
            )


def _text_column(values: NDArray[np.str_], where: str, word: str) -> NDArray[np.str_]:
    values = np.asarray(values, dtype=np.str_)
    _require_ascii(values.ravel().tolist(), where, word)
    return values


def _column(values: NDArray[Any], where: str, word: str) -> NDArray[Any]:
    if values.dtype.kind in "USO":
        return _text_column(values, where, word)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: column {word} is {values.dtype}: numbers or text")
    return values


def _units(units: Units, where: str) -> ArrayDict:
    from torch_brain.data import ArrayDict

    if len(units) == 0:
        raise DataError(f"{where}: no units, so there is nothing to write")
    made = ArrayDict(
        id=_text_column(units.id, where, "unit id"),
        area=_text_column(units.area, where, "area"),
        position_um=np.asarray(units.position_um, dtype=np.float64),
        quality=_text_column(units.quality, where, "quality"),
    )
    for name, values in units.columns.items():
        values = np.asarray(values)
        if is_taken_by_units(name):
            raise DataError(f"{where}: a column of units cannot be called {name!r} here; rename it")
        if values.ndim not in (1, 2) or len(values) != len(units):
            raise DataError(
                f"{where}: column {name!r} of units has shape {values.shape}, expected one row "
                f"for each of {len(units)} units"
            )
        setattr(made, name, _column(values, where, f"units.{name}"))
    return made


def _series_groups(series: Mapping[str, Series], where: str) -> dict[str, Any]:
    """Gather ``cursor.pos`` and ``cursor.vel`` into one series ``cursor`` of two columns."""
    from torch_brain.data import Interval, IrregularTimeSeries

    members: dict[str, dict[str, Series]] = {}
    for name, one in series.items():
        group, _, column = name.rpartition(".")
        members.setdefault(group or name, {})[column if group else "values"] = one
    groups = {}
    for group, columns in members.items():
        times = np.asarray(next(iter(columns.values())).timestamps, dtype=np.float64)
        for column, one in columns.items():
            if not np.array_equal(one.timestamps, times):
                raise DataError(
                    f"{where}: series {group}.{column} has other times than the rest of {group!r}; "
                    "rename it so that it stands alone"
                )
            if column in ("timestamps", "timestamp_indices_1s", "domain") or column[0] == "_":
                raise DataError(f"{where}: series cannot be called {group}.{column}; rename it")
        if len(times) == 0 or not np.isfinite(times).all() or np.any(np.diff(times) < 0):
            raise DataError(f"{where}: times of series {group!r} must be sorted, finite and some")
        groups[group] = IrregularTimeSeries(
            timestamps=times, domain=Interval(times[:1], np.nextafter(times[-1:], np.inf))
        )
        for column, one in columns.items():
            values = np.asarray(one.values)
            kept = values if values.dtype == np.float32 else values.astype(np.float64)
            setattr(groups[group], column, kept)
    return groups


def _table(table: Table, where: str, name: str) -> ArrayDict:
    from torch_brain.data import ArrayDict, Interval

    columns: dict[str, NDArray[Any]] = {}
    for key, values in table.columns.items():
        if key in ("start", "end", "timekeys") or key.startswith("_") or "/" in key:
            raise DataError(f"{where}: a column of {name!r} cannot be called {key!r}; rename it")
        columns[key] = _column(np.asarray(values), where, f"{name}.{key}")
    start = np.asarray(table.start, dtype=np.float64)
    end = np.asarray(table.end, dtype=np.float64)
    in_order = np.all(np.diff(start) >= 0) and np.all(np.diff(end) >= 0)
    # torch_brain slices intervals by binary search: only ordered ones may be sliced at all.
    if in_order and np.isfinite(start).all() and np.isfinite(end).all():
        rows: ArrayDict = Interval(start=start, end=end)
    else:
        rows = ArrayDict(start=start, end=end)
    for key, values in columns.items():
        setattr(rows, key, values)
    return rows


def check_embedding_name(name: str) -> None:
    """Refuse a name under which embeddings cannot be stored.

    Raises
    ------
    DataError
    """
    if not name.isascii() or "." in name or is_taken(name):
        raise DataError(
            f"embeddings cannot be called {name!r} here: give them a name of plain letters, "
            "digits, - and _"
        )


def _embeddings(embeddings: Mapping[str, ShownImages], where: str, domain: Interval) -> Data:
    from torch_brain.data import ArrayDict, Data

    children: dict[str, Any] = {}
    for name, shown in sorted(embeddings.items()):
        check_embedding_name(name)
        problem = shown_problem(shown)
        if problem:
            raise DataError(f"{where}: embeddings {name!r} not written: {problem}")
        presentations = Table(shown.start, shown.end, {"row": shown.row})
        children[name] = Data(
            presentations=_table(presentations, where, name),
            images=ArrayDict(
                vector=np.asarray(shown.vectors),
                hash=_text_column(shown.hashes, where, "hash of a picture"),
            ),
            table=shown.table,
            fingerprint=shown.fingerprint,
            domain=domain,
        )
    return Data(domain=domain, **children)


def _place(children: dict[str, Any], name: str, value: Any, where: str) -> None:
    if name in children:
        raise DataError(f"{where}: a series and a table are both called {name!r}; rename one")
    children[name] = value


def _nest(children: dict[str, Any], domain: Interval) -> dict[str, Any]:
    """Turn dotted names into nested ``Data``."""
    from torch_brain.data import Data

    flat = {name: value for name, value in children.items() if "." not in name}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in children.items():
        head, dot, tail = name.partition(".")
        if dot:
            inner.setdefault(head, {})[tail] = value
    for head, group in inner.items():
        if head in flat:
            raise DataError(f"{head!r} is both a series or table and a group of them; rename one")
        flat[head] = Data(domain=domain, **_nest(group, domain))
    return flat
