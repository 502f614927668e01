"""The files of transfer between recordings.

A folder holds::

    transfer.json    scores with intervals and differences: over targets, by target, by pair
    scores.csv       the same, one line a row, way, sources, target and number of pictures
    transfer.npz     for each of them and every draw: candidates that beat the right one
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.retrieval.result_files import (
    FORMAT,
    arrays_of_cases,
    heads_of_cases,
    read_arrays,
    read_cases,
)
from neurohorizon.evaluation.retrieval.transfer import (
    TransferKey,
    TransferResult,
    summarise_transfer,
)
from neurohorizon.ops.files import atomic_path

TRANSFER = "transfer"
_ARRAYS = "transfer.npz"


def save_transfer(result: TransferResult, folder: Path) -> None:
    """Write a folder of results; an existing one is replaced once all is written."""
    summary = summarise_transfer(result)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "transfer.json").write_text(
            json.dumps(plain({"format": FORMAT, **summary}), indent=1) + "\n", encoding="utf-8"
        )
        _write_csv(summary, temporary / "scores.csv")
        _write_arrays(result, temporary / _ARRAYS)


def load_transfer(folder: Path) -> TransferResult | None:
    """Read results; None where there are none.

    Raises
    ------
    DataError
        If they are damaged, or of another version.
    """
    if not folder.is_dir():
        return None
    path = folder / _ARRAYS
    arrays = read_arrays(path)
    try:
        head = json.loads(str(arrays["head"]))
        return TransferResult(
            title=head["title"],
            rows=head["rows"],
            cases=read_cases(head["cases"], arrays),
            better={
                TransferKey(*key): arrays[f"better_{number}"]
                for number, key in enumerate(head["keys"])
            },
            full={
                (row, target): arrays[f"full_{number}"]
                for number, (row, target) in enumerate(head["full"])
            },
            left_out=tuple(head["left_out"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not results of this version: `neurohorizon bridge retrieve` with --transfer "
            "writes them anew"
        ) from error


def _write_arrays(result: TransferResult, path: Path) -> None:
    head = {
        "format": FORMAT,
        "title": result.title,
        "rows": list(result.rows),
        "cases": heads_of_cases(result.cases),
        "keys": [astuple(key) for key in result.better],
        "full": list(result.full),
        "left_out": list(result.left_out),
    }
    arrays = {"head": np.array(json.dumps(head)), **arrays_of_cases(result.cases)}
    arrays |= {f"better_{number}": each for number, each in enumerate(result.better.values())}
    arrays |= {f"full_{number}": each for number, each in enumerate(result.full.values())}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _write_csv(summary: Mapping[str, Any], path: Path) -> None:
    bounds = ("value", "low", "high")
    names = ["row", "way", "sources", "target", "pictures", "mean_pictures"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "metric", *bounds, *(f"minus_own_{each}" for each in bounds)])
        for entry in [*summary["scores"], *summary["pairs"]]:
            step = entry["minus_own"] or dict.fromkeys(bounds, "")
            writer.writerow(
                [
                    *(entry[name] for name in names),
                    summary["metric"],
                    *(entry[name] for name in bounds),
                    *(step[name] for name in bounds),
                ]
            )
