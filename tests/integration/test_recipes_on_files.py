"""The recipes of public data sets, on small files of the exact layout: prepared, then dry-run."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import allen_world
import ibl_world
import nlb_world
from neurohorizon.cli.app import main
from neurohorizon.configs.load import load_config
from neurohorizon.configs.sessions import open_sessions
from neurohorizon.configs.sweep_plan import plan_sweep
from neurohorizon.recordings.conditions import ConditionReader, require_conditions

IBL = ["ibl", "ibl-raw"]
UNION = {
    "ibl-allen": ((), 0),
    "ibl-allen-behavior": ((1, 1, 1, 1), 0),
    "ibl-allen-images": ((), 1056),
    "ibl-allen-both": ((1, 1, 1, 1), 1056),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Where the commands that the recipes name have put recordings."""
    root = tmp_path_factory.mktemp("root")
    for folder in ("one", "dandi", "nlb"):
        (root / folder).mkdir()
    for index, laboratory in enumerate(["churchlandlab", "zadorlab", "angelakilab"]):
        for subject in (f"M{index}0", f"M{index}1"):
            ibl_world.write_session(root / "one", laboratory=laboratory, subject=subject)
    ibl_world.write_regions(root / "one")
    with pytest.MonkeyPatch.context() as patch:
        for session in (1, 2):
            patch.setattr(allen_world, "SESSION", f"{session}")
            patch.setattr(allen_world, "SUBJECT", f"mouse{session}")
            allen_world.write_session(
                root / "allen" / f"session_{session}.nwb", eye=session == 1, seed=session
            )
    for day in (21, 22):
        nlb_world.write_perich(root / "dandi", date=f"201610{day}")
    for part in ("train", "test"):
        nlb_world.write_nlb(root / "nlb", "mc_maze", part)
    generator = np.random.default_rng(0)
    (root / "scenes").mkdir()
    for number in range(19):
        picture = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(root / "scenes" / f"natural_scene_{number}.tiff")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for words in (
            "data prepare ibl one --out data/ibl",
            "data prepare allen allen --out data/allen",
            "data prepare perich_miller dandi --out data/perich_miller",
            "data prepare nlb nlb --out data/nlb",
            "data embed scenes --encoder layout --out scenes --attach data/allen "
            "--table natural_scenes_presentations",
        ):
            assert main(words.split()) == 0, words
    return root


@pytest.fixture(autouse=True)
def beside_the_data(prepared, monkeypatch):
    monkeypatch.chdir(prepared)


@pytest.mark.parametrize("recipe", [*IBL, *UNION, "perich-miller"])
def test_a_recipe_is_ready_for_a_machine_with_the_data(recipe, capsys):
    assert main(["train", recipe, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "all checks passed" in said
    # Mice of each laboratory are held out, and mice of either data set.
    number = {"perich-miller": (2, 0)}.get(recipe, (6, 2) if recipe in UNION else (3, 3))
    assert "{} to train on, {} held out".format(*number) in said


@pytest.mark.parametrize(
    "words",
    [
        ["ibl-wheel"],
        ["perich-miller-velocity"],
        ["nlb-maze-velocity"],
        # These sessions are shorter than real ones.
        ["reaching-mixture", "data.split={name: interleaved, block_s: 4.0}"],
    ],
    ids=lambda words: words[0],
)
def test_a_decoder_is_ready_for_a_machine_with_the_data(words, capsys):
    assert main(["train", *words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "all checks passed" in said


@pytest.mark.parametrize("recipe", UNION)
def test_conditions_are_found_where_they_are_and_missing_elsewhere(recipe):
    config = load_config(recipe, ["data.hold_out.by=none"]).config
    every = [each.recording for each in open_sessions(config).training]
    spec = config.window_spec().conditions
    assert require_conditions(spec, {each.id: each for each in every}) == UNION[recipe]
    for recording in every:
        read = ConditionReader(recording, spec).read(np.array([22.0, 24.0]), horizon_s=1.0)
        found = [bool(np.isfinite(values).any()) for values in read.behavior]
        ibl, eye = recording.source == "ibl", "pupil_area" in recording.series
        assert found == ([ibl, ibl, not ibl, eye] if spec.behavior else [])
        if spec.images:
            assert read.pictures_known.all() == (not ibl)
            assert bool(len(read.picture_row)) == (not ibl)


def test_the_union_trains(tmp_path, capsys):
    """Both at once, in batches that hold sessions with and without each condition."""
    run = tmp_path / "run"
    command = [
        *("train", "ibl-allen-both", "--out", str(run), "model.size=tiny", "model.width=16"),
        *("training.max_epochs=1", "training.steps_per_epoch=4", "training.tokens_per_batch=2000"),
        *("training.save_every_steps=2", "training.num_workers=0", "training.accelerator=cpu"),
        *("training.precision=32-true", "reference.num_references=1", "reference.shortest_s=10"),
        *("reference.longest_s=12", "evaluation.reference_s=12", "data.split.name=time"),
    ]
    assert main(command) == 0
    assert (run / "model.safetensors").is_file()


def test_experiments_are_planned_and_their_members_checked(capsys):
    words = ["data.num_training=1,2,3"]
    assert len(plan_sweep("ibl_scaling", words).members) == 4, "and all of them"
    chosen = []
    for number in (1, 2, 3):
        config = load_config("ibl", [f"data.num_training={number}"]).config
        sessions = open_sessions(config)
        assert len(sessions.held_out) == 3
        chosen.append({each.recording.id for each in sessions.training})
    assert chosen[0] < chosen[1] < chosen[2]
    assert main(["sweep", "ibl_scaling", *words, "--dry-run"]) == 0
    assert main(["sweep", "ibl_horizons", "--dry-run"]) == 0
    assert "trained for 200 ms" in capsys.readouterr().out


def test_more_training_recordings_than_there_are_is_one_line(only_error):
    assert main(["train", "ibl", "data.num_training=200", "--dry-run"]) == 2
    assert "data.num_training is 200: there are 3 recordings to train on" in only_error()
