"""One writer at a time: the second is told, and nothing is left of the lock."""

import errno
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


@pytest.mark.parametrize(("code", "refused"), [(errno.ENOLCK, False), (errno.EAGAIN, True)])
def test_a_file_system_that_cannot_lock_is_no_somebody_else(tmp_path, monkeypatch, code, refused):
    def flock(*_):
        raise OSError(code, "what flock says")

    monkeypatch.setattr("fcntl.flock", flock)
    if refused:
        with pytest.raises(DataError, match="at work"), locked(tmp_path, ".lock", busy="at work"):
            pass
    else:
        with locked(tmp_path, ".lock", busy="at work"):
            pass


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
