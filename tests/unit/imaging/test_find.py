"""Pictures are found by their content, wherever they lie and whatever they are called."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import DataError
from neurohorizon.imaging.find import find_pictures
from neurohorizon.recordings.pictures import picture_hash


def pixels(number):
    return np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.fixture
def places(tmp_path):
    """Write pictures 0-2 as files, 3-5 into one archive and 6-8 into another beside it."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(9):
        Image.fromarray(pixels(number)).save(folder / f"p{number}.png")
    for name, numbers in (("a.zip", (3, 4, 5)), ("b.zip", (6, 7, 8))):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for number in numbers:
                file = folder / f"p{number}.png"
                # A name that another picture has elsewhere.
                archive.write(file, f"inside/p{number - 3}.png")
                file.unlink()
    return folder


def test_folders_archives_and_folders_of_archives(places):
    wanted = {picture_hash(pixels(number)): number for number in (1, 4, 8)}
    found = find_pictures([places], wanted, paths=["elsewhere/p1.png"])
    assert set(found) == set(wanted)
    for one, number in wanted.items():
        assert np.array_equal(found[one], pixels(number))
    assert len(find_pictures([places / "a.zip"], wanted)) == 1
    both = find_pictures([places / "a.zip", places / "b.zip"], wanted)
    assert len(both) == 2
    (places / "p0.png").unlink()
    (places / "p1.png").unlink()
    (places / "p2.png").unlink()
    assert len(find_pictures([places], wanted)) == 2, "archives alone will do"


def test_reading_stops_once_all_is_found(places, monkeypatch):
    read = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda *a, **k: (read.append(1), original(*a, **k))[1])
    find_pictures([places], {picture_hash(pixels(1))}, paths=["x/p1.png"])
    assert len(read) <= 4, "the files called p1.png, not all nine"


def test_bad_places_are_one_line(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        find_pictures([tmp_path / "nothing"], {"a"})
    with pytest.raises(DataError, match="no pictures here"):
        find_pictures([tmp_path], {"a"})
