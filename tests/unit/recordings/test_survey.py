"""Folders of recordings, whole and broken."""

import json
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.recordings.store import list_recordings, write_recording
from neurohorizon.recordings.survey import survey, survey_record
from worlds import poisson_recording


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        recording = poisson_recording(seed=seed, name=f"s{seed}", num_units=4 + seed)
        area = np.array(["V1", "", *["CA1"] * (2 + seed)])
        recording = replace(recording, units=replace(recording.units, area=area))
        write_recording(recording, tmp_path / f"s{seed}.h5")
    return tmp_path


def test_each_recording_is_described(folder):
    steps = []
    files = list_recordings(folder)
    rows = survey(files, progress=lambda *step: steps.append(step))
    assert [row.id for row in rows] == ["s0", "s1", "s2"]
    assert rows[2].units_by_area == {"CA1": 4, "V1": 1, "unknown": 1}
    assert rows[0].num_spikes == pytest.approx(rows[0].rate_hz.sum() * rows[0].duration_s)
    assert steps == [(0, 3, "s0.h5"), (1, 3, "s1.h5"), (2, 3, "s2.h5"), (3, 3, "")]


def test_totals_are_sums_and_fit_into_json(folder):
    record = survey_record(survey(list_recordings(folder)))
    assert record["recordings"] == 3
    assert record["units"] == 15
    assert record["hours"] == pytest.approx(3 / 60, abs=1e-3)
    assert record == json.loads(json.dumps(record))
    assert record["by_recording"][1]["median_rate_hz"] > 0


def test_a_broken_file_is_one_finding_and_stops_no_other(folder):
    (folder / "s1.h5").write_bytes(b"no HDF5")
    rows = survey(list_recordings(folder))
    assert [row.count("error") for row in rows] == [0, 1, 0]
    assert "not an HDF5 file" in rows[1].findings[0].what
    record = survey_record(rows)
    assert (record["recordings"], record["files_that_do_not_open"]) == (2, 1)
    assert record["findings"]["error"] == 1
