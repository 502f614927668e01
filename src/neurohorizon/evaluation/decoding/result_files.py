"""The files of decoders' results.

A folder holds::

    decoding.json      tasks, rows, recordings, settings, and every table
    scores.csv         task x row x metric: mean over recordings, with interval
    differences.csv    task x row x named row: paired difference, interval, wins
    recordings.csv     recording x task x row x metric, with settings and reasons
    confusion.csv      task x row x true class x decoded class
    sums.npz           the sums all of it was computed from
    predictions/       an npz file a recording: what was true and decoded, time stamp by time stamp
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.results import (
    DecodedCase,
    DecodingResult,
    Entry,
    Predictions,
)
from neurohorizon.evaluation.decoding.summary import summarise
from neurohorizon.evaluation.decoding.sums import Sums
from neurohorizon.evaluation.decoding.tuning import Chosen
from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.results import Row
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path
from neurohorizon.recordings.decoding.tasks import Task

FORMAT = 1
HEAD, SUMS, PREDICTIONS = "decoding.json", "sums.npz", "predictions"


def save_decoding(
    result: DecodingResult, folder: Path | str, *, compare_to: Sequence[str] = ()
) -> Path:
    """Write a folder of results; an existing one is replaced once all is written.

    Parameters
    ----------
    result : DecodingResult
    folder : path
    compare_to : sequence of str
        Rows to print paired differences to, besides each task's strongest baseline.
    """
    summary = summarise(result, compare_to=compare_to)
    keys = list(result.entries)
    folder = Path(folder)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        content = {
            "format": FORMAT,
            "title": result.title,
            "tasks": [task.to_dict() for task in result.tasks],
            "rows": [asdict(row) for row in result.rows],
            "recordings": [asdict(case) for case in result.cases],
            "entries": [
                {
                    "row": row,
                    "task": task,
                    "recording": recording,
                    "left_out": entry.left_out,
                    "seconds": entry.seconds,
                    "chosen": asdict(entry.chosen),
                }
                for (row, task, recording), entry in result.entries.items()
            ],
            **summary,
        }
        text = json.dumps(plain(content), indent=1, allow_nan=False)
        (temporary / HEAD).write_text(text + "\n", encoding="utf-8")
        for name, table in summary["tables"].items():
            _write_csv(temporary / f"{name}.csv", table)
        arrays = {
            f"{number}/{name}": values
            for number, key in enumerate(keys)
            if (sums := result.entries[key].sums) is not None
            for name, values in sums.to_arrays().items()
        }
        np.savez_compressed(temporary / SUMS, allow_pickle=False, **arrays)
        _save_predictions(result, temporary / PREDICTIONS)
    return folder


def load_decoding(folder: Path | str) -> DecodingResult:
    """Read a folder of results, without predictions (:func:`load_predictions` reads them).

    Raises
    ------
    DataError
        If it is missing, damaged or of another version.
    """
    folder = Path(folder)
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        if head["format"] != FORMAT:
            raise DataError(
                f"{folder}: results of format {head['format']}, expected {FORMAT}: evaluate again"
            )
        tasks = tuple(Task.from_dict(values) for values in head["tasks"])
        kinds = {task.name: task.spec.kind for task in tasks}
        entries = {}
        with np.load(folder / SUMS, allow_pickle=False) as file:
            arrays: dict[str, dict[str, NDArray[Any]]] = {}
            for key in file.files:
                number, name = key.split("/", 1)
                arrays.setdefault(number, {})[name] = file[key]
        for number, each in enumerate(head["entries"]):
            mine = arrays.get(str(number))
            chosen = each["chosen"]
            if chosen["score"] is None:
                chosen["score"] = float("nan")
            entries[each["row"], each["task"], each["recording"]] = Entry(
                sums=None if mine is None else Sums.from_arrays(kinds[each["task"]], mine),
                chosen=Chosen(**chosen),
                left_out=each["left_out"],
                seconds=each["seconds"],
            )
        return DecodingResult(
            title=head["title"],
            tasks=tasks,
            rows=[Row(**row) for row in head["rows"]],
            cases=[DecodedCase(**case) for case in head["recordings"]],
            entries=entries,
        )
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no results here: no {Path(error.filename).name}") from error
    except NPZ_DAMAGE as error:
        raise DataError(f"{folder}: damaged results ({error}): evaluate again") from error


def load_predictions(folder: Path | str, recording: str) -> dict[str, Predictions]:
    """Read what was true and decoded of one recording, by task.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged.
    """
    head = Path(folder) / PREDICTIONS
    path = head / f"{_file_name(recording)}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {key: file[key] for key in file.files}
        names = json.loads(str(content["names"]))
        return {
            task: Predictions(
                content[f"{number}/times_s"],
                content[f"{number}/stretch"],
                content[f"{number}/values"],
                {row: content[f"{number}/row {place}"] for place, row in enumerate(rows)},
            )
            for number, (task, rows) in enumerate(names.items())
        }
    except NPZ_DAMAGE as error:
        raise DataError(
            f"{path}: predictions missing or damaged ({error}): evaluate again"
        ) from error


def _save_predictions(result: DecodingResult, folder: Path) -> None:
    folder.mkdir()
    for recording in dict.fromkeys(case.recording for case in result.cases):
        names, arrays = {}, {}
        for (task, of_recording), each in result.predictions.items():
            if of_recording != recording:
                continue
            number, names[task] = len(names), list(each.decoded)
            for name in ("times_s", "stretch", "values"):
                arrays[f"{number}/{name}"] = getattr(each, name)
            for place, values in enumerate(each.decoded.values()):
                arrays[f"{number}/row {place}"] = values
        if names:
            arrays["names"] = np.array(json.dumps(names))
            path = folder / f"{_file_name(recording)}.npz"
            np.savez_compressed(path, allow_pickle=False, **arrays)


def _file_name(recording: str) -> str:
    """Return a file's name for a recording, whose id may hold slashes."""
    return recording.replace("/", "__")


def _write_csv(path: Path, table: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        if table:
            writer = csv.DictWriter(file, fieldnames=list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
