from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.sources import nwb
from neurohorizon.sources.nwb.files import open_nwb
from neurohorizon.sources.nwb.signals import unit_signals

pynwb = pytest.importorskip("pynwb")

NUM_TIMES, NUM_ROIS = 120, 5
TIMES = np.arange(NUM_TIMES) / 30 + 2
VALUES = np.random.default_rng(0).normal(size=(NUM_TIMES, NUM_ROIS))


def imaging(file):
    """Follow https://pynwb.readthedocs.io/en/stable/tutorials/domain/ophys.html."""
    device = file.create_device("microscope")
    plane = file.create_imaging_plane(
        name="plane",
        optical_channel=pynwb.ophys.OpticalChannel(
            name="green", description="GCaMP6f", emission_lambda=520.0
        ),
        description="V1",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP6f",
        location="V1",
    )
    table = pynwb.ophys.PlaneSegmentation(
        name="PlaneSegmentation", description="cells", imaging_plane=plane
    )
    table.add_column("cell_specimen_id", "of the cell across sessions")
    for roi in range(NUM_ROIS + 2):
        table.add_roi(pixel_mask=[(roi, 0, 1.0)], id=100 + roi, cell_specimen_id=5000 + roi)
    segmentation = pynwb.ophys.ImageSegmentation(plane_segmentations=[table])
    module = file.create_processing_module("ophys", "calcium")
    module.add(segmentation)
    # Not all regions, and not the first ones.
    region = table.create_roi_table_region("some", region=list(range(2, NUM_ROIS + 2)))
    for kind, name, scale in (
        (pynwb.ophys.Fluorescence, "RoiResponseSeries", 10.0),
        (pynwb.ophys.DfOverF, "RoiResponseSeries", 1.0),
    ):
        module.add(
            kind(
                roi_response_series=pynwb.ophys.RoiResponseSeries(
                    name=name,
                    data=VALUES,
                    rois=region,
                    timestamps=TIMES,
                    unit="lumens",
                    conversion=scale,
                )
            )
        )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = pynwb.NWBFile("tests", "id-1", datetime(2024, 1, 2, tzinfo=UTC))
    imaging(file)
    module = file.create_processing_module("ecephys", "rates")
    device = file.create_device("array")
    group = file.create_electrode_group("array", "Utah", "V4", device)
    for number in range(4):
        file.add_electrode(id=10 + number, location="V4", group=group)
    electrodes = file.create_electrode_table_region([3, 1, 2], "good ones")
    module.add(
        pynwb.ecephys.ElectricalSeries(
            name="MUA", data=np.ones((50, 3)), electrodes=electrodes, rate=1000.0, conversion=1e-6
        )
    )
    counts = np.arange(3000 * 4, dtype=np.int16).reshape(4, 3000)
    module.add(pynwb.TimeSeries(name="binned_spikes", data=counts, rate=50.0, unit="counts"))
    module.add(pynwb.TimeSeries(name="hand_velocity", data=np.ones((9, 2)), rate=1.0, unit="m/s"))
    module.add(pynwb.TimeSeries(name="mua_mean", data=np.ones(9), rate=1.0, unit="V"))
    path = tmp_path_factory.mktemp("signals") / "a.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as writer:
        writer.write(file)
    return path


@pytest.fixture(scope="module")
def signals(path):
    with open_nwb(path) as file:
        return unit_signals(file)


def test_which_are_signals_of_units(signals):
    assert set(signals) == {
        "Fluorescence_RoiResponseSeries",
        "DfOverF_RoiResponseSeries",
        "MUA",
        "binned_spikes",
    }


def test_fluorescence_with_the_names_of_its_regions(signals):
    times, values, names, unit = signals["Fluorescence_RoiResponseSeries"]
    np.testing.assert_array_equal(times, TIMES)
    np.testing.assert_allclose(values, VALUES * 10)
    assert names.tolist() == ["5002", "5003", "5004", "5005", "5006"]
    assert unit == "lumens"
    np.testing.assert_allclose(signals["DfOverF_RoiResponseSeries"].values, VALUES)


def test_mua_is_named_by_its_electrodes(signals):
    mua = signals["MUA"]
    assert mua.names.tolist() == ["electrode_13", "electrode_11", "electrode_12"]
    np.testing.assert_allclose(mua.values, 1e-6)
    np.testing.assert_allclose(mua.timestamps, np.arange(50) / 1000)


def test_thousands_of_columns(signals):
    binned = signals["binned_spikes"]
    assert binned.values.shape == (4, 3000)
    assert binned.values[1, 0] == 3000
    assert binned.names[[0, -1]].tolist() == ["unit_0", "unit_2999"]
    np.testing.assert_allclose(binned.timestamps, [0, 0.02, 0.04, 0.06])


def test_units_first_is_turned_by_the_table(tmp_path):
    file = pynwb.NWBFile("tests", "id-1", datetime(2024, 1, 2, tzinfo=UTC))
    imaging(file)
    path = tmp_path / "a.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as writer:
        writer.write(file)
    with h5py.File(path, "r+") as stored:
        series = stored["processing/ophys/Fluorescence/RoiResponseSeries"]
        about = dict(series["data"].attrs)
        del series["data"]
        series["data"] = VALUES.T
        series["data"].attrs.update(about)
    with open_nwb(path) as opened:
        signal = unit_signals(opened)["Fluorescence_RoiResponseSeries"]
    np.testing.assert_allclose(signal.values, VALUES * 10)


def test_a_file_without_spikes_becomes_a_recording_of_its_largest_population(
    path, signals, tmp_path
):
    recording = nwb.convert(path)
    assert len(recording.spike_times) == 0
    assert list(recording.signals) == ["binned_spikes"]
    assert "MUA (its units are not those of the other signals)" in recording.metadata["left_out"]
    assert "binned_spikes" not in recording.series
    assert "hand_velocity" in recording.series
    assert recording.units.id.tolist() == signals["binned_spikes"].names.tolist()
    again = open_recording(write_recording(recording, tmp_path / "a.h5"))
    signal = again.signals["binned_spikes"]
    np.testing.assert_array_equal(signal.values, signals["binned_spikes"].values)
    assert signal.unit == "counts"
    assert again.domain[0].tolist() == [0.0, np.nextafter(0.06, np.inf)]
