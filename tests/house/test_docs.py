"""The pages tell the truth: their commands parse, the marked ones run, the site builds.

Every ```bash fence in the README and in docs/ is read: a `neurohorizon` command must name a
verb and options that exist, a `make` command a target. Every ```python fence must compile, and
what it imports from here must exist. Fences under `<!-- run -->` are run as they stand, page by
page, each page in an empty folder: its bash fences first, then its python fences as one script.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from fences import read_fences
from neurohorizon.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_marked(page: Path, *, language: str = "bash") -> str:
    """Return the marked fences of a page, one after the other."""
    fences = read_fences(page.read_text(), language=language)
    return "".join(script for marked, script in fences if marked)


def read_commands(script: str) -> list[list[str]]:
    """Return the words of each command in a script, redirections and assignments left out."""
    commands = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("&|;()"):
                if words:
                    commands.append(words)
                words = []
            elif word != "$" and not (not words and re.match(r"\w+=", word)):
                words.append(word)
    for words in commands:
        for position, word in enumerate(words):
            if set(word) <= set("<>"):
                del words[position:]
                break
    return [words for words in commands if words]


def refuse(tokens: list[str]) -> str | None:
    """Say why `neurohorizon TOKENS` would be refused before it starts, None if it would not."""
    try:
        command, bound, _ = app.build_app(tokens).parse_args(
            tokens, exit_on_error=False, print_error=False
        )
    except CycloptsError as error:
        return str(error)
    # A group without its verb parses: it prints the group's help.
    if inspect.ismethod(command) and command.__name__ == "help_print":
        return None if {"--help", "-h"} & set(tokens) or not tokens else "no verb"
    assert bound is not None
    return None


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if read_fences(page.read_text())],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_commands_on_the_page_parse(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for _, script in read_fences(page.read_text()):
        for program, *arguments in read_commands(script):
            if program == "neurohorizon":
                assert refuse(arguments) is None, f"neurohorizon {shlex.join(arguments)}"
            elif program == "make":
                assert set(arguments) <= targets, f"make {shlex.join(arguments)}"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if read_fences(page.read_text(), language="python")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_python_on_the_page_compiles_and_imports_what_exists(page: Path) -> None:
    for _, script in read_fences(page.read_text(), language="python"):
        for node in ast.walk(ast.parse(script)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("neurohorizon"):
                module = importlib.import_module(str(node.module))
                assert {name.name for name in node.names} <= set(dir(module)), ast.unparse(node)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if read_marked(page) or read_marked(page, language="python")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_marked_fences_on_the_page_run(page: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in (
        ["bash", "-euxo", "pipefail", "-c", read_marked(page)],
        [sys.executable, "-c", read_marked(page, language="python")],
    ):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_fences_are_found() -> None:
    text = "a\n\n<!-- run -->\n```bash\none\n```\n\n```python\nno\n```\n\n```bash\ntwo\n```\n"
    assert read_fences(text) == [(True, "one\n"), (False, "two\n")]
    assert read_fences(text, language="python") == [(False, "no\n")]


def test_commands_are_found_in_a_script() -> None:
    script = (
        "# all of it\n"
        "A=1 neurohorizon train demo \\\n    model.width=64  # narrow\n"
        "$ make env && neurohorizon doctor > log.txt | tail -1\n"
    )
    assert read_commands(script) == [
        ["neurohorizon", "train", "demo", "model.width=64"],
        ["make", "env"],
        ["neurohorizon", "doctor"],
        ["tail", "-1"],
    ]


@pytest.mark.parametrize("line", ["docter", "doctor --loudly", "doctor twice", "--loudly"])
def test_a_command_that_does_not_exist_is_refused(line: str) -> None:
    assert refuse(line.split())


@pytest.mark.parametrize("line", ["", "doctor", "--help", "doctor --help", "--version"])
def test_a_command_that_exists_is_not_refused(line: str) -> None:
    assert refuse(line.split()) is None


def test_every_room_has_a_page(root: Path) -> None:
    rooms = {path.parent.name for path in (root / "src" / "neurohorizon").glob("*/__init__.py")}
    pages = {path.stem for path in (root / "docs" / "api").glob("*.md")}
    assert rooms - pages == {"cli"}


def test_the_site_builds(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "atomic_path" in (tmp_path / "api" / "ops" / "index.html").read_text()


def test_the_places_that_contributors_are_sent_to_exist(root: Path) -> None:
    named = re.findall(r"`([\w./]+(?:/|\.\w+))`", (root / "CONTRIBUTING.md").read_text())
    places = {name for name in named if "/" in name or name.endswith((".py", ".toml", ".md"))}
    assert {"cli/app.py", "tests/house/", "pyproject.toml"} <= places
    missing = {
        name
        for name in places
        if not (root / name).exists() and not (root / "src" / "neurohorizon" / name).exists()
    }
    assert missing == set()
