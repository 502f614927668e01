"""A simulated ventral stream on disk: what was written, what is skipped, what is refused."""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.simulate.ventral import (
    VentralPlan,
    draw_scene,
    load_ventral_truth,
    render,
    write_ventral_stream,
)
from neurohorizon.simulate.ventral.objects import list_categories

PLAN = VentralPlan(num_categories=30, images_per_category=3, num_test=12, num_repeats=4, noise=0.7)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ventral") / "world"
    write_ventral_stream(PLAN, folder)
    return folder


@pytest.fixture
def copy(world, tmp_path):
    return shutil.copytree(world, tmp_path / "world")


def read(folder, name="monkeyF/THINGS_normMUA.mat"):
    with h5py.File(folder / name) as file:
        return {key: file[key][()] for key in file if isinstance(file[key], h5py.Dataset)}


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


class TestLayout:
    def test_members_are_shaped_as_the_data_set_s(self, world):
        shapes = {name: values.shape for name, values in read(world).items()}
        assert shapes == {
            "train_MUA": (90, 1024),
            "test_MUA": (12, 1024),
            "test_MUA_reps": (4, 12, 1024),
            "SNR": (4, 1024),
            "SNR_max": (1024, 1),
            "lats": (4, 1024),
            "oracle": (1024, 1),
            "reliab": (6, 1024),
            "tb": (300, 1),
        }
        with (world / "monkeyF/THINGS_normMUA.mat").open("rb") as stream:
            assert stream.read(10) == b"MATLAB 7.3"

    def test_pictures_lie_in_one_folder_a_category(self, world):
        categories = list_categories(0)[:30]
        folders = {path.name for path in (world / "object_images").iterdir()}
        assert folders == {category.name for category in categories}
        pictures = list((world / "object_images").rglob("*.png"))
        assert len(pictures) == 90 + 12

    def test_nothing_else_is_left(self, world):
        names = {path.relative_to(world).parts[0] for path in files_of(world)}
        assert names == {"ventral_stream.json", "truth.npz", "monkeyF", "object_images"}
        assert not list(world.rglob(".*"))


class TestTruth:
    def test_each_row_is_the_picture_that_lies_there(self, world):
        truth = load_ventral_truth(world)
        image = truth["image"]
        assert np.bincount(image["part"] == "test").tolist() == [90, 12]
        for row, (part, category, exemplar) in {
            0: ("train", 0, 0),
            89: ("train", 29, 2),
            90: ("test", 0, 0),
            101: ("test", 11, 0),
        }.items():
            scene = draw_scene(0, part, category, exemplar)
            pixels = np.asarray(Image.open(world / "object_images" / str(image["path"][row])))
            np.testing.assert_array_equal(pixels, render(scene))
            assert image["category"][row] == category
            assert image["x"][row] == pytest.approx(scene.x)
            words = [truth["words"][n][image[n][row]] for n in ("hue", "texture", "shape")]
            assert str(image["path"][row]).startswith("_".join(words) + "/")

    def test_answers_are_what_repeats_have_in_common(self, world):
        truth, values = load_ventral_truth(world), read(world)
        answer = truth["image"]["answer"][90:].astype(float)
        good = truth["electrode"]["quality"] > 1
        assert answer.shape == (12, 1024)
        told = [
            np.corrcoef(answer[:, number], values["test_MUA"][:, number])[0, 1]
            for number in np.flatnonzero(good & (truth["electrode"]["copy_of"] < 0))
        ]
        assert np.median(told) > 0.9
        assert np.isnan(values["train_MUA"][:, truth["electrode"]["is_missing"]]).all()

    def test_it_needs_the_file(self, tmp_path, copy):
        with pytest.raises(DataError, match=r"no truth\.npz there"):
            load_ventral_truth(tmp_path)
        (copy / "truth.npz").write_bytes(b"PK damaged")
        with pytest.raises(DataError, match="damaged"):
            load_ventral_truth(copy)


class TestSameAgain:
    def test_the_same_plan_gives_the_same_files(self, world, tmp_path):
        write_ventral_stream(PLAN, tmp_path / "again")
        one, other = read(world), read(tmp_path / "again")
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])
        truths = [load_ventral_truth(folder) for folder in (world, tmp_path / "again")]
        for about, columns in truths[0].items():
            for name, values in columns.items():
                np.testing.assert_array_equal(values, truths[1][about][name])

    def test_pictures_and_answers_do_not_depend_on_how_many_there_are(self, world, tmp_path):
        plan = replace(PLAN, num_categories=26, images_per_category=2, num_test=5)
        write_ventral_stream(plan, tmp_path / "few")
        many, few = (load_ventral_truth(f)["image"] for f in (world, tmp_path / "few"))
        rows = {
            (c, e): 3 * c + e for c in range(26) for e in range(2)
        }  # of the many; few come in the same order
        of_many = [*rows.values(), *range(90, 95)]
        for name in ("shape", "x", "size", "luminance_layout"):
            np.testing.assert_array_equal(few[name], many[name][of_many])
        np.testing.assert_allclose(few["answer"], many["answer"][of_many], atol=4e-3)
        word = list_categories(0)[7].name
        for number in (1, 2):
            file = f"object_images/{word}/{word}_{number:02d}.png"
            assert (world / file).read_bytes() == (tmp_path / "few" / file).read_bytes()

    def test_another_seed_is_another_world(self, world, tmp_path):
        write_ventral_stream(replace(PLAN, seed=1, monkey="N"), tmp_path)
        one, other = load_ventral_truth(world), load_ventral_truth(tmp_path)
        assert not set(one["image"]["path"]) <= set(other["image"]["path"])
        assert (other["electrode"]["area"] == "IT").sum() == 256


class TestWhatIsThere:
    def test_a_folder_that_is_whole_is_left_alone(self, copy):
        before = {path: path.stat().st_mtime_ns for path in files_of(copy)}
        calls = []
        write_ventral_stream(PLAN, copy, progress=lambda *words: calls.append(words))
        assert {path: path.stat().st_mtime_ns for path in files_of(copy)} == before
        assert calls == []

    def test_an_interrupted_call_goes_on(self, world, tmp_path):
        folder = tmp_path / "world"

        def stop(stage, done, total):
            if done >= total:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_ventral_stream(PLAN, folder, progress=stop)
        assert not list(folder.rglob("*.part*"))
        assert not (folder / "monkeyF").exists()
        kept = {p: p.stat().st_mtime_ns for p in (folder / "object_images").rglob("*.png")}
        assert len(kept) == 102
        write_ventral_stream(PLAN, folder)
        assert {p: p.stat().st_mtime_ns for p in kept} == kept
        for name, values in read(world).items():
            np.testing.assert_array_equal(values, read(folder)[name])

    def test_what_was_removed_is_made_again(self, copy, world):
        word = list_categories(0)[4].name
        shutil.rmtree(copy / "object_images" / word)
        (copy / "monkeyF/_logs/things_imgs.mat").unlink()
        write_ventral_stream(PLAN, copy)
        assert [p.relative_to(copy) for p in files_of(copy)] == [
            p.relative_to(world) for p in files_of(world)
        ]

    def test_trials_can_be_added(self, copy):
        before = (copy / "monkeyF/THINGS_normMUA.mat").stat().st_mtime_ns
        write_ventral_stream(PLAN, copy, trials=True, step_ms=25.0)
        assert (copy / "monkeyF/THINGS_normMUA.mat").stat().st_mtime_ns == before
        trials = read(copy, "monkeyF/THINGS_MUA_trials.mat")
        assert trials["ALLMUA"].shape == (12, 138, 1024)
        write_ventral_stream(PLAN, copy, trials=True, step_ms=25.0)
        with pytest.raises(ConfigError, match="holds samples of 25 ms, not 5"):
            write_ventral_stream(PLAN, copy, trials=True)

    @pytest.mark.parametrize("changed", [{"noise": 0.8}, {"num_test": 13}, {"monkey": "N"}])
    def test_another_plan_is_refused(self, copy, changed):
        before = files_of(copy)
        ((name, value),) = changed.items()
        with pytest.raises(ConfigError, match=rf"other settings \({name} is .* there, {value} "):
            write_ventral_stream(replace(PLAN, **changed), copy)
        assert files_of(copy) == before

    def test_a_folder_of_something_else_is_refused(self, tmp_path, copy):
        (tmp_path / "else/monkeyF").mkdir(parents=True)
        with pytest.raises(ConfigError, match="not simulated here"):
            write_ventral_stream(PLAN, tmp_path / "else")
        (copy / "ventral_stream.json").write_text("{")
        with pytest.raises(ConfigError, match="damaged"):
            write_ventral_stream(PLAN, copy)


class TestPlan:
    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"monkey": "G"}, "monkey is 'G': choose F or N"),
            ({"num_categories": 1873}, "num_categories is 1873: expected 1 to 1872"),
            ({"images_per_category": 0}, "images_per_category is 0: expected 1 to 1000"),
            ({"num_test": 1}, "num_test is 1: expected 2 to 10000"),
            ({"num_repeats": 1}, "num_repeats is 1: expected 2 to 1000"),
            ({"size_px": 16}, "size_px is 16: expected 32 to 1024"),
            ({"seed": -1}, "seed is -1: expected 0 or more"),
            ({"noise": -0.1}, "noise is -0.1: expected 0 or more"),
            ({"noise": float("nan")}, "noise is nan: expected 0 or more"),
            ({"num_categories": 128, "images_per_category": 8}, "1024 train images, as many"),
            ({"num_test": 1024}, "1024 test images, as many"),
        ],
    )
    def test_bad_settings_are_named(self, changed, words):
        with pytest.raises(ConfigError, match=words):
            replace(VentralPlan(), **changed)

    def test_trials_as_many_as_electrodes_are_refused(self, tmp_path):
        plan = VentralPlan(num_categories=1, images_per_category=1000, num_test=4, num_repeats=6)
        with pytest.raises(ConfigError, match="1024 trials, as many as electrodes"):
            write_ventral_stream(plan, tmp_path / "new", trials=True)
        assert not (tmp_path / "new").exists()

    def test_the_default_is_of_the_data_set_s_size(self):
        plan = VentralPlan()
        assert (plan.num_train, plan.num_test, plan.num_repeats) == (22248, 100, 30)
        assert plan.num_trials == 25248

    def test_the_folder_says_how_it_was_made(self, world):
        stated = json.loads((world / "ventral_stream.json").read_text())
        assert stated["num_categories"] == 30
        assert stated["noise"] == 0.7
