"""The files of an evaluation.

A folder holds::

    evaluation.json    protocol, rows, recordings, and every table but that of units
    scores.csv         row x horizon: bits/spike with interval, nlb, mtm, d2, correlation, ...
    differences.csv    row x named row x horizon: paired difference, interval, wins
    recordings.csv     recording x row x horizon
    units.csv          recording x unit x row x horizon
    bins.csv           row x bin: bits/spike of each bin by itself
    calibration.csv    row x span of bins x value: forecast and observed counts
    coverage.csv       row x horizon: summed counts in central intervals of their forecast
    scores.npz         the sums all of it was computed from
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.answer import answer
from neurohorizon.evaluation.protocol import Protocol
from neurohorizon.evaluation.results import CaseInfo, EvaluationResult, Row
from neurohorizon.evaluation.scores import Scores
from neurohorizon.evaluation.summary import summarise
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path
from neurohorizon.recordings.window_spec import WindowSpec

FORMAT = 1


def save_result(
    result: EvaluationResult, folder: Path | str, *, compare_to: Sequence[str] = ()
) -> Path:
    """Write an evaluation's folder; an existing one is replaced once all is written.

    Parameters
    ----------
    result : EvaluationResult
    folder : path
    compare_to : sequence of str
        Rows to print paired differences to, besides the strongest baseline at each horizon.
    """
    summary = summarise(result, compare_to=compare_to)
    folder = Path(folder)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        head = {
            "format": FORMAT,
            "title": result.title,
            "protocol": asdict(result.protocol),
            "rows": [asdict(row) for row in result.rows],
            "recordings": [asdict(case) for case in result.cases],
        }
        # Tables of units are long: they are in units.csv, and made again from scores.npz.
        tables = {name: table for name, table in summary["tables"].items() if name != "units"}
        content = head | {"answer": answer(result)} | summary | {"tables": tables}
        text = json.dumps(plain(content), indent=1, allow_nan=False)
        (temporary / "evaluation.json").write_text(text + "\n", encoding="utf-8")
        for name, table in summary["tables"].items():
            _write_csv(temporary / f"{name}.csv", table)
        arrays = {
            f"{row}/{case}/{name}": values
            for row, row_info in enumerate(result.rows)
            for case, info in enumerate(result.cases)
            for name, values in result.scores[row_info.name, info.recording].to_arrays().items()
        }
        np.savez_compressed(temporary / "scores.npz", allow_pickle=False, **arrays)
    return folder


def load_result(folder: Path | str) -> EvaluationResult:
    """Read an evaluation's folder.

    Raises
    ------
    DataError
        If it is missing, damaged or of another version.
    """
    folder = Path(folder)
    try:
        head = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        if head["format"] != FORMAT:
            raise DataError(
                f"{folder}: evaluation of format {head['format']}, expected {FORMAT}: "
                "evaluate again"
            )
        protocol = _protocol(head["protocol"])
        rows = [Row(**row) for row in head["rows"]]
        cases = [CaseInfo(**case) for case in head["recordings"]]
        scores = {}
        with np.load(folder / "scores.npz", allow_pickle=False) as file:
            for row, row_info in enumerate(rows):
                for case, info in enumerate(cases):
                    prefix = f"{row}/{case}/"
                    arrays = {
                        key.removeprefix(prefix): file[key]
                        for key in file.files
                        if key.startswith(prefix)
                    }
                    scores[row_info.name, info.recording] = Scores.from_arrays(
                        row_info.name, info.recording, protocol, arrays
                    )
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no evaluation here: no {Path(error.filename).name}") from error
    except NPZ_DAMAGE as error:
        raise DataError(f"{folder}: damaged evaluation ({error}): evaluate again") from error
    return EvaluationResult(
        title=head["title"], protocol=protocol, rows=rows, cases=cases, scores=scores
    )


def _protocol(values: dict[str, Any]) -> Protocol:
    spec = WindowSpec.from_dict(values["spec"])
    rest = {key: value for key, value in values.items() if key != "spec"}
    for name in ("horizons_s", "left_out_qualities"):
        rest[name] = tuple(rest[name])
    return Protocol(spec=spec, **rest)


def _write_csv(path: Path, table: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        if not table:
            return
        writer = csv.DictWriter(file, fieldnames=list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def plain(value: Any) -> Any:
    """Turn arrays and numpy numbers into what JSON has; what is not a number into null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
