"""``neurohorizon config``, ``simulate`` and ``features`` as a user meets them."""

import csv
import json

import pytest

from neurohorizon.cli.app import main
from neurohorizon.configs.recipe_file import list_recipes
from neurohorizon.recordings.store import list_recordings, open_recording


def refused(capsys, *tokens):
    assert main([*map(str, tokens)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_list_names_every_recipe(capsys):
    assert main(["config", "list"]) == 0
    recipes, experiments = capsys.readouterr().out.split("\n\n")
    lines = recipes.splitlines()
    assert [line.split()[0] for line in lines] == [name for name, _ in list_recipes()]
    assert "ablations" in [line.split()[0] for line in experiments.splitlines()]
    assert "The simulated world" in next(line for line in lines if line.startswith("default"))


def test_explain_shows_every_value_with_its_origin(capsys):
    assert main(["config", "explain", "demo", "model.size=small", "run.seed=3"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["run.seed"].split(maxsplit=2)[1:] == ["3", "command line"]
    assert lines["run.folder"].split(maxsplit=2)[1:] == ["runs/demo", "run.name"]
    assert lines["model.width"].split(maxsplit=2)[1:] == ["256", "size small"]
    assert lines["data.num_sessions"].split(maxsplit=2)[2] == "base default"
    assert lines["data.num_held_out"].split(maxsplit=2)[2] == "recipe demo"
    assert lines["window.bin_s"].split(maxsplit=2)[1:] == ["0.02", "default"]


def test_schema_is_json_schema(capsys):
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["type"] == "object"
    assert schema["$defs"]["WindowConfig"]["properties"]["bin_s"]["default"] == 0.02
    assert set(schema["$defs"]) >= {"FilesData", "SimulatedData", "HoldOutSubjects"}


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["defalt"], "did you mean default?"),
        (["default", "model.widht=3"], "did you mean model.width?"),
        (["default", "model.width=wide"], "expected a whole number, got 'wide'"),
        (["default", "window.horizon_s=0.25"], "choose 0.24 or 0.26 s"),
        (["default", "model.width"], "expected key=value"),
        (["default", "data.units=[9, 3]"], "units_range is 9 to 3"),
        (["default", "data.minutes=0.5"], "data.minutes is 0.5: expected at least 0.7"),
        (["nowhere.yaml"], "no such recipe file"),
        ([], "RECIPE"),
    ],
)
def test_a_mistake_is_one_line(capsys, tokens, words):
    assert words in refused(capsys, "config", "explain", *tokens)


def test_simulate_then_features(tmp_path, capsys):
    world = ["--minutes", "0.5", "--units", "3", "4", "--no-bursts", "--seed", "5"]
    folder = tmp_path / "world"
    command = ["simulate", "population", "--out", str(folder), "--num-sessions", "2", *world]
    assert main(command) == 0
    assert "2 sessions with their truth" in capsys.readouterr().out
    recordings = list_recordings(folder)
    assert [path.stem for path in recordings] == ["seed5_session0000", "seed5_session0001"]
    before = [path.stat().st_mtime_ns for path in recordings]
    assert main(command) == 0
    assert [path.stat().st_mtime_ns for path in recordings] == before
    capsys.readouterr()
    assert "bursts is False there" in refused(
        capsys, "simulate", "population", "--out", folder, "--minutes", 0.5, "--units", 3, 4,
        "--seed", 5,
    )  # fmt: skip

    table = tmp_path / "features.csv"
    assert main(["features", str(folder), "--reference-s", "15", "--out", str(table)]) == 0
    said = capsys.readouterr().out
    rows = list(csv.DictReader(table.open()))
    assert f"{len(rows)} units" in said
    assert {row["recording"] for row in rows} == {path.stem for path in recordings}
    assert {row["reference_s"] for row in rows} == {"15.0"}
    assert main(["features", str(recordings[0]), "--reference-s", "15"]) == 0
    shown = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert shown == [row for row in rows if row["recording"] == recordings[0].stem]

    assert main(["features", str(folder), "--reference-s", "15", "--store"]) == 0
    assert "features of" in capsys.readouterr().out
    stored = open_recording(recordings[0])
    features = stored.units.columns["reference_features"]
    assert features.shape == (stored.num_units, 33)
    assert features[:, 0] == pytest.approx([float(row["rate_hz"]) for row in shown], rel=1e-5)
    assert stored.metadata["reference_features_s"] == "15"
    assert sorted(path.name for path in folder.glob("*.h5")) == [path.name for path in recordings]
    assert "give one of them" in refused(capsys, "features", folder, "--store", "--out", table)
    assert "--leave-out with --store" in refused(
        capsys, "features", folder, "--store", "--leave-out", "a"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--minutes", "0.1"], "too short to split"),
        (["--units", "5", "2"], "units_range is 5 to 2"),
        (["--num-sessions", "0"], "num-sessions"),
    ],
)
def test_a_world_that_makes_no_sense_leaves_nothing(tmp_path, capsys, options, words):
    folder = tmp_path / "world"
    assert words in refused(capsys, "simulate", "population", "--out", folder, *options)
    assert not folder.exists()


def test_features_of_what_is_no_recording(tmp_path, capsys):
    out = tmp_path / "features.csv"
    assert "no such file" in refused(capsys, "features", tmp_path / "a.h5", "--out", out)
    (tmp_path / "a.h5").write_bytes(b"something else")
    assert "not an HDF5 file" in refused(capsys, "features", tmp_path / "a.h5", "--out", out)
    assert not out.exists()
