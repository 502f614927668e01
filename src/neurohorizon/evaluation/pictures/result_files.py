"""The files of reconstruction.

A folder holds::

    reconstruction.json  every table: scores with intervals, differences, categories, gates
    scores.csv           row x recording x metric
    pictures.csv         row x recording x picture: every score, mean over seeds
    reconstruction.npz   for each row, recording and metric the score of each seed and picture
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.distributions import DistributionScore
from neurohorizon.evaluation.pictures.gate import OracleGate
from neurohorizon.evaluation.pictures.reported import ReportedRow
from neurohorizon.evaluation.pictures.results import (
    PictureMetric,
    ReconstructionResult,
    ReconstructionRow,
)
from neurohorizon.evaluation.pictures.summary import summarise
from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.retrieval.result_files import (
    arrays_of_cases,
    heads_of_cases,
    read_arrays,
    read_cases,
    read_summary,
)
from neurohorizon.evaluation.retrieval.summary import Estimate
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.ops.files import atomic_path

RECONSTRUCTION, SCORES_FOLDER = "reconstruction", "scores"
FORMAT = 1
VERB = "bridge reconstruct"


def save_reconstruction(
    result: ReconstructionResult, folder: Path, *, named: str | None = None
) -> None:
    """Write a folder of results; an existing one is replaced once all is written.

    Differences are to the row `named`, by default to the first control.
    """
    summary = summarise(result, named=named)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "reconstruction.json").write_text(
            json.dumps(plain({"format": FORMAT, **summary}), indent=1) + "\n", encoding="utf-8"
        )
        _write_scores(summary, temporary / "scores.csv")
        _write_pictures(result, temporary / "pictures.csv")
        _write_arrays(result, temporary / "reconstruction.npz")


def load_reconstruction(folder: Path) -> ReconstructionResult:
    """Read results.

    Raises
    ------
    DataError
        If there are none, or they are damaged.
    """
    path = folder / "reconstruction.npz"
    arrays = read_arrays(path, verb=VERB)
    try:
        head = json.loads(str(arrays["head"]))
        if head["format"] != FORMAT:
            raise ValueError(head["format"])
        return _result(head, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: not results of this version: `neurohorizon {VERB}` writes them anew"
        ) from error


def load_reconstruction_summary(folder: Path) -> dict[str, Any]:
    """Read ``reconstruction.json``.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    return read_summary(folder / "reconstruction.json", verb=VERB)


def _write_arrays(result: ReconstructionResult, path: Path) -> None:
    head = {
        "format": FORMAT,
        "title": result.title,
        "rows": [asdict(row) for row in result.rows],
        "cases": heads_of_cases(result.cases),
        "metrics": [asdict(metric) for metric in result.metrics],
        "keys": list(result.scores),
        "distributions": [
            [list(key), asdict(score)] for key, score in result.distributions.items()
        ],
        "networks": {name: each.to_json() for name, each in result.networks.items()},
        "gates": {name: asdict(gate) for name, gate in result.gates.items()},
        "reported": [asdict(row) for row in result.reported],
    }
    arrays = {"head": np.array(json.dumps(head)), **arrays_of_cases(result.cases)}
    for number, scores in enumerate(result.scores.values()):
        arrays[f"scores_{number}"] = scores
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _result(head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> ReconstructionResult:
    return ReconstructionResult(
        title=head["title"],
        rows=[ReconstructionRow(**row) for row in head["rows"]],
        cases=read_cases(head["cases"], arrays),
        metrics=[PictureMetric(**metric) for metric in head["metrics"]],
        scores={
            (row, recording, metric): arrays[f"scores_{number}"]
            for number, (row, recording, metric) in enumerate(head["keys"])
        },
        distributions={
            (row, recording, name): DistributionScore(**score)
            for (row, recording, name), score in head["distributions"]
        },
        networks={name: Fingerprint.from_json(text) for name, text in head["networks"].items()},
        gates={name: _gate(content) for name, content in head["gates"].items()},
        reported=[
            ReportedRow(
                **{
                    **row,
                    "values": {name: (low, high) for name, (low, high) in row["values"].items()},
                }
            )
            for row in head["reported"]
        ],
    )


def _gate(content: Mapping[str, Any]) -> OracleGate:
    estimates = {
        name: Estimate(**content[name]) for name in ("from_true", "from_shuffled", "top_1")
    }
    return OracleGate(**{**content, **estimates})


def _write_scores(summary: Mapping[str, Any], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "role", "recording", "metric", "value", "low", "high", "seeds_sd"])
        for row in summary["rows"]:
            for recording, of_case in {"(mean)": row, **row["recordings"]}.items():
                for metric, found in of_case.items():
                    if isinstance(found, dict) and "low" in found:
                        numbers = [found[key] for key in ("value", "low", "high", "seeds_sd")]
                        writer.writerow([row["row"], row["role"], recording, metric, *numbers])


def _write_pictures(result: ReconstructionResult, path: Path) -> None:
    names = [metric.name for metric in result.metrics]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "recording", "picture", "category", *names])
        for row in result.rows:
            for case in result.cases:
                scored = {
                    name: result.scores[row.name, case.recording, name].mean(axis=0)
                    for name in names
                    if (row.name, case.recording, name) in result.scores
                }
                for number, picture in enumerate(case.hashes if scored else ()):
                    numbers = [
                        f"{scored[name][number]:.6g}" if name in scored else "" for name in names
                    ]
                    kind = case.category[number]
                    writer.writerow([row.name, case.recording, picture, kind, *numbers])
