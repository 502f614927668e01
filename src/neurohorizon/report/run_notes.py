"""What a run folder says about itself, for the page: configuration, data, versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurohorizon.evaluation.run_results import read_json


@dataclass(frozen=True)
class RunNotes:
    """Records of a run; empty where a file is absent.

    Parameters
    ----------
    name : str
        Of the run folder.
    config : str
        The resolved configuration, as it was written.
    provenance, data, training : mapping
        Contents of the files of these names.
    """

    name: str
    config: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def read_run_notes(run: Path | str) -> RunNotes:
    """Read the records of a run folder.

    Raises
    ------
    DataError
        If one is damaged.
    """
    run = Path(run)
    config = run / "config.yaml"
    return RunNotes(
        name=run.resolve().name,
        config=config.read_text(encoding="utf-8") if config.is_file() else "",
        provenance=read_json(run / "provenance.json", {}),
        data=read_json(run / "data.json", {}),
        training=read_json(run / "training.json", {}),
    )


def provenance_rows(notes: RunNotes, made_from: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was run where, as pairs of a word and its value; unknown things left out.

    Parameters
    ----------
    notes : RunNotes
    made_from : mapping
        Of the results.
    """
    provenance, training = notes.provenance, notes.training
    libraries = provenance.get("libraries", {})
    commands = [provenance.get("command_line", []), *made_from.get("command_lines", [])]
    checksum = (made_from.get("fingerprint") or [""])[0]
    machine = [
        str(made_from[key]) + suffix
        for key, suffix in (
            ("processor", ""),
            ("num_cpus", " CPUs"),
            ("torch_threads", " torch threads"),
            ("platform", ""),
        )
        if made_from.get(key)
    ]
    seconds = {"training": training.get("seconds"), "evaluation": made_from.get("seconds")}
    rows = {
        "neurohorizon": _joined(
            [made_from.get("neurohorizon", ""), _named("commit", provenance.get("commit"))]
        ),
        "Python and libraries": _joined(
            [_named("Python", provenance.get("python") or made_from.get("python"))]
            + [f"{name} {version}" for name, version in libraries.items()]
        ),
        "machine": _joined(machine),
        "commands": "\n".join(dict.fromkeys(" ".join(map(str, words)) for words in commands)),
        "recipe and seed": _joined(
            [_named("recipe", provenance.get("recipe")), _named("seed", provenance.get("seed"))]
        ),
        "started, evaluated": _joined(
            [provenance.get("started", ""), made_from.get("finished", "")]
        ),
        "time taken": _joined(
            [f"{what} {_duration(value)}" for what, value in seconds.items() if value]
        ),
        "model": _joined(
            [
                f"{training['num_parameters']:,} parameters" if training else "",
                f"{training['epochs']} epochs, {training['steps']:,} steps" if training else "",
                _named("SHA-256", checksum[:16]),
            ]
        ),
        "data": _named("SHA-256 of all recordings", provenance.get("data_sha256", "")[:16]),
    }
    return [(key, value) for key, value in rows.items() if value.strip()]


def _joined(parts: list[str]) -> str:
    return " · ".join(part for part in parts if part)


def _named(name: str, value: object) -> str:
    return "" if value in (None, "") else f"{name} {value}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
