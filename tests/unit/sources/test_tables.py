import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.recordings.store import write_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.sources.tables import convert, find_files

pd = pytest.importorskip("pandas")

RANDOM = np.random.default_rng(0)
TIMES = {"a": np.sort(RANDOM.random(200) * 60), "b": np.sort(RANDOM.random(100) * 60)}


@pytest.fixture
def frame():
    """Two units, their spikes shuffled, with areas and one animal."""
    rows = [
        {"t": time, "cell": unit, "where": {"a": "V1", "b": "CA1"}[unit], "animal": "rat 7"}
        for unit, times in TIMES.items()
        for time in times
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


NAMES = {"time": "t", "unit": "cell", "area": "where", "subject": "animal"}


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_spikes_areas_and_animal(frame, tmp_path, ending):
    path = tmp_path / f"ses 1{ending}"
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    recording = convert(path, **NAMES)
    assert recording.id == "ses_1"
    assert recording.subject == "rat_7"
    assert recording.units.id.tolist() == ["a", "b"]
    assert recording.units.area.tolist() == ["V1", "CA1"]
    assert np.all(np.diff(recording.spike_times) >= 0)
    for index, times in enumerate(TIMES.values()):
        own = recording.spike_times[recording.spike_unit_index == index]
        np.testing.assert_array_equal(own, times)
    assert not [f for f in validate_recording(recording) if f.severity == "error"]
    first = write_recording(recording, tmp_path / "1.h5").read_bytes()
    assert write_recording(convert(path, **NAMES), tmp_path / "2.h5").read_bytes() == first


def write(path, text):
    path.write_text(text)
    return path


def test_least_table_with_numbers_for_units(tmp_path):
    recording = convert(write(tmp_path / "a.csv", "time, unit\n0.5, 10\n0.25, 2\n1.5, 10\n"))
    assert recording.units.id.tolist() == ["unit_2", "unit_10"]
    assert recording.spike_times.tolist() == [0.25, 0.5, 1.5]
    assert recording.spike_unit_index.tolist() == [0, 1, 1]
    assert recording.domain.tolist() == [[0.0, 2.0]]
    assert recording.subject == "unknown"


@pytest.mark.parametrize(
    ("text", "reason", "names"),
    [
        ("t,unit\n1,1\n", "no column 'time', found t, unit; name them with time=", {}),
        ("time,unit\n1,1\n", "no column 'where'", {"area": "where"}),
        ("time,unit\n", "no rows", {}),
        ("time,unit\n1.0,1\nsoon,1\n", "row 2 says 'soon'; times are seconds", {}),
        ("time,unit\n1.0,1\n,1\n", "1 rows without a time .the first is row 2", {}),
        ("time,unit\n1.0,1\n2.0,\n", "'unit' is empty in row 2", {}),
        ("time,unit\n1.0,1.5\n", "fractions", {}),
        ("time,unit,x\n1,1,V1\n2,1,V2\n", "unit_1 lies in 'V1' and in 'V2'", {"area": "x"}),
        ("time,unit,x\n1,1,m1\n2,1,m2\n", "names 2 animals .m1, m2.", {"subject": "x"}),
        ("", "not a readable table", {}),
    ],
)
def test_refusals(tmp_path, text, reason, names):
    with pytest.raises(DataError, match=reason) as caught:
        convert(write(tmp_path / "a.csv", text), **names)
    assert "\n" not in str(caught.value)


def test_other_files(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        convert(tmp_path / "none.csv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="not a readable table"):
        convert(tmp_path / "a.parquet")


def test_files_are_found(tmp_path):
    for name in ("b.csv", "a.parquet", "notes.txt", "c.CSV"):
        (tmp_path / name).touch()
    assert [path.name for path in find_files(tmp_path)] == ["a.parquet", "b.csv", "c.CSV"]
    assert find_files(tmp_path / "b.csv") == [tmp_path / "b.csv"]
