import socket
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.sources import dandi_archive
from neurohorizon.sources.nwb import convert
from neurohorizon.sources.nwb.files import _url, find_nwb, is_address, name_of, open_hdf5
from range_server import serving

pynwb = pytest.importorskip("pynwb")
pytest.importorskip("remfile")

TRAINS = [np.arange(unit + 1, 60, 0.25) for unit in range(4)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Spikes, behaviour, and a raw voltage that makes up most of the file."""
    file = pynwb.NWBFile(
        session_description="tests",
        identifier="id-1",
        session_start_time=datetime(2024, 1, 2, tzinfo=UTC),
        subject=pynwb.file.Subject(subject_id="m1", species="Mus musculus"),
    )
    for times in TRAINS:
        file.add_unit(spike_times=times)
    voltage = np.random.default_rng(0).integers(-99, 99, (250_000, 64), dtype=np.int16)
    file.add_acquisition(pynwb.TimeSeries(name="voltage", data=voltage, rate=30_000.0, unit="V"))
    module = file.create_processing_module("behavior", "all of it")
    module.add(pynwb.TimeSeries(name="speed", data=np.zeros(100_000), rate=1e4, unit="cm/s"))
    file.add_trial(start_time=1.0, stop_time=2.0)
    path = tmp_path_factory.mktemp("nwb") / "ses 1.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as writer:
        writer.write(file)
    return path


@pytest.fixture
def server(path):
    with serving() as server:
        server.files["/data/ses%201.nwb"] = path.read_bytes()
        yield server


def assert_same_spikes(recording, path):
    local = convert(path)
    np.testing.assert_array_equal(recording.spike_times, local.spike_times)
    np.testing.assert_array_equal(recording.spike_unit_index, local.spike_unit_index)


class TestRemote:
    def test_it_is_the_same_recording(self, server, path, tmp_path):
        recording = convert(f"{server.url}/data/ses%201.nwb?signature=secret")
        assert_same_spikes(recording, path)
        assert recording.id == "ses_1"
        assert set(recording.tables) == {"trials"}
        assert len(recording.series["speed"].timestamps) == 100_000
        assert recording.metadata["address"] == f"{server.url}/data/ses%201.nwb"
        again = open_recording(write_recording(recording, tmp_path / "a.h5"))
        np.testing.assert_array_equal(again.spike_times, recording.spike_times)

    def test_raw_voltage_is_not_fetched(self, server, path):
        convert(f"{server.url}/data/ses%201.nwb")
        assert server.num_bytes_sent < path.stat().st_size / 5

    def test_spikes_alone_cost_a_fraction(self, server, path):
        recording = convert(f"{server.url}/data/ses%201.nwb", behaviour=False)
        assert server.num_bytes_sent < path.stat().st_size / 20
        assert not recording.series
        assert not recording.tables
        assert_same_spikes(recording, path)


class TestRemoteRefusals:
    def refused(self, address):
        with pytest.raises(DataError) as caught:
            convert(address)
        message = str(caught.value)
        assert message.startswith(address)
        assert "\n" not in message
        return message

    def test_not_there(self, server):
        assert "not there (the server answers 404)" in self.refused(f"{server.url}/none.nwb")

    def test_a_web_page(self, server):
        server.files["/login.nwb"] = b"<!DOCTYPE html><html>log in</html>"
        server.kinds["/login.nwb"] = "text/html"
        assert "sent a web page" in self.refused(f"{server.url}/login.nwb")
        server.files["/error.nwb"] = b"<?xml version='1.0'?><Error>AccessDenied</Error>"
        assert "sent a web page" in self.refused(f"{server.url}/error.nwb")

    def test_a_server_of_whole_files(self, server):
        server.with_ranges = False
        assert "sends only whole files; download it" in self.refused(
            f"{server.url}/data/ses%201.nwb"
        )

    def test_something_else(self, server):
        server.files["/a.nwb"] = b"neither HDF5 nor a page" * 100
        assert "not a readable NWB file" in self.refused(f"{server.url}/a.nwb")

    def test_hdf5_that_is_not_nwb(self, server, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = np.zeros(1000)
        server.files["/a.nwb"] = (tmp_path / "a.h5").read_bytes()
        assert "not a readable NWB file" in self.refused(f"{server.url}/a.nwb")

    def test_nobody_listens(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        message = self.refused(f"http://127.0.0.1:{port}/a.nwb")
        assert "cannot be reached" in message
        assert "check the network" in message

    def test_an_unknown_host(self):
        assert "cannot be reached" in self.refused("https://nowhere.invalid/a.nwb")

    def test_a_bucket_without_a_key(self):
        assert "expected s3://bucket/key" in self.refused("s3://bucket")

    def test_reading_that_breaks_off(self, server):
        address = f"{server.url}/data/ses%201.nwb"

        def read_on():
            with open_hdf5(address) as file:
                del server.files["/data/ses%201.nwb"]
                file["acquisition/voltage/data"][200_000:]

        with pytest.raises(DataError, match=r"reading broke off .*404.* try again"):
            read_on()


class TestLocalRefusals:
    def test_a_page_saved_under_the_name(self, tmp_path):
        (tmp_path / "a.nwb").write_text("\n <html><body>Please log in</body></html>")
        with pytest.raises(DataError, match=r"a web page.* was saved under this name"):
            convert(tmp_path / "a.nwb")

    def test_pointers_instead_of_the_file(self, tmp_path):
        (tmp_path / "a.nwb").write_text("version https://git-lfs.github.com/spec/v1\noid x")
        with pytest.raises(DataError, match="git lfs pull"):
            convert(tmp_path / "a.nwb")
        (tmp_path / "b.nwb").symlink_to(".git/annex/objects/b.nwb")
        with pytest.raises(DataError, match="datalad get"):
            convert(tmp_path / "b.nwb")

    def test_a_folder(self, tmp_path):
        with pytest.raises(DataError, match="a folder, expected one NWB file"):
            convert(tmp_path)


class TestAddresses:
    def test_which_are_addresses(self, path):
        for where in (
            "https://x.org/a.nwb",
            "s3://b/a.nwb",
            "dandi://000021/a.nwb",
            "58703c97-c0a9-4736-b684-73c85c1a444a",
        ):
            assert is_address(where)
        for where in (path, str(path), "a.nwb", r"C:\data\a.nwb"):
            assert not is_address(where)

    def test_buckets_are_read_over_https(self):
        assert _url("s3://dandiarchive/blobs/a b.nwb") == (
            "https://dandiarchive.s3.amazonaws.com/blobs/a%20b.nwb"
        )

    def test_names(self, path):
        assert name_of(path) == "ses 1"
        assert name_of("dandi://000021/sub-1/ses-2.nwb") == "ses-2"

    def test_places_are_found(self, path):
        assert find_nwb(path.parent) == [path]
        assert find_nwb(str(path)) == [path]
        assert find_nwb("https://x.org/a.nwb") == ["https://x.org/a.nwb"]


class TestDandi:
    def test_by_path_and_by_id(self, dandi, path):
        number = dandi.add(
            "000021", "sub-1/ses-2.nwb", path.stat().st_size, content=path.read_bytes()
        )
        dandi.add("000021", "sub-1/ses-2.nwb.bak", 1)
        recording = convert("dandi://000021/sub-1/ses-2.nwb")
        assert_same_spikes(recording, path)
        assert recording.id == "ses-2"
        assert_same_spikes(convert(number), path)
        # The bucket's address is asked, not the archive's, which sends on to it each time.
        assert not [asked for asked in dandi.server.asked if asked.endswith("/download/")]

    def test_what_lies_in_a_folder(self, dandi):
        for name in ("sub-1/b.nwb", "sub-1/a.nwb", "sub-1/notes.txt", "sub-2/c.nwb"):
            dandi.add("000021", name, 1)
        assert find_nwb("dandi://000021/sub-1") == [
            "dandi://000021/sub-1/a.nwb",
            "dandi://000021/sub-1/b.nwb",
        ]
        assert len(find_nwb("dandi://000021")) == 3
        assert len(find_nwb("dandi://dandi/000021")) == 3
        with pytest.raises(DataError, match="no NWB files there"):
            find_nwb("dandi://000021/sub-3")

    def test_refusals(self, dandi):
        dandi.add("000021", "sub-1/a.nwb", 1)
        with pytest.raises(DataError, match="000021 has no file of this path"):
            convert("dandi://000021/sub-1/b.nwb")
        with pytest.raises(DataError, match="no such data set or file"):
            convert("dandi://000099/sub-1/b.nwb")
        with pytest.raises(DataError, match="no such data set or file"):
            convert("58703c97-c0a9-4736-b684-73c85c1a444a")
        with pytest.raises(DataError, match=r"expected dandi://000021/path"):
            convert("dandi://allen/b.nwb")

    def test_no_network(self, monkeypatch):
        pytest.importorskip("dandi")
        monkeypatch.setattr(dandi_archive, "API_URL", "http://127.0.0.1:9/api")
        with pytest.raises(DataError, match="DANDI cannot be reached"):
            convert("dandi://000021/sub-1/b.nwb")
