import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import DataError
from neurohorizon.imaging.pictures import FramePictures, open_pictures
from neurohorizon.recordings.pictures import picture_hash


def picture(seed, height=9, width=12):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_folder(folder, count=5):
    """Write lossless pictures of different sizes, one in a subfolder."""
    folder.mkdir(parents=True)
    (folder / "b").mkdir()
    made = {}
    for seed in range(count):
        name = f"b/{seed}.png" if seed % 2 else f"{seed}.bmp"
        made[name] = picture(seed, height=9 + seed)
        Image.fromarray(made[name]).save(folder / name)
    return made


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path):
    made = write_folder(tmp_path / "p")
    (tmp_path / "p" / "notes.txt").write_text("no picture")
    (tmp_path / "p" / ".hidden.png").write_bytes(b"")
    pictures = open_pictures(tmp_path / "p")
    assert pictures.names == ("0.bmp", "2.bmp", "4.bmp", "b/1.png", "b/3.png")
    batches = list(pictures.batches(2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    for one in (one for batch in batches for one in batch):
        np.testing.assert_array_equal(one.pixels, made[one.name])


def test_a_folder_of_archives_gives_all_of_them(tmp_path):
    rng = np.random.default_rng(0)
    place = tmp_path / "images"
    place.mkdir()
    pixels = {}
    for archive, count in (("one", 3), ("two", 2)):
        with zipfile.ZipFile(place / f"{archive}.zip", "w") as file:
            for number in range(count):
                picture = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
                pixels[f"{archive}/{number}.png"] = picture
                Image.fromarray(picture).save(tmp_path / "p.png")
                file.write(tmp_path / "p.png", f"{number}.png")
    opened = open_pictures(place)
    assert opened.names == tuple(pixels)
    found = {each.name: each.pixels for batch in opened.batches(2) for each in batch}
    assert all(np.array_equal(found[name], pixels[name]) for name in pixels)
    Image.fromarray(pixels["one/1.png"]).save(place / "loose.png")
    assert open_pictures(place).names == (*pixels, "images/loose.png")
    (once,) = open_pictures(place).picked([4])
    assert np.array_equal(once.pixels, pixels["two/1.png"])


def test_a_zip_gives_what_its_folder_gives(tmp_path):
    write_folder(tmp_path / "p")
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("__MACOSX/._0.png", b"left by the system")
        for path in sorted((tmp_path / "p").rglob("*.*"), reverse=True):
            archive.write(path, path.relative_to(tmp_path / "p"))
    folder, packed = open_pictures(tmp_path / "p"), open_pictures(tmp_path / "p.zip")
    assert packed.names == folder.names
    assert packed.hashes(size=2) == folder.hashes(size=3)


def test_the_hash_knows_pixels_and_shape_and_nothing_else(tmp_path):
    pixels = picture(0, 8, 12)
    changed = pixels.copy()
    changed[3, 4, 1] ^= 1
    hashes = {
        picture_hash(pixels),
        picture_hash(changed),
        picture_hash(pixels.reshape(12, 8, 3)),
        picture_hash(np.ascontiguousarray(pixels[:, ::-1])),
    }
    assert len(hashes) == 4
    assert picture_hash(pixels[:, ::-1]) == picture_hash(np.ascontiguousarray(pixels[:, ::-1]))
    for name in ("one.png", "other.tiff", "third.bmp"):
        Image.fromarray(pixels).save(tmp_path / name)
    assert set(open_pictures(tmp_path).hashes()) == {picture_hash(pixels)}


def test_a_grey_file_a_frame_and_its_colour_copy_are_one_picture(tmp_path):
    grey = picture(1)[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    colour = np.repeat(grey[..., None], 3, axis=2)
    expected = [picture_hash(colour)]
    assert open_pictures(tmp_path).hashes() == expected
    assert FramePictures(grey[None]).hashes() == expected
    assert FramePictures(colour[None]).hashes() == expected
    assert FramePictures(grey[None] / 255, value_range=(0, 1)).hashes() == expected


def test_palette_orientation_and_opaque_alpha_are_decoded_as_shown(tmp_path):
    pixels = picture(2)
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "b.png", exif=exif)
    few = np.where(pixels[:, :, :1] > 128, np.uint8(255), np.uint8(0)).repeat(3, axis=2)
    Image.fromarray(few).convert("P").save(tmp_path / "c.png")
    first, second, third = next(open_pictures(tmp_path).batches(3))
    np.testing.assert_array_equal(first.pixels, pixels)
    np.testing.assert_array_equal(second.pixels, pixels)
    np.testing.assert_array_equal(third.pixels, few)


def write_damaged(path, kind):
    good = Image.fromarray(picture(3, 64, 64))
    if kind == "truncated":
        good.save(path)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "foreign":
        path.write_bytes(b"nonsense" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "transparent":
        good.putalpha(128)
        good.save(path)
    elif kind == "deep":
        Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save(path)
    else:
        good.save(path, format="PNG", save_all=True, append_images=[good.rotate(90)])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "cannot be decoded"),
        ("foreign", "not a picture of a known format"),
        ("empty", "not a picture of a known format"),
        ("transparent", "transparent pixels"),
        ("deep", "more than 8 bits"),
        ("moving", "2 frames"),
    ],
)
def test_what_cannot_be_decoded_is_one_line_with_its_path(tmp_path, kind, reason):
    folder = tmp_path / "p"
    folder.mkdir()
    write_damaged(folder / "bad.png", kind)
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(folder / "bad.png", "s/bad.png")
    for pictures, path in (
        (open_pictures(folder), f"{folder}/bad.png"),
        (open_pictures(tmp_path / "p.zip"), f"{tmp_path}/p.zip/s/bad.png"),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            pictures.hashes()
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def write_nwb_templates(path, movie):
    """Write frames where NWB puts a movie's template (ImageSeries below stimulus/templates)."""
    with h5py.File(path, "w") as file:
        group = file.create_group("stimulus/templates/natural_movie_one")
        group.create_dataset("data", data=movie, chunks=(1, *movie.shape[1:]), compression="gzip")
        file["units/spike_times"] = np.arange(4.0)


def test_a_movies_template_is_found_and_read_frame_by_frame(tmp_path):
    movie = np.random.default_rng(0).integers(0, 256, (7, 16, 20), dtype=np.uint8)
    write_nwb_templates(tmp_path / "s.nwb", movie)
    np.save(tmp_path / "s.npy", movie)
    name = "stimulus/templates/natural_movie_one/data"
    expected = [picture_hash(np.stack([frame] * 3, axis=2)) for frame in movie]
    for pictures in (
        open_pictures(tmp_path / "s.nwb"),
        open_pictures(tmp_path / "s.nwb", dataset=name),
        open_pictures(tmp_path / "s.npy"),
    ):
        assert pictures.names[6] == "frame_000006"
        assert pictures.hashes(size=3) == expected
    with h5py.File(tmp_path / "s.nwb") as file:
        assert FramePictures(file[name]).hashes() == expected


def test_frames_are_never_read_whole(tmp_path):
    with h5py.File(tmp_path / "long.h5", "w") as file:
        file.create_dataset("movie", (2000, 100, 100), dtype="u1", chunks=(1, 100, 100))
    pictures = open_pictures(tmp_path / "long.h5")
    tracemalloc.start()
    count = sum(len(batch) for batch in pictures.batches(8))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2000
    assert peak < 2_000_000  # the whole is 20 million


def test_values_need_a_range_and_keep_to_it():
    frames = np.linspace(-1, 1, 30, dtype=np.float32).reshape(2, 3, 5)
    with pytest.raises(DataError, match="float32, which do not say what black and white are"):
        FramePictures(frames)
    shown = [one.pixels for one in next(FramePictures(frames, value_range=(-1, 1)).batches(2))]
    np.testing.assert_allclose(shown, np.stack([frames] * 3, axis=3) * 127.5 + 127.5, atol=0.51)
    with pytest.raises(DataError, match=r"frame 1 holds the value 0\.03"):
        list(FramePictures(frames, value_range=(-1, 0)).batches(1))
    frames[1, 0, 0] = np.nan
    with pytest.raises(DataError, match="frame 1 holds the value nan"):
        list(FramePictures(frames, value_range=(-1, 1)).batches(2))
    assert next(FramePictures(np.eye(5, dtype=bool)[None]).batches(1))[0].pixels.max() == 255


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((10, 12, 3), "one colour picture"),
        ((10, 12), "expected frames of shape"),
        ((10, 12, 5, 4), "expected frames of shape"),
        ((0, 12, 10), "expected frames of shape"),
    ],
)
def test_what_are_no_frames_is_refused(shape, reason):
    with pytest.raises(DataError, match=reason):
        FramePictures(np.zeros(shape, np.uint8))


def test_wrong_places_are_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("words")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY nonsense")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"] = file["b"] = np.zeros((2, 8, 8), np.uint8)
        file["c"] = np.zeros((2, 8, 8))
    (tmp_path / "half.h5").write_bytes((tmp_path / "two.h5").read_bytes()[:600])
    for name, arguments, reason in (
        ("none", {}, "no such file or folder"),
        ("empty", {}, "no pictures here"),
        ("empty", {"dataset": "a"}, "belongs to a file of frames"),
        ("text.txt", {}, "expected a folder or zip archive"),
        ("bad.npy", {}, "not a readable .npy file"),
        ("objects.npy", {}, "not a readable .npy file"),
        ("two.h5", {}, "several data sets of frames: a, b"),
        ("two.h5", {"dataset": "d"}, "no data set 'd'; with frames there are: a, b"),
        ("two.h5", {"dataset": "c"}, "give value_range"),
        ("half.h5", {}, "not a readable HDF5 file"),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            open_pictures(tmp_path / name, **arguments)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)
