"""The tutorials run, command by command, on small simulated stand-ins of what they download.

Trainings are cut to a few steps; that the numbers of a tutorial are right is for the benchmarks.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from decoding_worlds import maze_recording
from fences import read_fences
from neurohorizon.recordings.store import write_recording

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))
#: What makes a command small: its start, what is taken out of it, and what is added.
SHORT = (
    (
        "neurohorizon train ",
        "",
        "training.max_epochs=1 training.steps_per_epoch=3 'evaluation.rows=[mean,Wiener,Bayes]'",
    ),
    (
        "neurohorizon simulate ventral-stream ",
        r" --num-categories \d+ --images-per-category \d+",
        "--num-categories 40 --images-per-category 4 --test-images 24 --repeats 4",
    ),
    (
        "neurohorizon bridge align ",
        "",
        "training.budget=1 training.num_seeds=1 training.max_steps=20",
    ),
)


def shortened(line: str) -> str:
    """Make a command small."""
    for start, without, more in SHORT:
        if line.startswith(start):
            return f"{re.sub(without, '', line.rstrip()) if without else line.rstrip()} {more}\n"
    return line


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "ca1_maze").mkdir(parents=True)
    for seed, name in enumerate(("linear-track", "w-maze")):
        recording = maze_recording(name, duration_s=90.0, seed=seed)
        write_recording(recording, tmp_path / "data" / "ca1_maze" / f"{name}.h5")
    text = page.read_text()
    # What is downloaded is not there; stand-ins are, for what follows in fences of their own.
    fences = [script for _, script in read_fences(text) if "neurohorizon data fetch" not in script]
    bash = "".join(shortened(line) for line in "".join(fences).splitlines(keepends=True))
    assert "training.max_" in bash, "a tutorial trains something"
    python = "".join(script for _, script in read_fences(text, language="python"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in (["bash", "-euxo", "pipefail", "-c", bash], [sys.executable, "-c", python]):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "MPLBACKEND": "Agg"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    # Pictures and pages that the text speaks of are there.
    told = re.findall(r"[\w/.-]+\.(?:png|html)", text)
    assert told, "a tutorial shows something"
    missing = [name for name in told if not (tmp_path / name).is_file()]
    assert not missing, missing
