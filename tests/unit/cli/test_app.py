"""How the command line behaves when something goes wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurohorizon import __version__
from neurohorizon.cli import app
from neurohorizon.errors import ConfigError, DataError, MissingExtraError


def raise_in_a_verb(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def verb() -> None:
        raise error

    monkeypatch.setattr("neurohorizon.cli.doctor.doctor", verb)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("a.h5 is\n  truncated"), "error: a.h5 is truncated"),
        (ConfigError("no recipe 'x'"), "error: no recipe 'x'"),
        (
            MissingExtraError("pynwb", extra="nwb", purpose="read NWB"),
            "error: pynwb is needed to read NWB and is not installed: "
            "pip install 'neurohorizon[nwb]'",
        ),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a"),
            "error: No space left on device: runs/a "
            "(free some space there and run the same command again)",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs"),
            "error: Permission denied: runs (check who may read and write there)",
        ),
        (OSError("unable to lock file"), "error: unable to lock file"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    line: str,
) -> None:
    raise_in_a_verb(monkeypatch, error)
    assert app.main(["doctor"]) == 2
    out, err = capsys.readouterr()
    assert err == line + "\n"
    assert out == ""


@pytest.mark.parametrize(
    ("tokens", "part"),
    [
        (["docter"], 'Did you mean "doctor"?'),
        (["doctor", "--loud"], "--loud"),
        (["doctor", "twice"], "twice"),
        (["--loud"], "--loud"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tokens: list[str], part: str
) -> None:
    assert app.main(tokens) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert part in err
    assert err.count("\n") == 1
    assert out == ""


def test_an_interruption_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_in_a_verb(monkeypatch, KeyboardInterrupt())
    assert app.main(["doctor"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raise_in_a_verb(monkeypatch, ValueError("shapes differ"))
    with pytest.raises(ValueError, match="shapes differ"):
        app.main(["doctor"])


def test_a_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    raise_in_a_verb(monkeypatch, DataError("empty"))
    monkeypatch.setenv("NEUROHORIZON_TRACEBACK", "1")
    with pytest.raises(DataError, match="empty"):
        app.main(["doctor"])


def test_a_verb_chooses_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurohorizon.cli.doctor.doctor", lambda: 1)
    assert app.main(["doctor"]) == 1
    monkeypatch.setattr("neurohorizon.cli.doctor.doctor", lambda: None)
    assert app.main(["doctor"]) == 0


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_a_verb_in_a_group_is_called_and_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("neurohorizon.cli.doctor.doctor", lambda: 7)
    verbs = (
        app.Verb("data show", "doctor:doctor", "Draw a session card."),
        app.Verb("data list", "nowhere:nothing", "List the data sets."),
    )
    built = app.build_app(verbs=verbs, groups={"data": "Recordings."})
    assert built(["data", "show"]) == 7
    built(["data", "--help"])  # lists the other without importing it
    shown = capsys.readouterr().out
    assert "Draw a session card." in shown
    assert shown.index("show") < shown.index("list")


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    code = (
        "import sys; from neurohorizon.cli import app, doctor\n"
        "doctor.doctor = lambda: [print('x' * 1000) for _ in range(1000)] and None\n"
        "sys.exit(app.main(['doctor']))\n"
    )
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writing_end, stderr=subprocess.PIPE, cwd=tmp_path
    )
    os.close(writing_end)
    assert done.stderr == b""
    assert done.returncode == app.EXIT_BROKEN_PIPE


def test_a_pipe_to_something_else_that_breaks_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_in_a_verb(monkeypatch, BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert app.main(["doctor"]) == 2
    assert capsys.readouterr().err == "error: Broken pipe\n"


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "neurohorizon", "docter"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith('error: Unknown command "docter".')
