"""The files of retrieval.

A folder holds::

    retrieval.json       every table: scores with intervals, differences, by recording
    scores.csv           row x recording x direction x metric
    retrieval.npz        for each row, recording and direction: candidates that beat the right one
    trials-K.npz         the same, of responses of K trials
    RECORDING.places.npz where each row puts test responses and pictures in its space
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.retrieval.results import (
    Direction,
    RetrievalCase,
    RetrievalResult,
    RetrievalRow,
)
from neurohorizon.evaluation.retrieval.summary import common_metrics, strongest, summarise
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path
from neurohorizon.recordings.schema import FloatArray

RETRIEVAL = "retrieval"
REGIONS, WINDOWS = "regions", "windows"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Places:
    """Where bridges put the test responses and pictures of a recording.

    Parameters
    ----------
    hashes : (Q,) str
        Pictures, in the order of the rows.
    responses, pictures : dict of str to (Q, d) float32
        By row.
    """

    hashes: NDArray[np.str_]
    responses: dict[str, NDArray[np.float32]]
    pictures: dict[str, NDArray[np.float32]]


def save_retrieval(
    result: RetrievalResult,
    folder: Path,
    *,
    by_trials: Mapping[int, RetrievalResult] | None = None,
    reliability: Mapping[str, FloatArray] | None = None,
    named: str | None = None,
) -> None:
    """Write a folder of results; an existing one is replaced once all is written.

    Differences are to the row `named`, by default to the strongest one.
    """
    by_trials, reliability = by_trials or {}, reliability or {}
    rows = [row.name for row in result.rows if row.role == "bridge"]
    best = strongest(result, common_metrics(result)[0], rows) if named is None else named
    summary = summarise(result, named=best)
    content = {
        "format": FORMAT,
        "differences_to": best,
        "rows_about": {row.name: row.about for row in result.rows if row.about},
        "reliability": {name: values.ravel() for name, values in reliability.items()},
        **summary,
        "by_trials": {str(most): summarise(some)["rows"] for most, some in by_trials.items()},
    }
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "retrieval.json").write_text(
            json.dumps(plain(content), indent=1) + "\n", encoding="utf-8"
        )
        _write_csv(summary, temporary / "scores.csv")
        _write_better(result, temporary / "retrieval.npz")
        for most, some in by_trials.items():
            _write_better(some, temporary / f"trials-{most}.npz")


def save_places(places: Mapping[str, Places], folder: Path) -> None:
    """Write where bridges put responses and pictures, a file a recording."""
    for recording, found in places.items():
        arrays: dict[str, NDArray[Any]] = {"hashes": found.hashes}
        for name, values in found.responses.items():
            arrays[f"responses/{name}"] = values
            arrays[f"pictures/{name}"] = found.pictures[name]
        with (
            atomic_path(folder / f"{recording}.places.npz") as temporary,
            temporary.open("wb") as file,
        ):
            np.savez(file, **arrays)  # type: ignore[arg-type]


def load_retrieval(folder: Path) -> tuple[RetrievalResult, dict[int, RetrievalResult]]:
    """Read results: from all trials, and from numbers of them.

    Raises
    ------
    DataError
        If there are none, or they are damaged.
    """
    main = _read_better(folder / "retrieval.npz")
    some = {
        int(path.stem.partition("-")[2]): _read_better(path)
        for path in sorted(folder.glob("trials-*.npz"))
    }
    return main, dict(sorted(some.items()))


def load_other(folder: Path) -> RetrievalResult | None:
    """Read results of regions or time windows; None where there are none.

    Raises
    ------
    DataError
        If they are damaged.
    """
    return load_retrieval(folder)[0] if folder.is_dir() else None


def load_places(folder: Path, recording: str) -> Places:
    """Read where bridges put the test responses and pictures of a recording.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    arrays = read_arrays(folder / f"{recording}.places.npz")
    return Places(
        hashes=arrays["hashes"],
        responses=_below(arrays, "responses/"),
        pictures=_below(arrays, "pictures/"),
    )


def load_summary(folder: Path) -> dict[str, Any]:
    """Read ``retrieval.json``.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    return read_summary(folder / "retrieval.json")


def read_summary(path: Path, *, verb: str = "bridge retrieve") -> dict[str, Any]:
    """Read a file of tables; `verb` is what writes it.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or damaged: `neurohorizon {verb}` writes it") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: missing or damaged: `neurohorizon {verb}` writes it")
    return content


def _below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: each for name, each in arrays.items() if name.startswith(prefix)}


def _write_better(result: RetrievalResult, path: Path) -> None:
    keys = list(result.better)
    head = {
        "format": FORMAT,
        "title": result.title,
        "rows": [asdict(row) for row in result.rows],
        "cases": heads_of_cases(result.cases),
        "keys": keys,
    }
    arrays = {"head": np.array(json.dumps(head)), **arrays_of_cases(result.cases)}
    for number, key in enumerate(keys):
        arrays[f"better_{number}"] = result.better[key]
    np.savez(path, **arrays)  # type: ignore[arg-type]


def heads_of_cases(cases: Sequence[RetrievalCase]) -> list[dict[str, Any]]:
    """Return what is written of cases beside their arrays."""
    return [
        {
            "recording": case.recording,
            "subject": case.subject,
            "num_units": case.num_units,
            "num_training": case.num_training,
            "notes": list(case.notes),
        }
        for case in cases
    ]


def arrays_of_cases(cases: Sequence[RetrievalCase]) -> dict[str, NDArray[Any]]:
    """Return the arrays of cases, by the names that they are written under."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, case in enumerate(cases):
        arrays[f"hashes_{number}"] = case.hashes
        arrays[f"category_{number}"] = case.category
        arrays[f"trials_{number}"] = case.trials
    return arrays


def read_cases(
    heads: Sequence[Mapping[str, Any]], arrays: Mapping[str, NDArray[Any]]
) -> list[RetrievalCase]:
    """Return the cases that were written; KeyError, TypeError where they were not."""
    return [
        RetrievalCase(
            hashes=arrays[f"hashes_{number}"],
            category=arrays[f"category_{number}"],
            trials=arrays[f"trials_{number}"],
            **{**head, "notes": tuple(head["notes"])},
        )
        for number, head in enumerate(heads)
    ]


def _read_better(path: Path) -> RetrievalResult:
    arrays = read_arrays(path)
    try:
        head = json.loads(str(arrays["head"]))
        cases = read_cases(head["cases"], arrays)
        better = {
            cast("tuple[str, str, Direction]", tuple(key)): arrays[f"better_{number}"]
            for number, key in enumerate(head["keys"])
        }
        rows = [RetrievalRow(**row) for row in head["rows"]]
        return RetrievalResult(head["title"], rows, cases, better)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not results of this version: `neurohorizon bridge retrieve` writes them anew"
        ) from error


def read_arrays(path: Path, *, verb: str = "bridge retrieve") -> dict[str, NDArray[Any]]:
    """Read a file of arrays; `verb` is what writes it.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, *NPZ_DAMAGE) as error:
        raise DataError(f"{path}: missing or damaged: `neurohorizon {verb}` writes it") from error


def _write_csv(summary: Mapping[str, Any], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["row", "looked_for", "recording", "metric", "value", "low", "high", "seeds_sd"]
        )
        for row in summary["rows"]:
            every = {"(mean)": row, **row["recordings"]}
            for recording, of_case in every.items():
                for metric, found in of_case.items():
                    if isinstance(found, dict) and "value" in found:
                        numbers = [found[key] for key in ("value", "low", "high", "seeds_sd")]
                        writer.writerow(
                            [row["row"], row["looked_for"], recording, metric, *numbers]
                        )
