"""What the tests of commands share."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def only_error(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return a function that requires one clear line on stderr since the last call: that line."""

    def read() -> str:
        err = capsys.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith("error:")]
        assert len(lines) == 1, err
        assert "Traceback" not in err
        return lines[0]

    return read
