"""What holds for every source, whatever its format: prepared by the same door, and read back.

Each file is written by the format's own library; what a source alone promises is tested with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import allen_world
import ibl_world
import nlb_world
import tvsd_world
from neurohorizon.ops import blocks
from neurohorizon.recordings import spike_spool
from neurohorizon.recordings.responses_store import is_response_file, open_responses
from neurohorizon.recordings.store import list_recordings, open_recording
from neurohorizon.recordings.survey import survey_file
from neurohorizon.sources import catalogue
from neurohorizon.sources.manifest import read_manifest
from neurohorizon.sources.prepare import prepare


def write_spikes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    times = np.round(np.sort(generator.uniform(0.1, 119.0, 2400)), 6)
    path.parent.mkdir(parents=True, exist_ok=True)
    return times, generator.integers(0, 5, len(times))


def write_npz(folder: Path) -> Path:
    times, unit = write_spikes(folder / "a.npz")
    np.savez(folder / "a.npz", spike_times=times, unit_index=unit, subject="rat")
    return folder


def write_table(folder: Path) -> Path:
    times, unit = write_spikes(folder / "a.csv")
    rows = [f"{time},{number}" for time, number in zip(times, unit, strict=True)]
    (folder / "a.csv").write_text("\n".join(["time,unit", *rows]) + "\n")
    return folder


def write_retina(folder: Path) -> Path:
    path = folder / "Xu2011" / "Xu2011_06NOV2007R1-31.h5"
    times, unit = write_spikes(path)
    with h5py.File(path, "w") as file:
        file["spikes"] = np.concatenate([times[unit == number] for number in range(5)])
        file["sCount"] = np.bincount(unit, minlength=5).astype(np.int32)
        file["epos"] = np.arange(10.0).reshape(2, 5) * 100
        for key, value in {"age": 6, "genotype": b"wt", "species": b"mouse"}.items():
            file[f"meta/{key}"] = np.array([value])
    return folder


def write_ibl(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    ibl_world.write_session(folder)
    ibl_world.write_regions(folder)
    return folder


def write_allen(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    allen_world.write_session(folder / "session_1.nwb")
    return folder


def write_nlb(folder: Path) -> Path:
    nlb_world.write_nlb(folder, "mc_maze_small")
    return folder


def write_perich(folder: Path) -> Path:
    nlb_world.write_perich(folder)
    return folder


def write_tvsd(folder: Path) -> Path:
    return tvsd_world.write_monkey(folder / "monkeyF").parent


WRITERS: dict[str, Callable[[Path], Path]] = {
    "ibl": write_ibl,
    "allen": write_allen,
    "nlb": write_nlb,
    "perich_miller": write_perich,
    "retinal_waves": write_retina,
    "tvsd": write_tvsd,
    "nwb": write_allen,
    "npz": write_npz,
    "table": write_table,
}
#: Tested with the library or the real files that they need.
ELSEWHERE = {"allen_ophys", "ca1_maze", "macaque_v4"}


def test_every_source_is_here_or_named():
    every = {source.name for source in (*catalogue.DATA_SETS, *catalogue.FORMATS)}
    assert every == set(WRITERS) | ELSEWHERE


@pytest.mark.parametrize("name", WRITERS)
def test_what_every_source_promises(name, tmp_path):
    source = catalogue.find_source(name)
    folder = WRITERS[name](tmp_path / "in")
    made = prepare(source, folder, tmp_path / "out")
    assert not made.failed
    assert made.written
    for path in list_recordings(tmp_path / "out"):
        surveyed = survey_file(path)
        assert surveyed.count("error") == 0, [str(each) for each in surveyed.findings]
        assert surveyed.source == name
        if is_response_file(path):
            recording = open_responses(path)
            assert np.isfinite(recording.responses.values[slice(0, 5)]).any()
            assert len(recording.images)
        else:
            recording = open_recording(path)
            times = np.asarray(recording.spike_times)
            assert np.isfinite(times).all()
            assert np.all(np.diff(times) >= 0)
            low, high = recording.domain[0, 0], recording.domain[-1, 1]
            assert low <= times[0]
            assert times[-1] < high
            assert high < 1e5, "seconds, not samples"
            for series in recording.series.values():
                assert np.all(np.diff(series.timestamps) >= 0)
                overlap = min(series.timestamps[-1], high) - max(series.timestamps[0], low)
                assert overlap > 0, "behaviour is on the spikes' clock"
        assert len(set(recording.units.id.tolist())) == recording.num_units
        assert recording.subject
    manifest = read_manifest(tmp_path / "out")
    assert manifest["source"]["licence"] == source.licence
    if source in catalogue.DATA_SETS:
        assert source.licence
        assert source.citation
        assert source.homepage.startswith("https://")
        assert source.notes


@pytest.mark.parametrize("name", WRITERS)
def test_a_second_conversion_gives_the_same_bytes(name, tmp_path):
    source = catalogue.find_source(name)
    folder = WRITERS[name](tmp_path / "in")
    for out in ("first", "second"):
        prepare(source, folder, tmp_path / out)
    first = {path.name: path.read_bytes() for path in list_recordings(tmp_path / "first")}
    second = {path.name: path.read_bytes() for path in list_recordings(tmp_path / "second")}
    assert first == second
    assert first


@pytest.mark.parametrize("name", ["ibl", "allen", "nlb", "nwb"])
def test_a_session_larger_than_memory_gives_the_same_bytes(name, tmp_path, monkeypatch):
    source = catalogue.find_source(name)
    folder = WRITERS[name](tmp_path / "in")
    prepare(source, folder, tmp_path / "whole")
    monkeypatch.setattr(spike_spool, "MOST_IN_MEMORY", 100)
    monkeypatch.setattr(blocks.blocks, "__kwdefaults__", {"size": 64})
    prepare(source, folder, tmp_path / "streamed")
    whole, streamed = (
        {path.name: path.read_bytes() for path in list_recordings(tmp_path / out)}
        for out in ("whole", "streamed")
    )
    assert whole == streamed


@pytest.mark.parametrize("name", ["ibl", "allen", "nlb", "perich_miller"])
def test_areas_are_named(name, tmp_path):
    made = prepare(catalogue.find_source(name), WRITERS[name](tmp_path / "in"), tmp_path / "out")
    areas = {str(area) for path in made.written for area in open_recording(path).units.area}
    assert areas - {""}
