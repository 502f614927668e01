import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from iblutil.io import parquet
from one import params
from one.api import OneAlyx

from ibl_server import alyx_server
from ibl_world import (
    ALLEN_IDS,
    DURATION_S,
    REGIONS,
    WHEEL_HZ,
    spike_trains,
    trials_table,
    write_behaviour,
    write_probe,
    write_regions,
    write_session,
    write_tables,
)
from neurohorizon.cli.app import main
from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.sources.fetch import fetch, plan_fetch
from neurohorizon.sources.ibl import SOURCE, convert, find_files
from neurohorizon.sources.ibl import sessions as ibl_sessions
from neurohorizon.sources.ibl.behaviour import wheel_velocity
from neurohorizon.sources.ibl.files import choose_files

GOOD = [cluster for cluster in range(24) if cluster % 4 != 3]


def train_of(recording, unit_id):
    unit = recording.units.id.tolist().index(unit_id)
    return recording.spike_times[recording.spike_unit_index == unit]


def one_probe(tmp_path, **options):
    """Write a session of one probe with 12 good clusters; no behaviour."""
    session = tmp_path / "Subjects" / "KS023" / "2019-12-10" / "001"
    trains = spike_trains(1, num_clusters=12)
    write_probe(session, trains, label=dict.fromkeys(range(12), 1.0), **options)
    return session


# What comes back


def test_spikes_of_both_probes_come_back_exactly_on_one_clock(tmp_path):
    recording = convert(write_session(tmp_path))
    assert (recording.id, recording.subject) == ("KS023_2019-12-10_001", "KS023")
    assert recording.metadata["laboratory"] == "churchlandlab"
    for probe, seed in (("probe00", 1), ("probe01", 2)):
        trains = spike_trains(seed, num_clusters=24)
        for cluster in GOOD:
            train = train_of(recording, f"{probe}_cluster{cluster}")
            np.testing.assert_array_equal(train, trains[cluster])
    assert recording.num_units == 2 * len(GOOD)
    assert np.all(np.diff(recording.spike_times) >= 0)
    assert recording.domain.tolist() == [[0.0, DURATION_S]]
    assert set(recording.units.quality) == {"1.00"}


def test_a_recording_is_valid_and_written_twice_the_same(tmp_path):
    session = write_session(tmp_path)
    write_regions(tmp_path)
    recording = convert(session)
    findings = [f for f in validate_recording(recording) if "train, valid" not in f.what]
    assert findings == []
    for name in ("a", "b"):
        write_recording(convert(session), tmp_path / f"{name}.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    again = open_recording(tmp_path / "a.h5")
    assert again.units.area.tolist() == recording.units.area.tolist()
    for name in ("wheel.position", "wheel.velocity", "pupil"):
        np.testing.assert_array_equal(again.series[name].values, recording.series[name].values)
    assert again.tables["licks"].start.tolist() == np.arange(5.0, 100.0, 5.0).tolist()


def test_units_are_chosen_by_label_and_rate(tmp_path):
    session = write_session(tmp_path)
    assert convert(session, label=0.5).num_units == 48
    everything = convert(session, label=0.0)
    assert everything.units.quality.tolist().count("0.67") == 12
    fast = convert(session, min_rate_hz=4.0, min_units=5)
    assert np.all(fast.rate_hz >= 4.0)
    assert 0 < fast.num_units < 36
    assert set(fast.units.id) < set(convert(session).units.id)


def test_a_session_with_few_good_units_is_refused(tmp_path):
    session = write_session(tmp_path)
    with pytest.raises(DataError, match=r"36 of 48 clusters have label >= 1 .* min_units=40"):
        convert(session, min_units=40)
    with pytest.raises(DataError, match="0 of 48 clusters"):
        convert(session, min_rate_hz=1000.0, min_units=0)


def test_clusters_without_metrics_need_label_0(tmp_path):
    session = one_probe(tmp_path)
    (session / "alf" / "probe00" / "pykilosort" / "clusters.metrics.pqt").unlink()
    with pytest.raises(DataError, match=r"probe00 has no .* a label; give label=0"):
        convert(session)
    assert convert(session, label=0.0).num_units == 12


def test_metrics_of_the_clusters_are_columns(tmp_path):
    session = write_session(tmp_path)
    units = convert(session).units
    assert set(units.columns) == {
        "label",
        "firing_rate",
        "amp_median",
        "slidingRP_viol",
        "noise_cutoff",
        "spike_count",
    }
    for probe, seed in (("probe00", 1), ("probe01", 2)):
        trains = spike_trains(seed, num_clusters=24)
        for cluster in GOOD:
            row = units.id.tolist().index(f"{probe}_cluster{cluster}")
            assert units.columns["amp_median"][row] == (50 + cluster) * 1e-6
            assert units.columns["spike_count"][row] == len(trains[cluster])
            assert units.columns["label"][row] == 1.0
            expected = np.nan if cluster == 0 else cluster / 10
            np.testing.assert_equal(units.columns["noise_cutoff"][row], expected)
    again = open_recording(write_recording(convert(session), tmp_path / "a.h5")).units
    np.testing.assert_array_equal(again.columns["noise_cutoff"], units.columns["noise_cutoff"])


def test_a_cluster_without_a_row_of_metrics_has_nan(tmp_path):
    session = tmp_path / "Subjects" / "KS023" / "2019-12-10" / "001"
    trains = spike_trains(1, num_clusters=12)
    rows = dict.fromkeys([n for n in range(12) if n not in (2, 5)], 1.0)
    write_probe(session, trains, label=rows)
    unmeasured = write_probe(session, trains, label=rows, probe="probe01")
    (unmeasured / "clusters.metrics.pqt").unlink()
    units = convert(session, label=0.0).units
    first = np.arange(24) < 12
    for name in ("label", "firing_rate"):
        unknown = np.isnan(units.columns[name])
        assert np.flatnonzero(unknown & first).tolist() == [2, 5]
        assert unknown[~first].all()


# Where a unit is


def places(cluster, num_clusters):
    channel = 2 * (num_clusters - 1 - cluster)
    return int(ALLEN_IDS[channel // 2 % 4]), channel


@pytest.mark.parametrize("locations", ["ids", "sites"])
def test_area_and_position_are_those_of_the_units_channel(tmp_path, locations):
    session = one_probe(tmp_path, locations=locations)
    without = convert(session)
    assert without.metadata["area_from"] == "probe00: ids without names"
    write_regions(tmp_path)
    recording = convert(session)
    assert recording.metadata["area_from"] == "probe00: names of ids"
    unnamed = {385: "ccf_385", 672: "ccf_672", 997: "root", 0: "void"}
    for cluster in range(12):
        number, channel = places(cluster, 12)
        assert recording.units.area[cluster] == {**REGIONS, 0: "void"}[number]
        assert without.units.area[cluster] == unnamed[number]
        expected = [-2000 + channel, 300 + channel, -1000 - 20 * channel]
        assert recording.units.position_um[cluster].tolist() == expected


def test_acronyms_are_read_as_they_are_and_depth_stands_in_for_a_place(tmp_path):
    recording = convert(one_probe(tmp_path, locations="acronyms"))
    assert recording.units.area.tolist() == [f"AREA{cluster % 3}" for cluster in range(12)]
    assert recording.metadata["position_um"].startswith("along the probe")
    depth = recording.units.position_um[:, 1]
    assert depth.tolist() == [20.0 + 20 * (11 - cluster) for cluster in range(12)]
    assert np.isnan(recording.units.position_um[:, 2]).all()


def test_no_place_at_all(tmp_path):
    recording = convert(one_probe(tmp_path, locations=""))
    assert set(recording.units.area) == {""}
    assert recording.metadata["area_from"] == "probe00: not known"


def test_left_hemisphere_ids_may_be_negative(tmp_path):
    session = one_probe(tmp_path)
    write_regions(tmp_path)
    right = convert(session).units.area.tolist()
    file = session / "alf/probe00/pykilosort/channels.brainLocationIds_ccf_2017.npy"
    np.save(file, -np.load(file))
    assert convert(session).units.area.tolist() == right


# Which sorting


def test_the_newest_revision_of_the_newest_sorting_is_read(tmp_path):
    session = tmp_path / "Subjects" / "KS023" / "2019-12-10" / "001"
    label = dict.fromkeys(range(12), 1.0)
    steps = (
        ("", "", "kilosort2"),
        ("pykilosort", "", "pykilosort"),
        ("pykilosort", "2024-05-06", "pykilosort 2024-05-06"),
        ("pykilosort", "2023-01-01", "pykilosort 2024-05-06"),
        ("iblsorter", "", "iblsorter"),
    )
    newest = spike_trains(0, num_clusters=12)
    for seed, (sorting, revision, expected) in enumerate(steps):
        trains = spike_trains(seed, num_clusters=12)
        write_probe(session, trains, label=label, sorting=sorting, revision=revision)
        newest = newest if revision == "2023-01-01" else trains
        recording = convert(session)
        assert recording.metadata["spike_sorting"] == f"probe00: {expected}"
        np.testing.assert_array_equal(train_of(recording, "probe00_cluster3"), newest[3])


def test_a_revision_of_one_file_replaces_only_that_file(tmp_path):
    session = write_session(tmp_path)
    table = trials_table()
    table["choice"] = 0.0
    (session / "alf" / "#2025-01-01#").mkdir()
    table.to_parquet(session / "alf" / "#2025-01-01#" / "_ibl_trials.table.pqt")
    recording = convert(session)
    assert set(recording.tables["trials"].columns["choice"]) == {0.0}
    assert "wheel.velocity" in recording.series


def test_what_is_known_of_an_older_clustering_is_not_read(tmp_path):
    session = one_probe(tmp_path)
    folder = session / "alf" / "probe00" / "pykilosort"
    (folder / "#2024-05-06#").mkdir()
    # Times alone, put on a better clock: clusters are still the same.
    times = np.load(folder / "spikes.times.npy") + 0.25
    np.save(folder / "#2024-05-06#" / "spikes.times.npy", times)
    assert convert(session).spike_times[0] == times[0]
    clusters = np.load(folder / "spikes.clusters.npy")
    np.save(folder / "#2024-05-06#" / "spikes.clusters.npy", (clusters + 1) % 12)
    with pytest.raises(DataError, match=r"no .* with a label; give label=0"):
        convert(session)
    assert set(convert(session, label=0.0).units.area) == {""}


def test_half_a_download_and_other_peoples_curation_are_not_read():
    folder = "alf/probe00/pykilosort"
    whole = [f"{folder}/spikes.times.npy", f"{folder}/spikes.clusters.npy"]
    part = f"{folder}/#2024-05-06#/spikes.times.b07e52eb-ac25-4131-84ab-bf2f58735b62.npy"
    other = f"{folder}/#2024-05-06#/_av_spikes.clusters.npy"
    assert choose_files([part, *whole, other, "alf/readme"]).paths == sorted(whole)
    assert choose_files([whole[0]]).probes == {}


# When


def test_the_domain_is_when_all_probes_recorded(tmp_path):
    session = write_session(tmp_path)
    late = spike_trains(3, num_clusters=24, first_s=30.4)
    write_probe(session, late, label=dict.fromkeys(range(24), 1.0), probe="probe01")
    recording = convert(session)
    assert recording.domain.tolist() == [[30.0, DURATION_S]]
    assert recording.spike_times[0] >= 30.0
    early = spike_trains(1, num_clusters=24)[4]
    np.testing.assert_array_equal(train_of(recording, "probe00_cluster4"), early[early >= 30.0])


def test_task_only_ends_with_the_last_trial(tmp_path):
    session = write_session(tmp_path)
    recording = convert(session, task_only=True)
    assert recording.domain.tolist() == [[2.0, 81.0]]
    assert recording.spike_times[-1] < 81.0
    (session / "alf" / "_ibl_trials.table.pqt").unlink()
    with pytest.raises(DataError, match="no trials, so task_only has nothing to keep"):
        convert(session, task_only=True)


def test_spikes_before_the_clocks_zero_are_left_out(tmp_path):
    session = one_probe(tmp_path)
    file = session / "alf/probe00/pykilosort/spikes.times.npy"
    times = np.load(file)
    times[:3] = [-0.02, -0.01, np.nan]
    np.save(file, times)
    recording = convert(session)
    assert recording.spike_times[0] == times[3]
    assert len(recording.spike_times) == len(times) - 3


# Behaviour


def test_the_wheels_speed_is_known_and_on_the_spikes_clock(tmp_path):
    recording = convert(write_session(tmp_path))
    position, velocity = recording.series["wheel.position"], recording.series["wheel.velocity"]
    assert (position.unit, velocity.unit) == ("rad", "rad/s")
    times = velocity.timestamps
    np.testing.assert_allclose(np.diff(times), 0.01, atol=1e-9)
    inner = slice(50, -50)
    turn = 2 * np.pi * WHEEL_HZ
    np.testing.assert_allclose(position.values[inner, 0], np.sin(turn * times[inner]), atol=1e-3)
    np.testing.assert_allclose(
        velocity.values[inner, 0], turn * np.cos(turn * times[inner]), atol=0.02
    )


def test_velocity_is_filtered_at_20_hz_without_delay():
    times = np.arange(0.0, 20.0, 0.001)
    slow, fast = np.sin(2 * np.pi * 2 * times), 0.1 * np.sin(2 * np.pi * 60 * times)
    even, position, velocity = wheel_velocity(times, slow + fast)
    np.testing.assert_allclose(position, (slow + fast)[:-1], atol=1e-9)
    expected = 4 * np.pi * np.cos(2 * np.pi * 2 * (even - 0.0005))
    assert np.abs(velocity - expected)[500:-500].max() < 0.01


def test_a_wheel_that_was_hardly_moved_is_left_out_and_named(tmp_path):
    session = write_session(tmp_path)
    np.save(session / "alf" / "_ibl_wheel.position.npy", np.zeros(2))
    np.save(session / "alf" / "_ibl_wheel.timestamps.npy", np.array([1.0, 1.5]))
    recording = convert(session)
    assert "wheel.velocity" not in recording.series
    assert recording.metadata["left_out"] == "wheel (less than 1 s)"


def test_wheel_times_may_be_given_for_some_samples_only(tmp_path):
    session = write_session(tmp_path)
    np.save(session / "alf" / "_ibl_wheel.position.npy", np.linspace(0.0, 20.0, 2001))
    np.save(session / "alf" / "_ibl_wheel.timestamps.npy", np.array([[0.0, 10.0], [2000.0, 20.0]]))
    velocity = convert(session).series["wheel.velocity"]
    assert velocity.timestamps[0] == 10.0
    np.testing.assert_allclose(velocity.values[100:-100], 2.0, atol=1e-6)


def test_trials_from_the_table_and_from_single_files(tmp_path):
    table = convert(write_session(tmp_path / "a")).tables["trials"]
    files = convert(write_session(tmp_path / "b", trials_as="files")).tables["trials"]
    expected = trials_table()
    assert table.start.tolist() == expected["intervals_0"].tolist()
    assert table.end.tolist() == expected["intervals_1"].tolist()
    for name in ("choice", "feedbackType", "probabilityLeft", "stimOn_times", "response_times"):
        assert table.columns[name].tolist() == expected[name].tolist()
    assert (
        table.columns["firstMovement_times"].tolist()
        == expected["stimOn_times"].add(0.2).round(6).tolist()
    )
    # Stimuli on the right are positive.
    assert table.columns["contrast"][:3].tolist() == [-0.25, 0.125, -0.25]
    assert set(files.columns) == set(table.columns)
    for name, values in table.columns.items():
        np.testing.assert_array_equal(files.columns[name], values)


def test_trials_without_an_end_are_left_out_and_named(tmp_path):
    session = write_session(tmp_path)
    table = trials_table()[::-1]
    table.iloc[0, table.columns.get_loc("intervals_1")] = np.nan
    table.to_parquet(session / "alf" / "_ibl_trials.table.pqt")
    recording = convert(session)
    trials = recording.tables["trials"]
    assert trials.start.tolist() == trials_table()["intervals_0"].tolist()[:-1]
    assert trials.columns["stimOn_times"].tolist() == (trials.start + 0.5).tolist()
    assert recording.metadata["left_out"] == "trials (1 without start or end)"


def test_pupil_frames_are_counted_from_the_end(tmp_path):
    pupil = convert(write_session(tmp_path)).series["pupil"]
    assert pupil.unit == "px"
    np.testing.assert_allclose(pupil.values[:, 0], 20 + pupil.timestamps / 10)
    assert pupil.timestamps[0] == 3 / 60


def test_a_session_without_behaviour_is_a_recording(tmp_path):
    recording = convert(one_probe(tmp_path))
    assert not recording.series
    assert not recording.tables
    expected = "wheel (no file); pupil (no file); trials (no intervals); licks (no file)"
    assert recording.metadata["left_out"] == expected


# What cannot be read


def test_folders_that_are_no_sessions(tmp_path):
    with pytest.raises(DataError, match="expected a session's folder"):
        convert(tmp_path)
    session = tmp_path / "Subjects" / "KS023" / "2019-12-10" / "001"
    write_behaviour(session)
    with pytest.raises(DataError, match="no sorted spikes here; expected alf/probe00"):
        convert(session)


@pytest.mark.parametrize(
    "name",
    [
        "probe00/pykilosort/spikes.times.npy",
        "probe00/pykilosort/clusters.metrics.pqt",
        "_ibl_trials.table.pqt",
        "_ibl_wheel.position.npy",
    ],
)
def test_damaged_files_are_named(tmp_path, name):
    session = write_session(tmp_path)
    (session / "alf" / name).write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"not readable \(.*delete it and download") as caught:
        convert(session)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_arrays_are_refused(tmp_path):
    session = one_probe(tmp_path, locations="acronyms")
    file = session / "alf/probe00/pykilosort/clusters.brainLocationAcronyms_ccf_2017.npy"
    np.save(file, np.array(["VISp"] * 12, dtype=object))
    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        convert(session)


def test_lengths_that_do_not_fit_are_refused(tmp_path):
    session = write_session(tmp_path)
    folder = session / "alf" / "probe00" / "pykilosort"
    times = np.load(folder / "spikes.times.npy")
    np.save(folder / "spikes.times.npy", times[:-1])
    with pytest.raises(DataError, match=f"{len(times) - 1} spike times, but {len(times)} cluster"):
        convert(session)
    np.save(folder / "spikes.times.npy", times)
    np.save(session / "alf" / "_ibl_wheel.position.npy", np.zeros(7))
    with pytest.raises(DataError, match="7 positions, but 29700 time stamps"):
        convert(session)


def test_a_table_of_areas_without_the_columns_is_refused(tmp_path):
    session = one_probe(tmp_path)
    (tmp_path / "brain_regions.csv").write_text("number,name\n1,VISp\n")
    with pytest.raises(DataError, match="expected a table with the columns id and acronym"):
        convert(session)


def test_the_extra_is_named_where_one_api_is_missing(tmp_path, monkeypatch):
    session = one_probe(tmp_path)
    for name in ("one", "one.alf", "one.alf.io"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"neurohorizon\[ibl\]"):
        convert(session)


# Listing a cache on disk


def some_sessions(root):
    write_session(root, laboratory="zadorlab", subject="CSH1", num_clusters=12)
    write_session(root, laboratory="churchlandlab", subject="KS1", number=2, num_clusters=12)
    write_session(root, laboratory="churchlandlab", subject="KS1", num_clusters=12)
    write_session(root, laboratory="churchlandlab", subject="KS11", num_clusters=12)
    return ["KS1_2019-12-10_001", "KS1_2019-12-10_002", "KS11_2019-12-10_001"]


def ids(sessions):
    return [session.id for session in sessions]


def test_sessions_are_found_in_a_fixed_order(tmp_path):
    some_sessions(tmp_path)
    (tmp_path / "churchlandlab" / "Subjects" / "KS1" / "alf").mkdir()
    found = find_files(tmp_path)
    assert [path.relative_to(tmp_path).parts[-3:] for path in found] == [
        ("KS1", "2019-12-10", "001"),
        ("KS1", "2019-12-10", "002"),
        ("KS11", "2019-12-10", "001"),
        ("CSH1", "2019-12-10", "001"),
    ]
    assert find_files(found[0]) == [found[0]]


def test_a_cache_with_tables_is_listed_without_a_network(tmp_path):
    churchland = some_sessions(tmp_path)
    write_tables(tmp_path, other_subject="CSH1")
    assert ids(ibl_sessions.list_sessions(tmp_path)) == churchland
    assert ids(ibl_sessions.list_sessions(tmp_path, subject="KS1")) == churchland[:2]
    assert ids(ibl_sessions.list_sessions(tmp_path, project="", laboratory="zadorlab")) == [
        "CSH1_2019-12-10_001"
    ]
    assert ibl_sessions.list_sessions(tmp_path, task_protocol="training") == []
    session = ibl_sessions.list_sessions(tmp_path)[1]
    assert session.about["task_protocol"] == "_iblrig_tasks_ephysChoiceWorld6.4.2"
    seen = []
    path = ibl_sessions.download(session, tmp_path, lambda done, total: seen.append((done, total)))
    assert convert(path).id == session.id
    assert seen[-1][0] == seen[-1][1]


def test_tables_that_name_no_project_hold_all_their_sessions(tmp_path):
    churchland = some_sessions(tmp_path)
    write_tables(tmp_path, project="", protocol="")
    assert ids(ibl_sessions.list_sessions(tmp_path)) == [*churchland, "CSH1_2019-12-10_001"]


def test_damaged_tables_are_refused(tmp_path):
    (tmp_path / "sessions.pqt").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"sessions\.pqt: not readable as ONE's cache tables"):
        ibl_sessions.list_sessions(tmp_path)


# Asking a server


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's empty home, where ONE keeps settings and its usual cache."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(params, "CACHE_DIR_DEFAULT", str(home / "ONE"))


@pytest.fixture
def server(tmp_path, monkeypatch, home):
    """A server with sessions, and a user who has logged in to it once."""
    some_sessions(tmp_path / "served")
    with alyx_server(tmp_path / "served") as running:
        monkeypatch.setattr(ibl_sessions, "SERVER", running.url)
        options = params.get(client=running.url, silent=True)
        assert options is not None
        params.save(options.set("HTTP_DATA_SERVER", f"{running.url}/public"), running.url)
        OneAlyx(
            base_url=running.url, username="me", password="secret", silent=True, cache_dir=tmp_path
        )
        yield running


def test_a_server_is_asked_with_plain_filters_only(tmp_path, server):
    sessions = ibl_sessions.list_sessions(tmp_path / "cache")
    assert ids(sessions) == [
        "KS1_2019-12-10_001",
        "KS1_2019-12-10_002",
        "KS11_2019-12-10_001",
        "CSH1_2019-12-10_001",
    ]
    assert len({session.about["eid"] for session in sessions}) == 4
    asked = [path for path in server.asked if path.startswith("/sessions")]
    assert asked[0] == "/sessions?project=brainwide&task_protocol=ephysChoiceWorld"
    assert not any("django" in path for path in asked)
    only = ibl_sessions.list_sessions(tmp_path / "cache", laboratory="zadorlab")
    assert ids(only) == ["CSH1_2019-12-10_001"]


def test_what_is_needed_is_downloaded_once(tmp_path, server):
    served = tmp_path / "served" / "churchlandlab" / "Subjects" / "KS1" / "2019-12-10" / "001"
    np.save(served / "alf" / "probe00" / "pykilosort" / "spikes.amps.npy", np.zeros(5))
    cache, seen = tmp_path / "cache", []
    session = ibl_sessions.list_sessions(cache)[0]
    path = ibl_sessions.download(session, cache, lambda done, total: seen.append((done, total)))
    assert path == cache / "churchlandlab" / "Subjects" / "KS1" / "2019-12-10" / "001"
    assert not list(path.rglob("spikes.amps*"))
    done = [number for number, _ in seen]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == seen[-1][1] == sum(f.stat().st_size for f in path.rglob("*.*"))
    here, there = convert(path), convert(served)
    np.testing.assert_array_equal(here.spike_times, there.spike_times)
    # The server tells the names of areas too.
    assert {"CP", "root", "void"} == set(here.units.area)
    assert {"ccf_672", "root", "void"} == set(there.units.area)
    (path / "alf" / "licks.times.npy").unlink()
    before = len(server.asked)
    ibl_sessions.download(session, cache, lambda done, total: None)
    files = [name for name in server.asked[before:] if name.startswith("/public")]
    assert len(files) == 1
    assert "licks.times" in files[0]


def test_a_session_is_measured_before_it_is_downloaded(tmp_path, server):
    served = tmp_path / "served" / "churchlandlab" / "Subjects" / "KS1" / "2019-12-10" / "001"
    # What is not read does not count: amplitudes, an older sorting.
    np.save(served / "alf" / "probe00" / "pykilosort" / "spikes.amps.npy", np.zeros(5000))
    label = dict.fromkeys(range(12), 1.0)
    write_probe(served, spike_trains(5, num_clusters=12), label=label, sorting="")
    cache = tmp_path / "cache"
    plan = plan_fetch(SOURCE, cache, num_sessions=1)
    assert not [path for path in server.asked if path.startswith("/public")]
    assert plan.num_unknown == 0
    path = ibl_sessions.download(plan.missing[0], cache, lambda done, total: None)
    assert plan.num_bytes == sum(f.stat().st_size for f in path.rglob("*.*"))
    # Only the chosen one was asked about; the listing tells no sizes.
    asked = {path for path in server.asked if path.startswith("/sessions/")}
    assert asked == {f"/sessions/{plan.missing[0].about['eid']}"}
    # What is there already is not counted.
    assert ibl_sessions.measure(plan.missing[0], cache) == 0
    wheel = path / "alf" / "_ibl_wheel.position.npy"
    num_bytes = wheel.stat().st_size
    wheel.write_bytes(wheel.read_bytes()[:100])
    assert ibl_sessions.measure(plan.missing[0], cache) == num_bytes


def test_a_dry_run_prints_sizes(tmp_path, server, capsys):
    command = ["data", "fetch", "ibl", "--num-sessions", "2", "--dry-run"]
    assert main([*command, "--cache", str(tmp_path / "cache")]) == 0
    *sessions, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in sessions] == ["KS1_2019-12-10_001", "KS1_2019-12-10_002"]
    assert all(re.search(r" \d\.\d MB ", line) for line in sessions)
    assert re.match(r"2 sessions, 2 to download: \d\.\d MB, into", last)
    assert main([*command, "--cache", str(tmp_path / "cache"), "--max-gb", "0.0001"]) == 2
    assert "more than --max-gb 0.0001" in capsys.readouterr().err


def test_the_budget_holds_before_anything_is_downloaded(tmp_path, server):
    plan = plan_fetch(SOURCE, tmp_path / "cache", num_sessions=2, max_gb=1e-6)
    with pytest.raises(DataError, match=r"2 sessions to download are .* more than --max-gb"):
        fetch(plan)
    assert not [path for path in server.asked if path.startswith("/public")]


def test_a_session_that_cannot_be_measured_stops_no_plan(tmp_path, server, monkeypatch):
    asked = []

    def break_off(datasets):
        asked.append(datasets)
        if len(asked) == 1:
            raise DataError("the server is tired")
        return sizes(datasets)

    sizes = ibl_sessions._sizes
    monkeypatch.setattr(ibl_sessions, "_sizes", break_off)
    for file in (tmp_path / "served" / "zadorlab").rglob("spikes.times.npy"):
        file.unlink()
    plan = plan_fetch(SOURCE, tmp_path / "cache")
    known = [session.num_bytes is not None for session in plan.missing]
    assert known == [False, True, True, False]  # the last has no sorted spikes
    assert plan.num_unknown == 2


def test_tables_of_a_cache_tell_sizes_without_a_network(tmp_path):
    some_sessions(tmp_path)
    write_tables(tmp_path)
    session, other = ibl_sessions.list_sessions(tmp_path)[:2]
    assert ibl_sessions.measure(session, tmp_path) == 0
    folder = tmp_path / "churchlandlab" / "Subjects" / "KS1" / "2019-12-10" / "001"
    files = [folder / "alf/licks.times.npy", folder / "alf/probe01/pykilosort/spikes.times.npy"]
    num_bytes = sum(file.stat().st_size for file in files)
    for file in files:
        file.unlink()
    assert ibl_sessions.measure(session, tmp_path) == num_bytes
    assert ibl_sessions.measure(other, tmp_path) == 0


def test_a_table_that_tells_no_size_is_believed_in_nothing(tmp_path):
    some_sessions(tmp_path)
    write_tables(tmp_path)
    table, about = parquet.load(tmp_path / "datasets.pqt")
    table["file_size"] = table["file_size"].astype("UInt64")
    table.loc[table["rel_path"].str.contains("licks"), "file_size"] = pd.NA
    parquet.save(tmp_path / "datasets.pqt", table, about)
    session = ibl_sessions.list_sessions(tmp_path)[0]
    assert ibl_sessions.measure(session, tmp_path) == 0
    (next(tmp_path.rglob("KS1/*/001/alf/licks.times.npy"))).unlink()
    assert ibl_sessions.measure(session, tmp_path) is None


def test_a_file_that_arrives_short_is_not_kept(tmp_path, server):
    session = ibl_sessions.list_sessions(tmp_path / "cache")[0]
    server.cut = "spikes.times"
    with pytest.raises(DataError, match=r"spikes\.times\.npy: did not arrive whole"):
        ibl_sessions.download(session, tmp_path / "cache", lambda done, total: None)
    assert not list((tmp_path / "cache").rglob("spikes.times*"))
    server.cut = ""
    path = ibl_sessions.download(session, tmp_path / "cache", lambda done, total: None)
    assert convert(path).id == session.id


def test_a_session_without_sorted_spikes_is_refused(tmp_path, server):
    session = ibl_sessions.list_sessions(tmp_path / "cache")[0]
    for file in (tmp_path / "served").rglob("spikes.times.npy"):
        file.unlink()
    with pytest.raises(DataError, match="the server has no sorted spikes of this session"):
        ibl_sessions.download(session, tmp_path / "cache", lambda done, total: None)


def test_a_server_that_cannot_be_reached(tmp_path, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="cannot be asked") as caught:
        ibl_sessions.list_sessions(tmp_path / "elsewhere")
    assert "\n" not in str(caught.value)
    assert "needs no network" in str(caught.value)


@pytest.mark.usefixtures("home")
def test_a_user_without_an_account_is_told_and_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(ibl_sessions, "SERVER", "http://127.0.0.1:9")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"asks for an account .*log in once"):
            ibl_sessions.list_sessions(tmp_path)


def test_the_source_says_what_it_takes(tmp_path):
    session = write_session(tmp_path)
    defaults = {name: setting.default for name, setting in SOURCE.convert_settings.items()}
    assert SOURCE.convert(session, **defaults).num_units == convert(session).num_units
    write_tables(tmp_path)
    query = {name: setting.default for name, setting in SOURCE.query_settings.items()}
    assert SOURCE.list_sessions is not None
    assert len(SOURCE.list_sessions(tmp_path, **query)) == 1
    assert SOURCE.num_recordings == 459


def test_spikes_without_a_usable_time_are_counted(tmp_path):
    session = write_session(tmp_path)
    path = next(session.rglob("spikes.times*.npy"))
    times = np.load(path)
    times[:3] = [-0.5, -0.25, np.nan]
    np.save(path, times)
    recording = convert(session)
    assert "3 spikes before 0 or without a time" in recording.metadata["left_out"]
    assert recording.spike_times[0] >= 0
