"""Who may import whom: the contracts in pyproject.toml hold, and they bite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = "rooms import downwards only, and no neighbour"
PLAIN = "from training down: no configuration, no figures, no tracker"
PURE = "ops is numpy and scipy alone"
NO_TORCHVISION = "nothing needs torchvision, nor what needs it"

# The package beside the contracts is judged, whichever one is installed.
RUN = """
import sys
sys.path.insert(0, "src")
from importlinter.cli import lint_imports_command
lint_imports_command(["--no-cache", "--no-logo"])
"""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_contracts_are_kept(root: Path) -> None:
    done = lint_imports(root)
    assert done.returncode == 0, done.stdout + done.stderr
    for contract in (ROOMS, PLAIN, PURE, NO_TORCHVISION):
        assert f"{contract} KEPT" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("recordings/__init__.py", "import neurohorizon.nn", ROOMS),
        ("configs/__init__.py", "import neurohorizon.report", ROOMS),
        ("ops/__init__.py", "from neurohorizon.recordings import schema", ROOMS),
        ("cellar/__init__.py", "number = 1", ROOMS),
        ("ops/__init__.py", "import torch", PURE),
        ("training/__init__.py", "import wandb", PLAIN),
        ("evaluation/__init__.py", "def draw():\n    import matplotlib.pyplot", PLAIN),
        ("nn/__init__.py", "from pydantic import BaseModel", PLAIN),
        ("cli/__init__.py", "from torchvision import ops", NO_TORCHVISION),
    ],
)
def test_a_forbidden_import_is_caught(
    root: Path, tmp_path: Path, file: str, line: str, contract: str
) -> None:
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    changed = tmp_path / "src" / "neurohorizon" / file
    changed.parent.mkdir(exist_ok=True)
    with changed.open("a") as stream:
        stream.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout, done.stdout
