"""The page on a folder of recordings."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.recordings.survey import Surveyed
from neurohorizon.recordings.validate import Finding
from neurohorizon.report.overview import MOST_AREAS, compute_overview, draw_overview


def surveyed(number: int, *, source: str = "a", units: int = 10, **change) -> Surveyed:
    row = Surveyed(
        file=f"{number}.h5",
        id=str(number),
        subject=f"m{number // 2}",
        source=source,
        num_units=units,
        num_spikes=1000,
        duration_s=1800.0,
        rate_hz=np.full(units, 2.0),
        units_by_area={"V1": units - 2, f"area{number}": 2},
        behaviour=(),
        tables=(),
        findings=(),
    )
    return replace(row, **change)


def test_sums_by_source_and_area():
    rows = [surveyed(0), surveyed(1, units=30), surveyed(2, source="b"), surveyed(3, source="b")]
    rows.append(surveyed(4, source="b"))
    overview = compute_overview(rows, title="mine")
    assert overview.sources == ["b", "a"]
    assert overview.hours.tolist() == [1.5, 1.0]
    assert overview.num_units.tolist() == [30, 10, 10, 10, 10]
    assert overview.unit_source[0] == 1
    assert (overview.areas[0], overview.area_units[0]) == ("V1", 60)
    assert overview.area_units.sum() == 70
    assert "5 recordings of 3 subjects, 70 units" in overview.summary


def test_many_areas_and_sources_are_gathered():
    rows = [surveyed(number, source=f"source{number}") for number in range(30)]
    overview = compute_overview(rows, title="many")
    assert len(overview.areas) == MOST_AREAS + 1
    assert overview.areas[-1] == f"{31 - MOST_AREAS} others"
    assert overview.area_units.sum() == 300
    assert overview.sources[-1] == "others"
    assert overview.hours.sum() == pytest.approx(15.0)
    assert sum(len(rates) for rates in overview.rates) == 300
    draw_overview(overview)


def test_findings_count_recordings():
    error, warning = Finding("error", "x", "y"), Finding("warning", "x", "y")
    broken = surveyed(3, id="", num_units=0, rate_hz=np.empty(0), findings=(error,))
    rows = [surveyed(0, findings=(warning, warning)), surveyed(1, findings=(warning, error))]
    overview = compute_overview([*rows, surveyed(2), broken], title="mine")
    assert overview.findings == {"error": 2, "warning": 1, "clean": 1}


def test_a_folder_without_one_good_file():
    with pytest.raises(DataError, match="none of 1 files opens"):
        compute_overview([surveyed(0, id="")], title="mine")
