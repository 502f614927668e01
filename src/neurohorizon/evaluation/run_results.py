"""The results of a run: which there are, where they lie, and how they are read.

A folder of results holds, for each set of windows that was scored ("held-out" sessions, and
"later": the test time of the training sessions)::

    held-out/                  the model and the baseline ladder
    held-out.ablations/        the model without its parts, on the same windows
    held-out.observer/         all rows and the ideal observer, maybe on fewer windows
    held-out.reference-30s/    model and ladder from another length of the reference
    held-out.example.npz       a stretch of one session, to look at
    held-out.identities.npz    what the reference said about each unit
    held-out.few-shot/         the model adapted with minutes of each session
    held-out.contributions.npz what each condition is worth, if any is read
    held-out.cosmoothing.npz   hidden units told from the others, if the model was trained to
    sessions.json              what the recordings hold, and what validation found
    made_from.json             which model, which versions, how long it took

The folders are those of :mod:`~neurohorizon.evaluation.result_files`;
:mod:`~neurohorizon.evaluation.run_scoring` makes them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from neurohorizon.errors import DataError
from neurohorizon.evaluation.contributions import Contributions
from neurohorizon.evaluation.cosmoothing import CoSmoothing
from neurohorizon.evaluation.example import Example, load_example
from neurohorizon.evaluation.identities import Identities, load_identities
from neurohorizon.evaluation.predictability import predictability
from neurohorizon.evaluation.result_files import load_result
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import strongest_by_horizon
from neurohorizon.ops.files import write_json
from neurohorizon.ops.records import load_records

SetName = Literal["held-out", "later"]
SET_NAMES: tuple[SetName, ...] = ("held-out", "later")
RESULTS_FOLDER = "results"
SESSIONS_FILE = "sessions.json"
MADE_FROM_FILE = "made_from.json"
FEW_SHOT_PART = "few-shot"
_REFERENCE = re.compile(r"\.reference-([0-9.]+)s$")


@dataclass(frozen=True)
class SetResults:
    """All that was found on one set of windows.

    Parameters
    ----------
    name : {"held-out", "later"}
    rows : EvaluationResult
        The model and the baseline ladder, or the ladder alone.
    ablations, observer, few_shot : EvaluationResult or None
    by_reference : mapping of float to EvaluationResult
        By seconds of reference, the run's own among them.
    example : Example or None
    identities : Identities or None
    contributions : list of Contributions
        One a recording; empty if the model reads no conditions.
    cosmoothing : list of CoSmoothing
        One a recording; empty if the model was not trained with hidden units.
    """

    name: SetName
    rows: EvaluationResult
    ablations: EvaluationResult | None = None
    observer: EvaluationResult | None = None
    few_shot: EvaluationResult | None = None
    by_reference: Mapping[float, EvaluationResult] = field(default_factory=dict)
    example: Example | None = None
    identities: Identities | None = None
    contributions: Sequence[Contributions] = ()
    cosmoothing: Sequence[CoSmoothing] = ()

    @property
    def model(self) -> str:
        """Name of the model's row; there is one only if `has_model`."""
        return self.rows.names("model")[0]

    @property
    def has_model(self) -> bool:
        """Whether a model was scored, or baselines alone."""
        return bool(self.rows.names("model"))

    @cached_property
    def lead(self) -> str:
        """Name of the row to look at: the model or, without one, the strongest baseline."""
        names = [*self.rows.names("model"), *strongest_by_horizon(self.rows)]
        return (names or self.rows.names("baseline"))[0]

    @cached_property
    def rivals(self) -> list[str]:
        """Name what the lead is compared with at each horizon.

        A model with the strongest baseline. A baseline with the strongest row that reads the
        unit's own spikes alone or, if it is one of those itself, with the null.
        """
        if self.has_model:
            return strongest_by_horizon(self.rows)
        found = [each.own or "mean" for each in predictability(self.rows)]
        return ["mean" if name == self.lead else name for name in found]

    @cached_property
    def with_ablations(self) -> EvaluationResult:
        """Model, ladder and ablations: they share their windows."""
        return self.rows if self.ablations is None else self.rows.join(self.ablations)


@dataclass(frozen=True)
class RunResults:
    """All results of a run.

    Parameters
    ----------
    sets : mapping of {"held-out", "later"} to SetResults
        Held-out sessions first; never empty.
    sessions : list of dict
        What the recordings hold and what validation found, one row a recording.
    made_from : mapping
        Content of ``made_from.json``.
    """

    sets: Mapping[SetName, SetResults]
    sessions: list[dict[str, Any]]
    made_from: Mapping[str, Any]

    @property
    def first(self) -> SetResults:
        """The set that the headline speaks of: held-out sessions where there are any."""
        return next(iter(self.sets.values()))


def load_run_results(folder: Path | str) -> RunResults:
    """Read all results of a run.

    Parameters
    ----------
    folder : path
        The results folder of a run.

    Raises
    ------
    DataError
        If there are none, or one is damaged.
    """
    folder = Path(folder)
    sets: dict[SetName, SetResults] = {}
    for name in SET_NAMES:
        if not is_there(folder / name):
            continue
        rows = load_result(folder / name)
        by_reference = {
            float(found[1]): load_result(path)
            for path in sorted(folder.glob(f"{name}.reference-*s"))
            if (found := _REFERENCE.search(path.name))
        }
        if rows.protocol.reference_s is not None:
            by_reference[rows.protocol.reference_s] = rows
        parts = {
            part.replace("-", "_"): part_path(folder, name, part)
            for part in ("ablations", "observer", FEW_SHOT_PART)
        }
        example, identities = example_path(folder, name), identities_path(folder, name)
        worth, hidden = contributions_path(folder, name), cosmoothing_path(folder, name)
        sets[name] = SetResults(
            name=name,
            rows=rows,
            by_reference=dict(sorted(by_reference.items())),
            example=load_example(example) if example.is_file() else None,
            identities=load_identities(identities) if identities.is_file() else None,
            contributions=load_records(Contributions, worth) if worth.is_file() else (),
            cosmoothing=load_records(CoSmoothing, hidden) if hidden.is_file() else (),
            **{part: load_result(path) for part, path in parts.items() if is_there(path)},
        )
    if not sets:
        raise DataError(
            f"{folder}: no results there: make them with `neurohorizon evaluate {folder.parent}`"
        )
    return RunResults(
        sets=sets,
        sessions=read_json(folder / SESSIONS_FILE, []),
        made_from=read_json(folder / MADE_FROM_FILE, {}),
    )


def is_there(folder: Path) -> bool:
    """Tell whether a folder holds an evaluation."""
    return (folder / "evaluation.json").is_file()


def part_path(folder: Path, name: SetName, part: str = "") -> Path:
    """Return where a part of a set's results lies: "", "ablations", "observer", ..."""
    return folder / (f"{name}.{part}" if part else name)


def reference_part(reference_s: float) -> str:
    """Return the name of the part that was scored with another length of the reference."""
    return f"reference-{reference_s:g}s"


def example_path(folder: Path, name: SetName) -> Path:
    """Return where the example of a set lies."""
    return folder / f"{name}.example.npz"


def identities_path(folder: Path, name: SetName) -> Path:
    """Return where lies what the reference said about the units of a set."""
    return folder / f"{name}.identities.npz"


def contributions_path(folder: Path, name: SetName) -> Path:
    """Return where lies what the conditions are worth on a set."""
    return folder / f"{name}.contributions.npz"


def cosmoothing_path(folder: Path, name: SetName) -> Path:
    """Return where lies how well hidden units of a set were told."""
    return folder / f"{name}.cosmoothing.npz"


@contextmanager
def results_of(folder: Path, fingerprint: Any) -> Iterator[dict[str, Any]]:
    """Write in a folder of results, emptied first if they were made from something else.

    It says from what they are before there is any, so what an interruption leaves behind is not
    taken for another model's. A folder in which nothing came to be is removed.

    Parameters
    ----------
    folder : Path
    fingerprint : JSON
        Of the model, and of what else results depend on.

    Yields
    ------
    dict
        Content of ``made_from.json``; no more than the fingerprint if the folder was emptied.

    Raises
    ------
    DataError
        If ``made_from.json`` is damaged.
    """
    fingerprint = json.loads(json.dumps(fingerprint))
    before = read_json(folder / MADE_FROM_FILE, {})
    if before.get("fingerprint") != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        before = {"fingerprint": fingerprint}
        write_json(folder / MADE_FROM_FILE, before)
    try:
        yield before
    finally:
        if folder.is_dir() and [path.name for path in folder.iterdir()] == [MADE_FROM_FILE]:
            shutil.rmtree(folder)


def read_json(path: Path, default: Any) -> Any:
    """Read a JSON file, or return the default if there is none.

    Raises
    ------
    DataError
        If it is damaged.
    """
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}): evaluate again") from error
