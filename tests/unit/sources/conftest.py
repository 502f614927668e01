import pytest

from dandi_server import DandiServer
from neurohorizon.sources import dandi_archive
from range_server import serving


@pytest.fixture
def dandi(monkeypatch):
    """An archive on this machine, spoken to by the dandi client."""
    pytest.importorskip("dandi")
    with serving() as server:
        monkeypatch.setattr(dandi_archive, "API_URL", f"{server.url}/api")
        monkeypatch.setenv("DANDI_NO_ET", "1")
        yield DandiServer(server)
