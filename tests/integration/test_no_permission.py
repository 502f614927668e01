"""What may not be read or written: one line, exit code 2, nothing left behind."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import allen_world
import ibl_world
import tvsd_world
from neurohorizon.cli.app import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of another kind")
NOBODY = 65534


@pytest.fixture(scope="module")
def folder():
    """Files of several sources; prepared once, so that all libraries are loaded by now."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    times = np.sort(np.random.default_rng(0).uniform(0, 100, 900))
    for name in ("npz", "table", "nwb", "ibl", "tvsd"):
        (path / name).mkdir()
    np.savez(path / "npz" / "a.npz", spike_times=times, unit_index=np.arange(900) % 3)
    rows = [f"{time},{number % 3}" for number, time in enumerate(times)]
    (path / "table" / "a.csv").write_text("\n".join(["time,unit", *rows]))
    allen_world.write_session(path / "nwb" / "a.nwb")
    ibl_world.write_session(path / "ibl")
    tvsd_world.write_monkey(path / "tvsd" / "monkeyF")
    for name in ("npz", "table", "nwb", "ibl", "tvsd"):
        words = ["min_units=1"] if name == "ibl" else []
        command = ["data", "prepare", name, str(path / name), *words]
        assert main([*command, "--out", str(path / "made" / name)]) == 0
    assert main(["data", "show", str(path / "made" / "npz")]) == 0
    yield path
    shutil.rmtree(path)


@pytest.fixture
def as_nobody():
    """Give up the rights of root, who may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


@pytest.fixture
def closed(folder, request):
    path = next(folder.rglob(request.param))
    mode = path.stat().st_mode
    path.chmod(0)
    yield path
    path.chmod(mode)


@pytest.mark.parametrize(
    ("closed", "source"),
    [
        ("a.npz", "npz"),
        ("a.csv", "table"),
        ("a.nwb", "nwb"),
        ("a.nwb", "allen"),
        ("*spikes.times*", "ibl"),
        ("THINGS_normMUA.mat", "tvsd"),
    ],
    indirect=["closed"],
)
def test_a_file(closed, source, folder, capsys, as_nobody):
    where = folder / ("nwb" if source == "allen" else source)
    out = Path(tempfile.gettempdir()) / f"neurohorizon_{os.getpid()}"
    assert main(["data", "prepare", source, str(where), "--out", str(out)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert f"error: {closed}: cannot be read (Permission denied)" in lines
    assert not out.exists()


@pytest.mark.parametrize("closed", ["npz"], indirect=True)
def test_a_folder(closed, folder, capsys, as_nobody):
    for command in (
        ["data", "prepare", "npz", str(closed), "--out", str(folder / "other")],
        ["data", "show", str(closed)],
    ):
        assert main(command) == 2
        assert f"{closed}: cannot be read (Permission denied)" in capsys.readouterr().err


def test_a_place_to_write_to(folder, capsys, as_nobody):
    if os.access(folder / "made", os.W_OK, effective_ids=True):
        pytest.skip("this user owns the folder")
    out = folder / "made" / "other"
    assert main(["data", "prepare", "npz", str(folder / "npz"), "--out", str(out)]) == 2
    assert f"{out}: cannot be written (Permission denied)" in capsys.readouterr().err
    assert not out.exists()
