"""Which pictures are trained on, and what they are labelled with."""

import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.embedding import embed_pictures
from neurohorizon.imaging.encoders import open_encoder
from neurohorizon.imaging.pictures import open_pictures
from neurohorizon.training.image_encoder.labels import find_world, read_label_table
from neurohorizon.training.image_encoder.pictures import gather_pictures, read_exclusions


@pytest.fixture
def folder(tmp_path):
    """Five pictures, two of them the same."""
    place = tmp_path / "pictures"
    (place / "cats").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a", "b", "cats/c", "d"):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{name}.png")
    (place / "e.png").write_bytes((place / "a.png").read_bytes())
    return place


def test_each_picture_is_there_once_and_in_its_size(folder):
    found = gather_pictures(open_pictures(folder), size_px=16)
    assert found.names == ("a.png", "b.png", "cats/c.png", "d.png")
    assert found.pixels.shape == (4, 3, 16, 16)
    assert found.num_left_out == 0
    whole = np.asarray(Image.open(folder / "b.png").resize((16, 16), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(found.pixels[1].permute(1, 2, 0).numpy(), whole)


def test_what_is_left_out_is_left_out_by_its_content(folder, tmp_path):
    pictures = open_pictures(folder)
    hashes = dict(zip(pictures.names, pictures.hashes(), strict=True))
    for without in ({"a.png"}, {"e.png"}, {hashes["a.png"]}):
        found = gather_pictures(pictures, without=without)
        assert found.names == ("b.png", "cats/c.png", "d.png")
        assert found.num_left_out == 2
    (tmp_path / "out.txt").write_text(f"{hashes['b.png']}\n\ncats/c.png\n")
    assert read_exclusions(tmp_path / "out.txt") == {hashes["b.png"], "cats/c.png"}
    assert read_exclusions(folder / "cats") == {hashes["cats/c.png"]}
    embed_pictures(open_pictures(folder), open_encoder("layout"), tmp_path / "bank")
    everything = read_exclusions(tmp_path / "bank.npz")
    assert everything == set(hashes.values())
    with pytest.raises(DataError, match="every picture there is left out"):
        gather_pictures(pictures, without=everything)
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="empty; expected a name or a hash"):
        read_exclusions(tmp_path / "empty.txt")
    with pytest.raises(DataError, match="no such file or folder"):
        read_exclusions(tmp_path / "nothing.txt")


def test_a_table_is_read_in_the_order_of_the_pictures(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "\ufeffname,part,animal,colour\nb.png,train,dog,\na.png,train,cat,black\nc.png,test,cat,red\n"
    )
    read = read_label_table(table)
    assert read.test == {"c.png"}
    found = read.of(["a.png", "b.png"])
    assert [found["animal"].words[code] for code in found["animal"].code] == ["cat", "dog"]
    assert found["colour"].code.tolist() == [found["colour"].words.index("black"), -1]
    assert list(read_label_table(table, ["colour"]).columns) == ["colour"]
    with pytest.raises(DataError, match=r"no row for 1 of 2 pictures, the first d\.png"):
        read.of(["a.png", "d.png"])
    with pytest.raises(ConfigError, match="no label 'size'; there are animal, colour"):
        read_label_table(table, ["size"])
    with pytest.raises(ConfigError, match="chosen twice"):
        read_label_table(table, ["colour", "colour"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found the columns none"),
        ("file,animal\na,cat\n", "expected a CSV with a column name"),
        ("name,part\na,train\n", "a column for each label"),
        ("name,animal\n", "and 0 rows"),
        ("name,animal,animal\na,b,c\n", "a column for each label"),
        ("name,animal\na,cat\na,dog\n", "a has 2 rows"),
        ("name,animal\na,cat,3\n", "row 2 has more or fewer cells"),
        ("name,animal\na\n", "row 2 has more or fewer cells"),
        ("name,id\na,1\nb,2\nc,3\n", "3 different words for 3 pictures"),
        (b"name,animal\na,\xff\n", "not a CSV file in UTF-8"),
    ],
)
def test_tables_that_are_none(tmp_path, text, told):
    table = tmp_path / "labels.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=told) as caught:
        read_label_table(table)
    assert str(caught.value).startswith(str(table))


def test_folders_that_belong_to_no_world(folder, tmp_path):
    assert find_world(folder) is None
    (tmp_path / "truth.npz").write_bytes(b"")
    assert find_world(tmp_path) is None
    with pytest.raises(DataError, match="no such file"):
        read_label_table(tmp_path / "none.csv")
