import io
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.files import checksum
from neurohorizon.recordings.pictures import picture_hash
from neurohorizon.recordings.responses_store import open_responses, write_responses
from neurohorizon.recordings.responses_validate import validate_responses
from neurohorizon.sources.macaque_v4 import SOURCE, convert, find_files, list_sessions

NUM_UNITS, NUM_IMAGES = 4, 40


def picture(number):
    return np.random.default_rng(number).integers(0, 256, size=(5, 6, 3), dtype=np.uint8)


def png(number):
    content = io.BytesIO()
    Image.fromarray(picture(number)).save(content, format="PNG")
    return content.getvalue()


def write(root, session="190925", *, numbers=range(1, NUM_IMAGES + 1), folder="", trials=None):
    """Write a session as the public repository has it: pictures in any order, extras of macOS."""
    for name in ("images", "responses", "responses_single_trial"):
        (root / name).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(root / "images" / f"images_{session}.zip", "w") as archive:
        for number in sorted(numbers, key=lambda number: number % 7):
            archive.writestr(f"{folder}image{number}.png", png(number))
            archive.writestr(f"__MACOSX/{folder}._image{number}.png", b"extra")
        archive.writestr(f"{folder}.DS_Store", b"extra")
    means = np.arange(NUM_UNITS * NUM_IMAGES, dtype=float).reshape(NUM_UNITS, NUM_IMAGES) / 8
    path = root / "responses" / f"responses_{session}.npy"
    np.save(path, means)
    if trials is not None:
        np.save(root / "responses_single_trial" / path.name, trials)
    return path


@pytest.mark.parametrize("folder", ["", "images_190925/"])
def test_row_i_belongs_to_picture_i(tmp_path, folder):
    recording = convert(write(tmp_path, folder=folder))
    responses = recording.responses
    assert responses.image.tolist() == list(range(NUM_IMAGES))
    assert responses.repeat.tolist() == [-1] * NUM_IMAGES
    for number in (1, 2, 9, 10, 40):  # "image10" comes after "image9"
        assert recording.images.sha256[number - 1] == picture_hash(picture(number))
        assert recording.images.path[number - 1] == f"images_190925.zip/{folder}image{number}.png"
    np.testing.assert_array_equal(
        responses.values[3], (3 + NUM_IMAGES * np.arange(NUM_UNITS)) / np.float32(8)
    )
    assert (recording.id, recording.subject) == ("190925", "WE")
    assert recording.units.area.tolist() == ["V4"] * NUM_UNITS


def test_single_trials_without_those_that_are_missing(tmp_path):
    trials = np.random.default_rng(0).poisson(5, size=(NUM_UNITS, NUM_IMAGES, 3)).astype(float)
    trials[:, 7, 2] = trials[:, 9, 1:] = np.nan
    path = write(tmp_path, "210325", trials=trials)
    recording = convert(path)
    responses = recording.responses
    assert len(responses) == NUM_IMAGES * 3 - 3
    assert np.isfinite(responses.values).all()
    for row in (0, 50, len(responses) - 1):
        image, repeat = responses.image[row], responses.repeat[row]
        np.testing.assert_array_equal(responses.values[row], trials[:, image, repeat])
    assert responses.repeat[responses.image == 9].tolist() == [0]
    assert responses.repeat[responses.image == 7].tolist() == [0, 1]
    assert convert(path, trials=False).responses.repeat.tolist() == [-1] * NUM_IMAGES


def test_snr_and_reliability_are_those_of_the_generator(tmp_path):
    rng = np.random.default_rng(0)
    signal_sd = np.array([0.0, 0.5, 1.0, 2.0])
    signal = 20 + signal_sd[:, None] * rng.normal(size=(NUM_UNITS, 40))
    trials = signal[:, :, None] + rng.normal(size=(NUM_UNITS, 40, 200))
    trials[:, 3, 150:] = np.nan
    statistics = convert(write(tmp_path, trials=trials)).units.columns
    signal_variance = signal.var(axis=1, ddof=1)
    np.testing.assert_allclose(statistics["snr"], signal_variance, rtol=0.1, atol=0.01)
    reliability = signal_variance / (signal_variance + 1)
    np.testing.assert_allclose(statistics["reliability"], reliability, atol=0.05)


def test_one_repeat_alone_gives_no_statistics(tmp_path):
    trials = np.ones((NUM_UNITS, NUM_IMAGES, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording = convert(write(tmp_path, trials=trials))
    assert recording.units.columns == {}
    assert "single trials" in recording.metadata["values"]


def test_a_picture_has_one_part_wherever_it_is(tmp_path):
    one = convert(write(tmp_path / "a"))
    other = convert(write(tmp_path / "b", "201025", numbers=range(11, 11 + NUM_IMAGES)))
    parts = dict(zip(one.images.sha256.tolist(), one.responses.part.tolist(), strict=True))
    shared = 0
    for sha256, part in zip(other.images.sha256.tolist(), other.responses.part, strict=True):
        shared += sha256 in parts
        assert parts.get(sha256, part) == part
    assert shared == 30
    assert {"train", "test"} == set(one.responses.part)
    assert set(convert(write(tmp_path / "a"), test_share=0.0).responses.part) == {"train"}
    more = convert(write(tmp_path / "a"), test_share=0.5).responses.part == "test"
    assert np.all(more[one.responses.part == "test"])


def test_same_bytes_twice_and_no_errors(tmp_path):
    path = write(tmp_path, trials=np.random.default_rng(0).poisson(5, (NUM_UNITS, 40, 3)))
    written = [write_responses(convert(path), tmp_path / f"{number}.h5") for number in range(2)]
    assert checksum(written[0]) == checksum(written[1])
    findings = validate_responses(open_responses(written[0]))
    assert {finding.severity for finding in findings} <= {"note"}


def test_files_are_found_in_both_layouts(tmp_path):
    path = write(tmp_path / "here", trials=np.ones((NUM_UNITS, NUM_IMAGES, 2)))
    assert find_files(tmp_path) == [path]
    assert find_files(path) == [path]
    theirs = path.parent.rename(tmp_path / "here" / "responses_repeat_averaged")
    (tmp_path / "here" / "responses_single_trial").rename(tmp_path / "here" / "responses_raw")
    (found,) = find_files(tmp_path)
    assert found.parent == theirs
    assert len(convert(found).responses) == 2 * NUM_IMAGES


def test_an_unknown_session_has_an_unknown_subject(tmp_path):
    recording = convert(write(tmp_path, "999999"))
    assert recording.subject == "unknown"
    found = [finding.what for finding in validate_responses(recording)]
    assert "the subject is unknown" in found


def test_what_can_be_downloaded():
    sessions = {session.id: session for session in list_sessions(None)}
    assert len(sessions) == SOURCE.num_recordings
    assert len(sessions["210325"].files) == 3
    assert {len(session.files) for session in sessions.values()} == {2, 3}
    for session in sessions.values():
        assert session.num_bytes == sum(file.num_bytes for file in session.files)
        for file in session.files:
            assert session.id in file.path
            assert file.url.endswith(file.path.rpartition("/")[2])
            assert len(file.sha256) == 64
    mean = next(file for file in sessions["190923"].files if file.path.startswith("responses/"))
    assert "/data_V4_responses/responses_repeat_averaged/" in mean.url


class TestBadInput:
    def test_names(self, tmp_path):
        with pytest.raises(DataError, match=r"expected a file responses_SESSION\.npy"):
            convert(tmp_path / "other.npy")
        with pytest.raises(ConfigError, match="expected a share from 0 to 1"):
            convert(write(tmp_path), test_share=2.0)

    def test_no_pictures(self, tmp_path):
        path = write(tmp_path)
        (tmp_path / "images" / "images_190925.zip").unlink()
        with pytest.raises(DataError, match=r"images_190925\.zip: no such file"):
            convert(path)
        with zipfile.ZipFile(tmp_path / "images" / "images_190925.zip", "w") as archive:
            archive.writestr("readme.txt", "nothing")
        with pytest.raises(DataError, match="no pictures with a number"):
            convert(path)

    def test_another_number_of_pictures(self, tmp_path):
        with pytest.raises(DataError, match=r"responses to 40 images, but .* holds 39"):
            convert(write(tmp_path, numbers=range(1, 40)))

    def test_two_pictures_of_one_number(self, tmp_path):
        path = write(tmp_path)
        with zipfile.ZipFile(tmp_path / "images" / "images_190925.zip", "a") as archive:
            archive.writestr("more/image0007.png", png(7))
        with pytest.raises(DataError, match=r"image7\.png and more/image0007\.png have the same"):
            convert(path)

    def test_damaged_archive(self, tmp_path):
        path = write(tmp_path)
        archive = tmp_path / "images" / "images_190925.zip"
        content = bytearray(archive.read_bytes())
        archive.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match="a damaged archive"):
            convert(path)
        start = content.find(b"\x89PNG") + 60
        content[start : start + 40] = bytes(40)
        archive.write_bytes(content)
        with pytest.raises(DataError, match=r"a damaged archive|cannot be decoded"):
            convert(path)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (np.zeros(5), r"shape \(5,\), expected numbers \(units, images\)"),
            (np.zeros((4, 0)), r"shape \(4, 0\)"),
            (np.full((4, 40), "a"), "expected numbers"),
        ],
    )
    def test_responses_of_another_kind(self, tmp_path, values, words):
        path = write(tmp_path)
        np.save(path, values)
        with pytest.raises(DataError, match=words):
            convert(path)

    def test_damaged_responses(self, tmp_path):
        path = write(tmp_path)
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(DataError, match="not a readable array"):
            convert(path)
        path.unlink()
        with pytest.raises(DataError, match=r"responses_190925\.npy: no such file"):
            convert(path)

    def test_single_trials_of_another_shape(self, tmp_path):
        with pytest.raises(DataError, match=r"shape \(4, 39, 2\), but the means have \(4, 40\)"):
            convert(write(tmp_path, trials=np.zeros((4, 39, 2))))
