"""Continuous values per unit: stored, read, validated, and refused where spikes are wanted."""

from dataclasses import replace

import numpy as np
import pytest
from torch_brain.data import Data

from neurohorizon.configs.load import load_config
from neurohorizon.configs.sessions import prepare_recording
from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Series, Units
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.report.signal_card import compute_signal_card, draw_signal_card

TIMES = 5.0 + np.arange(3000) / 30.0
VALUES = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)


def recording(values=VALUES, **change) -> Recording:
    domain = np.array([[TIMES[0], np.nextafter(TIMES[-1], np.inf)]])
    running = Series(TIMES, np.sin(TIMES)[:, None], unit="cm/s")
    made = Recording(
        id="calcium",
        subject="mouse",
        source="tests",
        spike_times=np.empty(0),
        spike_unit_index=np.empty(0, dtype=np.int64),
        units=replace(Units.numbered(4), area=np.array(["V1", "LM", "V1", ""])),
        domain=domain,
        series={"running": running},
        signals={"calcium.dff": Series(TIMES, values, unit="dF/F")},
        split=split_in_time(domain),
    )
    return replace(made, **change)


def test_signals_come_back_as_they_were(tmp_path):
    path = write_recording(recording(), tmp_path / "a.h5")
    again = open_recording(path)
    signal = again.signals["calcium.dff"]
    np.testing.assert_array_equal(signal.values, VALUES)
    assert signal.values.dtype == np.float32
    assert isinstance(signal.values, np.memmap)
    np.testing.assert_array_equal(signal.timestamps, TIMES)
    assert signal.unit == "dF/F"
    assert list(again.series) == ["running"]
    assert len(again.spike_times) == 0
    assert again.require_split().train.tolist() == recording().require_split().train.tolist()
    with Data.load(path) as data:
        part = data.slice(10.0, 20.0, reset_origin=False)
        np.testing.assert_array_equal(part.calcium.dff, VALUES[150:450])


def test_spikes_and_signals_lie_side_by_side(tmp_path):
    both = recording(spike_times=np.array([6.0, 7.0, 8.0]), spike_unit_index=np.array([0, 1, 3]))
    again = open_recording(write_recording(both, tmp_path / "a.h5"))
    assert again.spike_times.tolist() == [6.0, 7.0, 8.0]
    assert list(again.signals) == ["calcium.dff"]


def test_units_are_selected_with_their_signals():
    chosen = recording().select_units(np.array([2, 0]))
    np.testing.assert_array_equal(chosen.signals["calcium.dff"].values, VALUES[:, [2, 0]])
    assert chosen.units.area.tolist() == ["V1", "V1"]


def test_another_programs_file_without_spikes_is_read_by_its_columns(tmp_path):
    path = write_recording(recording(), tmp_path / "a.h5")
    import h5py

    with h5py.File(path, "a") as file:
        del file["signals"]
    again = open_recording(path)
    assert list(again.signals) == ["calcium.dff"]
    assert list(again.series) == ["running"]


def test_a_good_recording_has_no_warning_and_a_dead_unit_is_told():
    severe = [each for each in validate_recording(recording()) if each.severity != "note"]
    assert not severe
    dead = VALUES.copy()
    dead[:, 1] = 0.5
    dead[7, 2] = np.nan
    findings = [str(each) for each in validate_recording(recording(dead))]
    assert any("1 of 4 units never change: unit_0001" in each for each in findings), findings
    assert any("values are missing" in each for each in findings)


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ({"dff": Series(TIMES, VALUES[:, :3])}, r"shape \(3000, 3\), expected one column for each"),
        ({"running": Series(TIMES, VALUES)}, "both called 'running'"),
        ({"units": Series(TIMES, VALUES)}, "signal cannot be called 'units'"),
        ({"dff": Series(TIMES[::-1], VALUES)}, "must be sorted"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path, signals, reason):
    with pytest.raises(DataError, match=reason):
        write_recording(recording(signals=signals), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_a_forecast_wants_spikes(tmp_path):
    config = load_config("nwb", [f"data.recordings={tmp_path}"]).config
    with pytest.raises(DataError, match=r"holds signals \(calcium.dff\) and no spikes"):
        prepare_recording(recording(), config, path=tmp_path / "a.h5")


def test_the_card_shows_standardised_values():
    card = compute_signal_card(recording(VALUES * 3 + 2))
    np.testing.assert_allclose(card.deviation, 3.0, rtol=0.05)
    assert abs(card.skewness).max() < 0.2
    assert [area for area, _ in card.rows] == ["unknown", "LM", "V1"]
    np.testing.assert_allclose(np.std(card.shown), 1.0, rtol=0.05)
    draw_signal_card(card)
