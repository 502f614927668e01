"""A file is there whole or not at all, and an error says which one."""

import errno
from concurrent.futures import ThreadPoolExecutor

import pytest

from neurohorizon.ops.files import atomic_path


def fail(path, error, *, do=lambda temporary: temporary.write_text("half")):
    """Write something, then meet an error."""
    with atomic_path(path) as temporary:
        do(temporary)
        raise error


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / "a" / "b" / "c.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("all of it")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert [file.name for file in path.parent.iterdir()] == ["c.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_leaves_nothing_not_even_folders(tmp_path, error):
    with pytest.raises(error):
        fail(tmp_path / "a" / "b" / "c.txt", error)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_old_file_and_the_neighbours(tmp_path):
    def make_folder(temporary):
        temporary.mkdir()
        (temporary / "part").touch()

    files = [tmp_path / "a" / "c.txt", tmp_path / "a" / "d.txt"]
    for path in files:
        with atomic_path(path) as temporary:
            temporary.write_text("old")
    with pytest.raises(KeyError):
        fail(files[0], KeyError, do=make_folder)
    assert [path.read_text() for path in files] == ["old", "old"]
    assert sorted(files[0].parent.iterdir()) == files


def test_of_writers_of_the_same_folder_none_fails_and_the_folder_is_whole(tmp_path):
    def write(who):
        for _ in range(40):
            with atomic_path(tmp_path / "results") as temporary:
                temporary.mkdir()
                for name in "abc":
                    (temporary / name).write_text(str(who))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert len({path.read_text() for path in (tmp_path / "results").iterdir()}) == 1


def test_folders_that_somebody_else_came_to_use_stay(tmp_path):
    other = tmp_path / "a" / "other.txt"
    with pytest.raises(KeyError):
        fail(tmp_path / "a" / "b" / "c.txt", KeyError, do=lambda _: other.touch())
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", other]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_names_the_file_that_was_wanted(tmp_path, code):
    with pytest.raises(OSError, match="what write") as caught:
        fail(tmp_path / "c.txt", OSError(code, "what write() says"))
    assert caught.value.filename == str(tmp_path / "c.txt")


def test_no_error_names_the_temporary_file(tmp_path):
    path = tmp_path / "c.txt"

    def deny(temporary):
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))

    with pytest.raises(PermissionError) as caught:
        fail(path, KeyError, do=deny)
    assert caught.value.filename == str(path)


def test_errors_about_something_else_stay_as_they_are(tmp_path):
    with pytest.raises(ConnectionResetError) as reset:
        fail(tmp_path / "c.txt", ConnectionResetError(errno.ECONNRESET, "by peer"))
    assert reset.value.filename is None
    missing = tmp_path / "input.txt"
    with pytest.raises(FileNotFoundError) as absent:
        fail(tmp_path / "c.txt", KeyError, do=lambda _: missing.read_text())
    assert absent.value.filename == str(missing)
