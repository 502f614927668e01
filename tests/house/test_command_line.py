"""The table of verbs is whole, and `neurohorizon --help` loads nothing heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from neurohorizon.cli import app

HEAVY = {"h5py", "lightning", "matplotlib", "numpy", "pydantic", "scipy", "torch", "torch_brain"}
LOADED = "; import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code + LOADED], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    modules = loaded_by("from neurohorizon.cli.app import main; assert main(['--help']) == 0")
    assert "cyclopts" in modules
    assert modules & HEAVY == set()
    verbs = {f"neurohorizon.cli.{verb.function.split(':')[0]}" for verb in app.VERBS}
    assert modules & verbs == set()


def test_the_package_loads_nothing_heavy() -> None:
    modules = loaded_by("import neurohorizon")
    assert "neurohorizon" in modules
    assert modules & (HEAVY | {"cyclopts", "rich"}) == set()


@pytest.mark.parametrize("verb", app.VERBS, ids=lambda verb: verb.words)
def test_a_verb_explains_itself(verb: app.Verb, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([*verb.words.split(), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Usage: neurohorizon {verb.words}" in shown
    # The line of the table is the first line of the docstring: said once, in one way.
    assert verb.help in shown


def test_every_file_of_the_command_line_is_in_the_table(root: Path) -> None:
    files = {path.stem for path in (root / "src" / "neurohorizon" / "cli").glob("*.py")}
    helpers = {name for name in files if name.startswith("_")}
    assert files - helpers - {"app"} == {verb.function.split(":")[0] for verb in app.VERBS}


def test_groups_are_those_of_the_table() -> None:
    assert set(app.GROUPS) == {w[0] for verb in app.VERBS if len(w := verb.words.split()) > 1}


def test_verbs_hold_no_heavy_import_at_once(root: Path) -> None:
    for path in sorted((root / "src" / "neurohorizon" / "cli").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            heavy = {name.split(".")[0] for name in names} & (HEAVY | {"rich"})
            assert not heavy, f"{path.name} imports {heavy} before it is needed"
