import inspect
import shutil
import tracemalloc

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.files import checksum
from neurohorizon.recordings.responses_store import open_responses, write_responses
from neurohorizon.recordings.responses_validate import validate_responses
from neurohorizon.sources.tvsd import SOURCE, convert, find_files
from neurohorizon.sources.tvsd import files as tvsd_files
from tvsd_world import (
    AREAS,
    NUM_UNITS,
    World,
    write_logs,
    write_monkey,
    write_norm,
    write_pictures,
    write_trials,
)

WORLD = World()


def severities(recording):
    return [finding.severity for finding in validate_responses(recording)]


@pytest.fixture(scope="module")
def monkey(tmp_path_factory):
    return write_monkey(tmp_path_factory.mktemp("tvsd") / "monkeyF", WORLD)


@pytest.fixture
def folder(monkey, tmp_path):
    return shutil.copytree(monkey.parent, tmp_path / "monkeyF")


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trials") / "monkeyF"
    write_logs(folder, WORLD)
    return write_trials(folder, WORLD)


class TestNormMua:
    def test_known_values_come_back(self, monkey):
        recording = convert(monkey)
        train, repeats = WORLD.train(), WORLD.repeats()
        responses = recording.responses
        assert (recording.id, recording.subject) == ("monkeyF_normMUA", "monkeyF")
        np.testing.assert_array_equal(responses.values[:60], train.astype(np.float32))
        for repeat, image in ((0, 0), (2, 3), (3, 4)):
            (row,) = np.flatnonzero(
                (responses.part == "test")
                & (responses.image == 60 + image)
                & (responses.repeat == repeat)
            )
            expected = repeats[repeat, image].astype(np.float32)
            np.testing.assert_array_equal(responses.values[row], expected)
        assert responses.values.dtype == np.float32
        assert np.count_nonzero(responses.part == "train") == 60
        assert responses.start.tolist() == list(range(80))
        assert severities(recording) == ["note"]  # no pictures at hand

    def test_images_stand_in_the_order_of_the_rows(self, monkey):
        images = convert(monkey).images
        assert images.path[4] == "abacus/abacus_04s.jpg"
        assert images.name[60] == "aardvark_60s"
        assert images.category[[0, 1, 2]].tolist() == ["aardvark", "abacus", "accordion"]

    def test_mean_of_the_repeats(self, monkey):
        responses = convert(monkey, test="mean").responses
        np.testing.assert_allclose(responses.values[60:], WORLD.repeats().mean(axis=0), rtol=1e-6)
        assert responses.repeat[60:].tolist() == [-1] * 5

    def test_either_order_of_axes(self, folder, monkey):
        write_norm(folder, WORLD, reverse=True)
        one, other = convert(monkey), convert(folder)
        np.testing.assert_array_equal(one.responses.values, other.responses.values)
        for name, values in one.units.columns.items():
            np.testing.assert_array_equal(values, other.units.columns[name])

    @pytest.mark.parametrize("letter", ["F", "N"])
    def test_areas_arrays_and_statistics(self, tmp_path, letter):
        world = World(monkey=letter)
        recording = convert(write_monkey(tmp_path / f"monkey{letter}", world))
        np.testing.assert_array_equal(recording.units.area, AREAS[letter])
        assert recording.units.id[[0, 63, 64, 1023]].tolist() == [
            "array01_channel01",
            "array01_channel64",
            "array02_channel01",
            "array16_channel64",
        ]
        assert recording.units.columns["array"][[0, 1023]].tolist() == [1, 16]
        number = np.arange(NUM_UNITS)
        np.testing.assert_allclose(recording.units.columns["snr"], (number + 1.5) / 1000)
        np.testing.assert_allclose(recording.units.columns["snr_max"], (number + 3) / 1000)
        np.testing.assert_allclose(recording.units.columns["reliability"], number / 1500)
        np.testing.assert_allclose(recording.units.columns["oracle"], number / 2000)
        latency = recording.units.columns["latency_s"]
        assert latency[0] == pytest.approx(0.045)
        assert not any("latency" in finding.what for finding in validate_responses(recording))

    def test_swapped_regions_are_noticed(self, monkey):
        swapped = convert(monkey, regions="V1:0-511, V4:512-831, IT:832-1023")
        (found,) = [f for f in validate_responses(swapped) if f.severity == "warning"]
        assert found.what == "median latency is not V1 < V4 < IT: V1 45 ms, V4 95 ms, IT 65 ms"

    @pytest.mark.parametrize(
        ("regions", "words"),
        [
            ("V1:0-511 IT:512-831", "electrode 832 is in no region"),
            ("V1:0-511 V4:500-1023", "overlaps"),
            ("V2:0-1023", "'V2:0-1023' is not one of V1, V4, IT"),
            ("V1:0-1024", "electrodes from 0 to 1023"),
        ],
    )
    def test_a_bad_table_of_regions(self, monkey, regions, words):
        with pytest.raises(ConfigError, match=words):
            convert(monkey, regions=regions)

    def test_missing_statistics_are_named(self, folder):
        write_norm(folder, WORLD, leave_out=("oracle", "lats"))
        recording = convert(folder)
        assert "latency_s" not in recording.units.columns
        assert recording.metadata["missing_statistics"] == "oracle, lats"

    def test_missing_values_are_counted(self, folder):
        train = WORLD.train()
        train[3, 7] = train[5, 7] = train[5, 900] = np.nan
        recording = convert(write_norm(folder, WORLD, train_MUA=train))
        found = [f.what for f in validate_responses(recording) if f.severity == "warning"]
        assert len(found) == 1
        assert found[0].startswith("3 values (0.00%) are missing (NaN), in 2 units and 2 pres")

    def test_written_file_is_the_same_twice(self, monkey, tmp_path):
        paths = [write_responses(convert(monkey), tmp_path / f"{n}.h5") for n in range(2)]
        assert checksum(paths[0]) == checksum(paths[1])
        read = open_responses(paths[0])
        np.testing.assert_array_equal(read.responses.values[:60], WORLD.train().astype("f4"))


class TestPictures:
    def test_hashes_by_path(self, monkey, tmp_path):
        test, train = WORLD.paths("test"), WORLD.paths("train")
        pictures = write_pictures(
            tmp_path / "things" / "object_images", WORLD, same=(train[8], test[2])
        )
        (pictures / train[5].replace("\\", "/")).unlink()
        recording = convert(monkey, images=str(pictures.parent))
        hashes = recording.images.sha256
        assert hashes[5] == ""
        assert np.count_nonzero(hashes) == 64
        assert hashes[8] == hashes[62]
        assert recording.images.path[0] == "object_images/aardvark/aardvark_00s.jpg"
        whats = [finding.what for finding in validate_responses(recording)]
        assert whats[0] == "1 of 5 test images were shown in training too: accordion_62s"
        assert "1 of 65 images that were shown have no picture at hand" in whats
        inner = convert(monkey, images=str(pictures))
        np.testing.assert_array_equal(inner.images.sha256, hashes)

    def test_a_folder_without_them(self, monkey, tmp_path):
        with pytest.raises(DataError, match=r"none of the 65 images is here .*aardvark_00s\.jpg"):
            convert(monkey, images=str(tmp_path))
        with pytest.raises(DataError, match="no such folder of pictures"):
            convert(monkey, images=str(tmp_path / "absent"))

    def test_a_damaged_picture(self, monkey, tmp_path):
        pictures = write_pictures(tmp_path, WORLD)
        (pictures / "aardvark" / "aardvark_00s.jpg").write_bytes(b"\xff\xd8nonsense")
        with pytest.raises(DataError, match=r"aardvark_00s\.jpg: cannot be decoded"):
            convert(monkey, images=str(pictures))


class TestTrials:
    def test_windows_of_the_areas(self, trials):
        recording = convert(trials)
        table, responses = WORLD.trial_table(), recording.responses
        assert recording.id == "monkeyF_trials"
        expected = np.arange(len(table))[:, None] + np.arange(NUM_UNITS) / 1024
        np.testing.assert_allclose(responses.values[0:80], expected, atol=1e-3)
        np.testing.assert_array_equal(
            responses.image, np.where(table[:, 1] > 0, table[:, 1], 60 + table[:, 2]) - 1
        )
        assert responses.day.tolist() == table[:, 5].tolist()
        for image in (60, 64):
            assert responses.repeat[responses.image == image].tolist() == [0, 1, 2, 3]
        assert "error" not in severities(recording)

    @pytest.mark.parametrize(
        ("reverse", "chunks", "compression", "num_bytes"),
        [
            (True, (30, 16, 512), None, 300_000),
            (False, None, None, 300_000),
            (False, (7, 30, 100), "gzip", 1),
            (False, (7, 30, 100), "gzip", 2**25),
            (True, (60, 3, 1024), None, 1),
        ],
    )
    def test_layout_and_tiles_change_nothing(
        self, tmp_path, monkeypatch, reverse, chunks, compression, num_bytes
    ):
        folder = tmp_path / "monkeyF"
        world = World(num_train=20, num_repeats=2)
        write_logs(folder, world)
        path = write_trials(folder, world, reverse=reverse, chunks=chunks, compression=compression)
        monkeypatch.setattr(tvsd_files, "READ_BYTES", num_bytes)
        values = convert(path).responses.values
        expected = np.arange(30)[:, None] + np.arange(NUM_UNITS) / 1024
        np.testing.assert_allclose(values[0:30], expected, atol=1e-3)
        np.testing.assert_allclose(values[11:18], expected[11:18], atol=1e-3)
        assert values[4:4].shape == (0, NUM_UNITS)

    def test_time_bins(self, trials):
        recording = convert(trials, bins_ms=25)
        responses = recording.responses
        assert recording.id == "monkeyF_trials_25ms"
        assert responses.values.shape == (80, NUM_UNITS, 12)
        np.testing.assert_allclose(responses.bin_edges_s, np.arange(-100, 201, 25) / 1e3)
        windows = {"V1": (25, 125), "V4": (50, 150), "IT": (75, 175)}
        values = responses.values[30:50]
        for electrode in (0, 600, 1000):
            low, high = windows[WORLD.area[electrode]]
            inside = (np.arange(-100, 200, 25) >= low) & (np.arange(-100, 200, 25) < high)
            expected = np.where(inside, np.arange(30, 50)[:, None], -1000) + electrode / 1024
            np.testing.assert_allclose(values[:, electrode], expected, atol=1e-3)

    def test_bins_that_do_not_fit(self, trials):
        with pytest.raises(DataError, match=r"bins_ms=40 does not divide .* 25, 30, 50"):
            convert(trials, bins_ms=40)
        with pytest.raises(DataError, match="bins_ms=12 does not divide"):
            convert(trials, bins_ms=12)

    def test_memory_stays_small(self, tmp_path, monkeypatch):
        folder = tmp_path / "monkeyF"
        world = World(num_train=260, num_repeats=8)
        write_logs(folder, world)
        path = write_trials(
            folder, world, time_ms=np.arange(-100.0, 200.0, 4), chunks=(25, 10, 512)
        )
        with h5py.File(path) as file:
            assert file["ALLMUA"].size * 4 > 85 * 2**20
        monkeypatch.setattr(tvsd_files, "READ_BYTES", 2 * 2**20)
        tracemalloc.start()
        written = write_responses(convert(path, bins_ms=20), tmp_path / "trials.h5")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        num_bytes = written.stat().st_size
        assert num_bytes > 15 * 2**20
        assert peak < num_bytes + 14 * 2**20 < 40 * 2**20

    def test_beside_normmua(self, folder):
        write_trials(folder, WORLD)
        assert find_files(folder) == [folder / "THINGS_normMUA.mat"]
        assert convert(folder).id == "monkeyF_normMUA"
        recording = convert(folder, read="trials")
        assert recording.id == "monkeyF_trials"
        assert recording.units.columns["latency_s"][0] == pytest.approx(0.045)
        assert convert(folder / "THINGS_MUA_trials.mat").id == "monkeyF_trials"

    def test_trials_that_show_nothing_or_too_much(self, tmp_path):
        folder = tmp_path / "monkeyF"
        write_logs(folder, WORLD)
        for change, words in (
            ((7, 1, 0), "trial 7 shows no image"),
            ((7, 2, 3), "trial 7 shows no image, or one of train and one of test"),
            ((7, 1, 61), "train image 61 is shown, but things_imgs.mat lists 60"),
        ):
            table = WORLD.trial_table()
            table[7, 1:3] = (5, 0)
            table[change[0], change[1]] = change[2]
            path = write_trials(folder, WORLD, table=table)
            with pytest.raises(DataError, match=words):
                convert(path)
        with pytest.raises(DataError, match=r"shape \(80, 4\)|shape \(4, 80\)"):
            convert(write_trials(folder, WORLD, table=WORLD.trial_table()[:, :4]))

    def test_times_that_do_not_fit(self, trials, tmp_path):
        folder = shutil.copytree(trials.parent, tmp_path / "monkeyF")
        with h5py.File(folder / trials.name, "a") as file:
            del file["tb"]
            file["tb"] = np.arange(20.0)
        with pytest.raises(DataError, match="60 samples, but tb has 20 times"):
            convert(folder)
        write_trials(folder, WORLD, time_ms=np.arange(0.0, 160.0, 5))
        with pytest.raises(DataError, match="does not hold every area's window"):
            convert(folder)

    def test_mapping_is_checked(self, trials, tmp_path):
        folder = shutil.copytree(trials.parent, tmp_path / "monkeyF")
        path = folder / "_logs" / "1024chns_mapping_20220105.mat"
        savemat(path, {"mapping": np.arange(1024)[None]})
        with pytest.raises(DataError, match="each channel from 1 to 1024 once"):
            convert(folder)
        path.write_bytes(b"nonsense" * 100)
        with pytest.raises(DataError, match="not a readable MATLAB file"):
            convert(folder)
        path.unlink()
        with pytest.raises(DataError, match=r"no 1024chns_mapping_\*\.mat here or in _logs/"):
            convert(folder)

    def test_damage_met_while_reading_is_one_line(self, trials, tmp_path):
        folder = shutil.copytree(trials.parent, tmp_path / "monkeyF")
        path = write_trials(folder, WORLD, compression="gzip")
        recording = convert(path)
        content = bytearray(path.read_bytes())
        with h5py.File(path) as file:
            chunk = file["ALLMUA"].id.get_chunk_info(5)
        content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"not a readable MATLAB v7\.3 file") as caught:
            write_responses(recording, tmp_path / "out.h5")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out.h5").exists()


class TestBadInput:
    def test_wrong_folder(self, tmp_path, monkey):
        with pytest.raises(DataError, match=r"expected one THINGS_normMUA\.mat"):
            convert(tmp_path)
        with pytest.raises(DataError, match="no such file or folder"):
            convert(tmp_path / "absent")
        with pytest.raises(DataError, match="not a data file of TVSD"):
            convert(monkey.parent / "_logs" / "things_imgs.mat")
        assert find_files(tmp_path) == []

    def test_whose_it_is_must_be_known(self, tmp_path, monkey):
        folder = shutil.copytree(monkey.parent, tmp_path / "somebody")
        with pytest.raises(DataError, match="say monkey=F or N"):
            convert(folder)
        assert convert(folder, monkey="N").subject == "monkeyN"

    def test_two_monkeys_in_one_folder(self, tmp_path):
        write_logs(tmp_path, WORLD)
        for letter in "FN":
            write_norm(tmp_path, WORLD, prefix=f"monkey{letter}_")
        found = find_files(tmp_path)
        assert [convert(path).subject for path in found] == ["monkeyF", "monkeyN"]

    @pytest.mark.parametrize("name", ["train_MUA", "test_MUA_reps"])
    def test_missing_member(self, folder, name):
        write_norm(folder, WORLD, leave_out=(name,))
        with pytest.raises(DataError, match=rf"no {name} \(found SNR, SNR_max, lats"):
            convert(folder)

    def test_ambiguous_axes(self, folder):
        square = np.zeros((NUM_UNITS, NUM_UNITS))
        with pytest.raises(DataError, match="which one counts electrodes is ambiguous"):
            convert(write_norm(folder, WORLD, train_MUA=square))
        with pytest.raises(DataError, match=r"shape \(60, 1000\), expected 1024 electrodes"):
            convert(write_norm(folder, WORLD, train_MUA=np.zeros((60, 1000))))
        with pytest.raises(DataError, match="first or last axis"):
            convert(write_norm(folder, WORLD, test_MUA_reps=np.zeros((4, NUM_UNITS, 5))))

    def test_rows_and_images_differ_in_number(self, folder):
        write_logs(folder, WORLD, train=59)
        with pytest.raises(DataError, match=r"60 rows of train responses, but .* lists 59 train"):
            convert(folder)
        write_logs(folder, WORLD, test=4)
        with pytest.raises(DataError, match=r"5 rows of test responses, but .* lists 4 test"):
            convert(folder)

    def test_no_list_of_images(self, folder):
        (folder / "_logs" / "things_imgs.mat").unlink()
        with pytest.raises(DataError, match=r"no things_imgs\.mat here or in _logs/"):
            convert(folder)

    def test_damaged_list_of_images(self, folder):
        path = folder / "_logs" / "things_imgs.mat"
        with h5py.File(path, "a") as file:
            del file["test_imgs/class"]
        with pytest.raises(DataError, match="no test_imgs/class"):
            convert(folder)
        with h5py.File(path, "a") as file:
            file["test_imgs/class"] = np.arange(5)
        with pytest.raises(DataError, match="expected references to text"):
            convert(folder)
        with h5py.File(path, "a") as file:
            del file["test_imgs"]
        with pytest.raises(DataError, match=r"no test_imgs; is this things_imgs\.mat"):
            convert(folder)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"nonsense" * 200, "not a readable MATLAB v7.3 file"),
            (b"/annex/objects/MD5-s123--abc\n", "git-annex pointer"),
            (b"MATLAB 5.0 MAT-file".ljust(600), "MATLAB v5, expected v7.3"),
        ],
    )
    def test_corrupt_files(self, folder, content, words):
        for name in ("THINGS_normMUA.mat", "_logs/things_imgs.mat"):
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(content)
            with pytest.raises(DataError, match=words) as caught:
                convert(folder)
            assert "\n" not in str(caught.value)
            (folder / name).write_bytes(whole)

    def test_truncated_file(self, folder):
        path = folder / "THINGS_normMUA.mat"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match=r"not a readable MATLAB v7\.3 file"):
            convert(folder)

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"read": "raw"}, "choose normMUA or trials"),
            ({"test": "all"}, "choose repeats or mean"),
            ({"monkey": "G"}, "choose F or N"),
            ({"bins_ms": 10.0}, "has no effect on normMUA"),
            ({"read": "trials", "test": "mean"}, "has no effect on trials"),
            ({"read": "trials", "bins_ms": -1.0}, "expected a width in ms"),
        ],
    )
    def test_settings(self, monkey, settings, words):
        with pytest.raises(ConfigError, match=words):
            convert(monkey, **settings)

    def test_settings_of_the_source_are_those_of_convert(self):
        parameters = list(inspect.signature(convert).parameters.values())[1:]
        assert {each.name: each.default for each in parameters} == {
            name: setting.default for name, setting in SOURCE.convert_settings.items()
        }
