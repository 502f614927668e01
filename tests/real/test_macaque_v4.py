"""The six public V4 sessions, whole: counts, pairs of rows and pictures, what recurs."""

from collections import Counter

import numpy as np
import pytest

from neurohorizon.ops.files import checksum
from neurohorizon.recordings.responses_store import open_responses, write_responses
from neurohorizon.recordings.responses_validate import validate_responses
from neurohorizon.sources.macaque_v4 import SOURCE, convert, find_files, list_sessions


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data("macaque_v4")


@pytest.fixture(scope="module")
def recordings(folder):
    return {recording.id: recording for recording in map(convert, find_files(folder))}


def test_counts_are_those_of_the_catalogue(recordings):
    assert len(recordings) == SOURCE.num_recordings
    assert sum(recording.num_units for recording in recordings.values()) == SOURCE.num_units
    subjects = Counter(recording.subject for recording in recordings.values())
    assert subjects == {"WE": 3, "PE": 3}
    assert {name: len(recording.images) for name, recording in recordings.items()} == {
        "190923": 1200,
        "190925": 1200,
        "190927": 1200,
        "201025": 1200,
        "210224": 800,
        "210325": 640,
    }


def test_files_are_those_that_a_download_expects(folder):
    for session in list_sessions(folder):
        for file in session.files:
            assert (folder / file.path).stat().st_size == file.num_bytes
            assert checksum(folder / file.path) == file.sha256


def test_means_are_those_of_the_files(folder, recordings):
    for name in ("190923", "210224"):
        values = np.load(folder / "responses" / f"responses_{name}.npy")
        stored = recordings[name].responses.values
        np.testing.assert_array_equal(stored, values.T.astype(np.float32))


def test_single_trials_average_to_the_means(folder, recordings):
    responses = recordings["210325"].responses
    means = np.load(folder / "responses" / "responses_210325.npy")
    assert len(responses) == 4840
    assert sorted(Counter(np.bincount(responses.image).tolist())) == [6, 7, 8, 9, 10]
    for image in (0, 17, 639):
        mine = responses.values[responses.image == image].mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(mine, means[:, image], atol=1e-6)
    statistics = recordings["210325"].units.columns
    assert 0.1 < np.median(statistics["reliability"]) < 0.9
    assert np.corrcoef(statistics["snr"], statistics["reliability"])[0, 1] > 0.9


def test_pictures_recur_inside_one_session_and_nowhere_else(recordings):
    distinct = {name: set(each.images.sha256.tolist()) for name, each in recordings.items()}
    every = Counter(sha256 for hashes in distinct.values() for sha256 in hashes)
    assert set(every.values()) == {1}
    assert len(every) == 5940
    twice = recordings["190925"].images.sha256
    assert twice[:300].tolist() == twice[900:].tolist()
    whole = [name for name in distinct if len(distinct[name]) == len(recordings[name].images)]
    assert sorted(set(recordings) - set(whole)) == ["190925"]


def test_rows_belong_to_their_pictures(recordings):
    """The two rows of a repeated picture agree; they would not if the order were another."""
    values = np.asarray(recordings["190925"].responses.values)
    early, late = values[:300], values[900:]
    agreement = [np.corrcoef(early[:, unit], late[:, unit])[0, 1] for unit in range(36)]
    shuffled = late[np.random.default_rng(0).permutation(300)]
    chance = [np.corrcoef(early[:, unit], shuffled[:, unit])[0, 1] for unit in range(36)]
    assert np.mean(agreement) > 0.7
    assert abs(np.mean(chance)) < 0.05


def test_parts_never_share_a_picture(recordings):
    parts = {}
    for recording in recordings.values():
        responses = recording.responses
        hashes = recording.images.sha256[responses.image].tolist()
        for sha256, part in zip(hashes, responses.part.tolist(), strict=True):
            assert parts.setdefault(sha256, part) == part
    share = Counter(parts.values())["test"] / len(parts)
    assert share == pytest.approx(0.2, abs=0.02)


def test_validation_and_storage(recordings, tmp_path):
    for name, recording in recordings.items():
        path = write_responses(recording, tmp_path / f"{name}.h5")
        read = open_responses(path)
        np.testing.assert_array_equal(read.responses.values, recording.responses.values)
        findings = [(finding.severity, finding.what) for finding in validate_responses(read)]
        expected = []
        if name == "190925":
            expected = [
                ("note", "300 of 1200 images are pictures that another row holds too"),
            ]
        assert findings == expected
