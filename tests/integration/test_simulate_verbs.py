"""``neurohorizon simulate ventral-stream`` as a user meets it, up to recordings of it."""

import h5py
import numpy as np
import pytest
from PIL import Image

from neurohorizon.cli.app import main
from neurohorizon.recordings.pictures import picture_hash
from neurohorizon.recordings.responses_store import open_responses
from neurohorizon.simulate.ventral import load_ventral_truth

SMALL = "--num-categories 40 --images-per-category 3 --test-images 20 --repeats 4 --noise 0.7"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ventral") / "world"
    words = ["simulate", "ventral-stream", "--out", str(folder), *SMALL.split()]
    assert main([*words, "--monkey", "N", "--trials", "--step-ms", "25"]) == 0
    return folder


@pytest.fixture(scope="module")
def prepared(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    tvsd = ["data", "prepare", "tvsd", str(world), f"images={world}"]
    assert main([*tvsd, "--out", str(out)]) == 0
    assert main([*tvsd, "--out", str(out), "read=trials"]) == 0
    return out


def test_what_the_reader_reads_is_what_was_simulated(world, prepared):
    recording = open_responses(prepared / "monkeyN_normMUA.h5")
    truth = load_ventral_truth(world)
    responses, units = recording.responses, recording.units
    with h5py.File(world / "monkeyN/THINGS_normMUA.mat") as file:
        np.testing.assert_array_equal(responses.values[:120], file["train_MUA"][:])
        repeats = file["test_MUA_reps"][:]
        np.testing.assert_array_equal(responses.values[120:], repeats.reshape(-1, 1024))
    np.testing.assert_array_equal(responses.image[:120], np.arange(120))
    np.testing.assert_array_equal(responses.image[120:], np.tile(np.arange(120, 140), 4))
    np.testing.assert_array_equal(units.area, truth["electrode"]["area"])
    np.testing.assert_array_equal(units.columns["array"] - 1, truth["electrode"]["array"])
    images = recording.images
    np.testing.assert_array_equal(
        images.path, np.char.add("object_images/", truth["image"]["path"])
    )
    for row in (0, 57, 139):
        pixels = np.asarray(Image.open(world / str(images.path[row])))
        assert images.sha256[row] == picture_hash(pixels)
        words = [truth["words"][n][truth["image"][n][row]] for n in ("hue", "texture", "shape")]
        assert images.category[row] == "_".join(words)
    assert len(set(images.sha256)) == 140


def test_statistics_say_what_is_true_of_the_electrodes(world, prepared):
    columns = open_responses(prepared / "monkeyN_normMUA.h5").units.columns
    electrode = load_ventral_truth(world)["electrode"]
    whole = ~(electrode["is_missing"] | electrode["is_deaf"])
    late = 1e3 * columns["latency_s"]
    assert np.abs(late - electrode["latency_ms"])[whole].max() < 6
    for name in ("snr", "snr_max", "reliability", "oracle"):
        assert np.corrcoef(columns[name][whole], electrode["quality"][whole])[0, 1] > 0.6
        assert np.isnan(columns[name][electrode["is_missing"]]).all()
    assert columns["snr_max"][electrode["is_deaf"]].max() < columns["snr_max"][whole].mean()


def test_trials_are_the_same_responses_in_the_recorder_s_order(world, prepared):
    norm = open_responses(prepared / "monkeyN_normMUA.h5").responses
    trials = open_responses(prepared / "monkeyN_trials.h5").responses
    assert len(trials) == len(norm) == 200
    assert sorted(set(trials.day)) == [1, 2, 3, 4]
    # Normalised over days as normMUA was, by the test presentations of the day.
    values = np.array(trials.values[:])
    for day in range(1, 5):
        rows = trials.day == day
        test = values[rows & (trials.part == "test")]
        values[rows] = (values[rows] - test.mean(axis=0)) / test.std(axis=0)
    order = np.lexsort([trials.repeat, trials.image])
    same = np.lexsort([norm.repeat, norm.image])
    np.testing.assert_array_equal(trials.image[order], norm.image[same])
    np.testing.assert_allclose(values[order], norm.values[:][same], atol=5e-3)


def test_validation_finds_the_broken_electrodes_and_nothing_else(world, prepared, capsys):
    electrode = load_ventral_truth(world)["electrode"]
    capsys.readouterr()
    assert main(["data", "validate", str(prepared / "monkeyN_normMUA.h5")]) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith(("warning", "error", "note"))]
    assert len(lines) == 3
    assert f"in {electrode['is_missing'].sum()} units" in lines[0]
    assert "12 of 1024 units have no values at all" in lines[1]
    assert "8 pairs of units are nearly the same" in lines[2]
    copy = int(np.flatnonzero(electrode["copy_of"] >= 0)[0])
    array, channel = copy // 64 + 1, copy % 64 + 1
    assert (
        f"array{array:02d}_channel{channel - 1:02d} = array{array:02d}_channel{channel:02d}"
        in (lines[2])
    )


def test_swapped_areas_would_be_noticed(world, tmp_path, capsys):
    words = ["data", "prepare", "tvsd", str(world), "--out", str(tmp_path)]
    assert main([*words, "regions=V1:0-511 IT:512-767 V4:768-1023"]) == 0
    captured = capsys.readouterr()
    assert "median latency is not V1 < V4 < IT" in captured.out + captured.err


def test_called_again_it_is_done_and_another_world_is_refused(world, capsys, only_error):
    words = ["simulate", "ventral-stream", "--out", str(world), *SMALL.split(), "--monkey", "N"]
    capsys.readouterr()
    assert main(words) == 0
    assert "120 train and 20 test images" in capsys.readouterr().out
    assert main([*words, "--seed", "1"]) == 2
    assert "other settings (seed is 0 there, 1 here)" in only_error()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--monkey G", "monkey is 'G': choose F or N"),
        ("--noise -1", "noise is -1.0: expected 0 or more"),
        ("--num-categories 2000", "num_categories is 2000: expected 1 to 1872"),
        ("--trials --step-ms 7", "samples of 7 ms do not fit the areas' windows"),
        ("--step-ms 5", "--step-ms 5 has no effect without --trials"),
    ],
)
def test_bad_settings_are_one_line(tmp_path, words, message, only_error):
    out = tmp_path / "new"
    assert main(["simulate", "ventral-stream", "--out", str(out), *words.split()]) == 2
    assert message in only_error()
    assert not out.exists()
