"""Results as files: a Markdown page for people and JSON for programs, each with its origin."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from neurohorizon.evaluation.describe import describe_machine
from neurohorizon.evaluation.result_files import plain
from neurohorizon.ops.files import atomic_path

RESULTS = Path(__file__).parent / "results"


def write_results(name: str, title: str, lines: Sequence[str], content: Mapping[str, Any]) -> None:
    """Write what a benchmark found, under the date, the command and the machine.

    Parameters
    ----------
    name : str
        Of the two files in ``benchmarks/results``, without their endings.
    title : str
    lines : sequence of str
        Markdown below the heading.
    content : mapping
        The same for programs.
    """
    machine, today = describe_machine(), date.today().isoformat()
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    about = ", ".join(f"{key} {value}" for key, value in machine.items())
    text = "\n".join([f"# {title}", "", f"{today}. `{command}`. {about}.", "", *lines])
    told = {"title": title, "date": today, "command": command, "machine": machine, **content}
    for ending, written in ((".md", text), (".json", json.dumps(plain(told), indent=1))):
        with atomic_path(RESULTS / f"{name}{ending}") as temporary:
            temporary.write_text(written.rstrip() + "\n", encoding="utf-8")
    print(f"wrote {RESULTS.name}/{name}.md and .json")
