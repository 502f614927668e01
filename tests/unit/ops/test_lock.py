"""One writer at a time: the second is told, and nothing is left of the lock."""

import subprocess
import sys

import pytest

from neurohorizon.errors import DataError
from neurohorizon.ops.lock import locked


def test_the_second_is_told_and_the_lock_goes_away(tmp_path):
    folder = tmp_path / "a" / "b"
    with locked(folder, ".lock", busy="at work"):
        assert (folder / ".lock").is_file()
        with pytest.raises(DataError, match="somebody else is at work there"):  # noqa: SIM117
            with locked(folder, ".lock", busy="at work"):
                pass
    assert list(tmp_path.iterdir()) == []
    with locked(folder, ".lock", busy="at work"):
        (folder / "kept").touch()
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_a_process_that_inherited_the_lock_holds_it(tmp_path):
    with locked(tmp_path, ".lock", busy="at work") as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()]
        )
        kept = (tmp_path / ".lock").rename(tmp_path / ".kept")  # as if its owner was killed
    kept.rename(tmp_path / ".lock")
    with pytest.raises(DataError, match="at work"), locked(tmp_path, ".lock", busy="at work"):
        pass
    child.communicate(b"\n", timeout=30)
    with locked(tmp_path, ".lock", busy="at work"):
        pass
