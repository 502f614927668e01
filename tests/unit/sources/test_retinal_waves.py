from pathlib import Path

import h5py
import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.sources.retinal_waves import (
    SOURCE,
    convert,
    find_files,
    list_sessions,
    subject_of,
)


def write(path, *, spikes=(0.5, 1.5, 0.2, 7.25), counts=(2, 1, 1), positions=3, **meta):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["spikes"] = np.array(spikes)
        file["sCount"] = np.array(counts, dtype=np.int32)
        file["epos"] = np.arange(2 * positions, dtype=float).reshape(2, positions) * 100
        file["names"] = np.array([b"ch_1a", b"ch_1b", b"ch_2a"])
        for key, value in {"age": 11, "genotype": b"wt", "species": b"mouse", **meta}.items():
            file[f"meta/{key}"] = np.array([value])
    return path


def test_spikes_units_and_metadata(tmp_path):
    path = write(tmp_path / "Demas2003_P11_DR_HY2_1A.h5", cond=b"dr")
    recording = convert(path)
    assert recording.id == "Demas2003_P11_DR_HY2_1A"
    assert recording.spike_times.tolist() == [0.2, 0.5, 1.5, 7.25]
    assert recording.spike_unit_index.tolist() == [1, 0, 0, 2]
    assert recording.units.id.tolist() == ["ch_1a", "ch_1b", "ch_2a"]
    assert recording.units.position_um[:, :2].tolist() == [[0, 300], [100, 400], [200, 500]]
    assert recording.domain.tolist() == [[0.0, 8.0]]
    assert recording.subject == "Demas2003_HY2"
    assert recording.metadata["laboratory"] == "Demas2003"
    assert recording.metadata["condition"] == "dark reared"
    assert recording.metadata["age_days"] == "11"


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("Demas2003_6WK_CTRL_ME1", "Demas2003_ME1"),
        ("Demas2003_P15_CTRL_MEE1_1A", "Demas2003_MEE1"),
        ("Demas2003_P11_CTRL_HY2_1A", "Demas2003_HY2"),
        ("Demas2003_P11_CTRL_HY2_2A", "Demas2003_HY2"),
        ("Kirkby2013_01_WT_P6", "Kirkby2013_WT_01"),
        ("Kirkby2013_01_B2KO_P4", "Kirkby2013_B2KO_01"),
        ("Xu2011_14APR2010R1-RINGER-37C", "Xu2011_2010-04-14"),
        ("Xu2011_14APR2010R2-RINGER-37C", "Xu2011_2010-04-14"),
        ("Xu2011_25AUG2008M3-RINGER", "Xu2011_2008-08-25"),
    ],
)
def test_subject_is_the_animal_or_the_date(name, subject):
    assert subject_of(name) == subject


@pytest.mark.parametrize("name", ["Wong1993_a", "Xu2011_R1", "Kirkby2013_WT"])
def test_name_without_an_animal_is_refused(name):
    with pytest.raises(DataError, match="cannot be held out honestly"):
        subject_of(name)


def test_files_are_found_in_order(tmp_path):
    for name in ("Xu2011/Xu2011_06NOV2007R1-31", "Demas2003/Demas2003_P11_CTRL_HY1_1A"):
        write(tmp_path / f"{name}.h5")
    (tmp_path / "notes.h5").touch()
    assert [path.stem[:5] for path in find_files(tmp_path)] == ["Demas", "Xu201"]
    one = tmp_path / "Xu2011" / "Xu2011_06NOV2007R1-31.h5"
    assert find_files(one) == [one]


@pytest.mark.parametrize(
    "change",
    [{"counts": (2, 1, 2)}, {"positions": 2}, {"spikes": (), "counts": (0, 0, 0)}],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, change):
    path = write(tmp_path / "Kirkby2013_01_WT_P6.h5", **change)
    with pytest.raises(DataError, match="do not fit 3 units"):
        convert(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "Kirkby2013_01_WT_P6.h5"
    path.write_text("no HDF5")
    with pytest.raises(DataError, match="not a readable recording of retinal_waves"):
        convert(path)
    with h5py.File(path, "w") as file:
        file["weather"] = np.zeros(3)
    with pytest.raises(DataError, match="not a readable recording of retinal_waves"):
        convert(path)


def test_every_remote_file_can_be_grouped():
    sessions = list_sessions(Path())
    assert len(sessions) == SOURCE.num_recordings == 54
    assert all(subject_of(session.id) for session in sessions)
    assert sum(session.num_bytes or 0 for session in sessions) > 10e6
