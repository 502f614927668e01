"""Embeddings attached to recordings: every presentation gets its picture's vector, once stored."""

from dataclasses import replace

import numpy as np
import pytest

import allen_world
from neurohorizon.errors import DataError
from neurohorizon.imaging.attach import attach, attach_to_responses, numbered_hashes
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.embedding import embed_pictures
from neurohorizon.imaging.encoders import open_encoder
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.pictures import FolderPictures, FramePictures
from neurohorizon.recordings.responses_store import open_responses, write_responses
from neurohorizon.recordings.responses_validate import validate_responses
from neurohorizon.recordings.schema import Table
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.sources.tvsd import convert as convert_tvsd
from tvsd_world import World, write_monkey, write_pictures
from worlds import poisson_recording

MAKER = Fingerprint("layout", settings={"side": 8})


def make_bank(num_pictures, *, dimensions=16, maker=MAKER, seed=0):
    rng = np.random.default_rng(seed)
    hashes = [f"{number:064x}" for number in range(num_pictures)]
    bank = EmbeddingBank(
        embeddings=rng.normal(size=(num_pictures, dimensions)).astype(np.float32),
        # Another order than that of the set: rows must be found by hash.
        hashes=hashes[::-1],
        names=hashes[::-1],
        fingerprint=maker,
    )
    return bank, hashes


def with_frames(frame, *, start=None, **tables):
    frame = np.asarray(frame)
    start = 1.0 + 0.25 * np.arange(len(frame)) if start is None else np.asarray(start)
    scenes = Table(start, start + 0.25, {"frame": frame, "stimulus": np.full(len(frame), "x")})
    return replace(poisson_recording(), tables={"scenes": scenes, **tables})


@pytest.fixture(scope="module")
def movie_session(tmp_path_factory):
    pytest.importorskip("pynwb")
    from neurohorizon.sources.allen import convert

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allen_world, "NUM_FRAMES", 900)
        patch.setattr(allen_world, "FRAME_S", 1 / 60)
        path = allen_world.write_session(tmp_path_factory.mktemp("allen") / "ses.nwb", eye=False)
    return convert(path)


def test_a_movie_of_900_frames_is_stored_once(movie_session, tmp_path):
    bank, hashes = make_bank(900, dimensions=512)
    table = movie_session.tables["natural_movie_one_presentations"]
    assert len(table) == 2700
    before = write_recording(movie_session, tmp_path / "before.h5").stat().st_size
    attached = attach(
        movie_session, bank, hashes, name="clip", table="natural_movie_one_presentations"
    )
    path = write_recording(attached, tmp_path / "after.h5")
    shown = open_recording(path).embeddings["clip"]
    np.testing.assert_array_equal(
        shown.vectors[shown.row],
        bank.select([hashes[int(frame)] for frame in table.columns["frame"]]),
    )
    np.testing.assert_array_equal(shown.start, table.start)
    np.testing.assert_array_equal(shown.end, table.end)
    once = 900 * 512 * 4
    small = 900 * 64 + 2700 * 3 * 8
    assert once + small <= path.stat().st_size - before < once + small + 2**15


def test_scenes_have_a_blank(movie_session):
    bank, hashes = make_bank(118)
    attached = attach(
        movie_session, bank, hashes, name="clip", table="natural_scenes_presentations"
    )
    shown = attached.embeddings["clip"]
    frame = movie_session.tables["natural_scenes_presentations"].columns["frame"]
    assert frame[0] == -1
    np.testing.assert_array_equal(shown.row == -1, frame == -1)
    # Only what was shown here is kept: 19 of 118 scenes.
    assert shown.vectors.shape == (19, 16)
    onsets, vectors = shown.between(20.0, 20.6)
    assert onsets.tolist() == [20.25, 20.5]
    np.testing.assert_array_equal(vectors, bank.select(hashes[:2]))


def test_whole_floats_count_and_nan_is_no_picture():
    bank, hashes = make_bank(4)
    shown = attach(
        with_frames([2.0, np.nan, 0.0, -1.0, 2.0]), bank, hashes, name="a", table="scenes"
    ).embeddings["a"]
    assert shown.row.tolist() == [1, -1, 0, -1, 1]
    np.testing.assert_array_equal(shown.vectors, bank.select([hashes[0], hashes[2]]))


def test_a_picture_that_is_in_the_set_twice_has_one_vector():
    bank, hashes = make_bank(3)
    repeated = [hashes[0], hashes[1], hashes[0]]
    recording = with_frames([2, 1, 0])
    shown = attach(recording, bank, repeated, name="a", table="scenes").embeddings["a"]
    assert len(shown.vectors) == 2
    np.testing.assert_array_equal(
        shown.vectors[shown.row], bank.select([hashes[0], hashes[1], hashes[0]])
    )


def test_presentations_come_in_the_order_of_time():
    bank, hashes = make_bank(3)
    recording = with_frames([0, 1, 2], start=[9.0, 3.0, 6.0])
    shown = attach(recording, bank, hashes, name="a", table="scenes").embeddings["a"]
    assert shown.start.tolist() == [3.0, 6.0, 9.0]
    np.testing.assert_array_equal(
        shown.vectors[shown.row], bank.select([hashes[1], hashes[2], hashes[0]])
    )


@pytest.mark.parametrize(
    ("frame", "given", "what"),
    [
        ([0, 5, 1], {}, r"scenes.frame: picture 5 was shown, but the set has 4 \(0 to 3\)"),
        ([0.0, 1.5, 1.0], {}, r"scenes.frame: 1 values are not whole \(the first is 1.5 in row 1"),
        ([0.0, np.inf], {}, "not whole"),
        ([-1, -1], {}, "no presentation shows a picture"),
        ([0, 1], {"table": "movie"}, "no table 'movie'; there are: scenes"),
        ([0, 1], {"column": "number"}, "scenes.number: no such column; there are: frame, stimulus"),
        ([0, 1], {"column": "stimulus"}, "expected one number a presentation"),
        ([0, 1], {"name": "a.b"}, "cannot be called 'a.b'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(frame, given, what):
    bank, hashes = make_bank(4)
    words = {"name": "a", "table": "scenes", **given}
    with pytest.raises(DataError, match=what) as caught:
        attach(with_frames(frame), bank, hashes, **words)
    assert "\n" not in str(caught.value)


def test_a_picture_that_the_bank_lacks_is_refused():
    bank, hashes = make_bank(3)
    with pytest.raises(DataError, match="no embedding of 1 of the 2"):
        attach(with_frames([0, 1]), bank, [hashes[0], "f" * 64], name="a", table="scenes")


def test_the_same_again_changes_nothing_and_another_maker_is_refused():
    bank, hashes = make_bank(3)
    other, _ = make_bank(3, maker=Fingerprint("dinov2"), seed=1)
    movie = Table(np.array([1.0]), np.array([2.0]), {"frame": np.array([1])})
    recording = with_frames([0, 1], movie=movie)
    words = {"name": "a", "table": "scenes"}
    first = attach(recording, bank, hashes, **words)
    assert attach(first, bank, hashes, **words) is first
    with pytest.raises(DataError, match=r"'a' already, .*: encoder layout against dinov2"):
        attach(first, other, hashes, **words)
    with pytest.raises(DataError, match="table scenes against movie"):
        attach(first, bank, hashes, name="a", table="movie")
    replaced = attach(first, other, hashes, **words, replace=True).embeddings["a"]
    np.testing.assert_array_equal(replaced.vectors, other.select(hashes[:2]))
    both = attach(first, other, hashes, name="b", table="scenes")
    assert set(both.embeddings) == {"a", "b"}


def test_files_are_numbered_by_the_numbers_in_their_names(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 4, 5, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / f"natural_scene_{number}.tiff")
    assert numbered_hashes(FolderPictures(tmp_path)) == FramePictures(pixels).hashes()


@pytest.fixture(scope="module")
def monkey(tmp_path_factory):
    world = World(num_train=20, num_test=4)
    folder = tmp_path_factory.mktemp("tvsd")
    pictures = write_pictures(folder / "images", world)
    return convert_tvsd(write_monkey(folder / "monkeyF", world), images=str(pictures)), pictures


class TestResponses:
    def test_every_presentation_gets_the_vector_of_its_picture(self, monkey, tmp_path):
        recording, folder = monkey
        pictures = FolderPictures(folder)
        bank = embed_pictures(pictures, open_encoder("layout"), tmp_path / "bank")
        attached = attach_to_responses(recording, bank, name="layout")
        assert attach_to_responses(attached, bank, name="layout") is attached
        opened = open_responses(write_responses(attached, tmp_path / "a.h5"))
        shown = opened.embeddings["layout"]
        assert len(shown) == len(opened.responses)
        hashes = recording.images.sha256[recording.responses.image].tolist()
        np.testing.assert_array_equal(shown.vectors[shown.row], bank.select(hashes))
        assert len(shown.vectors) == 24
        assert not [f for f in validate_responses(opened) if f.severity == "error"]
        np.testing.assert_array_equal(
            opened.responses.values[:], recording.responses.values[: len(shown)]
        )

    def test_torch_brain_opens_them(self, monkey, tmp_path):
        from torch_brain.data import Data

        recording, folder = monkey
        bank = embed_pictures(FolderPictures(folder), open_encoder("layout"), tmp_path / "bank")
        attached = attach_to_responses(recording, bank, name="layout")
        with Data.load(write_responses(attached, tmp_path / "a.h5")) as data:
            window = data.slice(3.0, 6.0)
            row = window.embeddings.layout.presentations.row
            np.testing.assert_array_equal(row, attached.embeddings["layout"].row[3:6])

    def test_unknown_and_missing_pictures_are_counted(self, monkey):
        recording, _ = monkey
        hashes = recording.images.sha256.copy()
        hashes[:3] = ""
        some = EmbeddingBank(
            embeddings=np.zeros((16, 4), dtype=np.float32),
            hashes=hashes[8:].tolist(),
            names=hashes[8:].tolist(),
            fingerprint=MAKER,
            where="bank.npz",
        )
        lacking = replace(recording, images=replace(recording.images, sha256=hashes))
        with pytest.raises(
            DataError, match=r"of 24 images .* 3 have no known .* 5 are not in bank.npz"
        ):
            attach_to_responses(lacking, some, name="a")

    def test_another_number_of_presentations_is_an_error(self, monkey, tmp_path):
        recording, folder = monkey
        bank = embed_pictures(FolderPictures(folder), open_encoder("layout"), tmp_path / "bank")
        attached = attach_to_responses(recording, bank, name="layout")
        shown = attached.embeddings["layout"]
        cut = replace(shown, start=shown.start[1:], end=shown.end[1:], row=shown.row[1:])
        broken = replace(attached, embeddings={"layout": cut})
        assert "embeddings 'layout' of" in validate_responses(broken)[0].what
        with pytest.raises(DataError, match="not written"):
            write_responses(broken, tmp_path / "a.h5")
