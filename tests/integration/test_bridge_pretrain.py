"""From responses to a pretrained Perceiver, and on to bridges, through the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from bridge_worlds import write_world
from neurohorizon.cli.app import main
from neurohorizon.configs.bridge_sessions import open_bridge_sessions
from neurohorizon.configs.load import load_bridges, load_pretraining
from neurohorizon.configs.run_masked import open_pretrained, read_scores
from neurohorizon.errors import CheckpointError
from neurohorizon.evaluation.retrieval.result_files import load_retrieval
from neurohorizon.models.bridge.files import load_bridge, load_masked, save_masked

SMALL = [
    "model.width=16",
    "model.num_layers=1",
    "model.num_latents=4",
    "training.num_folds=6",
    "training.max_steps=40",
    "training.learning_rate=5e-3",
]
ALIGN = [
    "model.rows=[Perceiver, 'Perceiver, pretrained, frozen', 'Perceiver, pretrained']",
    "training.budget=1",
    "training.num_folds=2",
    "training.num_seeds=1",
    "training.max_steps=10",
]


def data(world, recordings="recordings"):
    return [f"data.recordings={world / recordings}", f"data.bank={world / 'bank.npz'}"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, names=("one", "two"), areas=("V1", "IT"))
    return folder


def pretrain(world, out, *more):
    given = ["bridge", "pretrain", "ventral-stream-masked", *SMALL, *data(world)]
    changed = {each.partition("=")[0] for each in more}
    kept = [each for each in given if each.partition("=")[0] not in changed]
    return main([*kept, *more, "--out", str(out)])


def align(world, out, *more):
    given = ["bridge", "align", "ventral-stream", *ALIGN, *data(world)]
    changed = {each.partition("=")[0] for each in more}
    kept = [each for each in given if each.partition("=")[0] not in changed]
    return main([*kept, *more, "--out", str(out)])


@pytest.fixture(scope="module")
def pretrained(world):
    folder = world / "pretrained"
    assert pretrain(world, folder) == 0
    return folder


def last_line(capsys):
    *_, line = capsys.readouterr().err.splitlines()
    return line


def test_a_model_for_each_recording_of_training_pictures_alone(world, pretrained, capsys):
    assert pretrain(world, pretrained) == 0
    told = capsys.readouterr().out
    assert "is trained already" in told
    assert "model - linear" in told
    assert f"model.pretrained={pretrained}" in told
    model, header = load_masked(pretrained / "masked" / "two" / "model.safetensors")
    assert model.spec.areas == (1, 0) * 8
    learned = set(header["pictures"].split())
    config = load_bridges("ventral-stream", data(world)).config
    pairs = open_bridge_sessions(config).sessions[1].pairs
    assert learned == set(pairs.hashes[pairs.part == "train"].tolist())
    score = json.loads((pretrained / "masked" / "two" / "score.json").read_text())["score"]
    assert score["model"]["low"] < score["model"]["value"] < score["model"]["high"]


def test_responses_to_test_pictures_change_nothing(world, pretrained, tmp_path):
    write_world(tmp_path, areas=("V1", "IT"))
    with h5py.File(tmp_path / "recordings" / "one.h5", "r+") as file:
        part = file["responses/part"].asstr()[:]
        values = file["responses/values"][:]
        values[part == "test"] = 1e6
        file["responses/values"][...] = values
    assert pretrain(tmp_path, tmp_path / "run") == 0
    one, other = (
        load_masked(folder / "masked" / "one" / "model.safetensors")[0].state_dict()
        for folder in (pretrained, tmp_path / "run")
    )
    assert all((one[name] == each).all() for name, each in other.items())


def test_bridges_start_from_it_and_are_scored(world, pretrained, capsys):
    run = world / "aligned"
    assert align(world, run, f"model.pretrained={pretrained}") == 0
    assert main(["bridge", "retrieve", str(run)]) == 0
    result, _ = load_retrieval(run / "results" / "retrieval")
    names = [row.name for row in result.rows]
    assert "Perceiver, pretrained, frozen" in names
    for option in ("--regions", "--transfer"):
        asked = ["bridge", "retrieve", str(run), option, "Perceiver, pretrained, frozen"]
        assert main(asked) == 2
        assert "starts from a model of all electrodes" in last_line(capsys)
    frozen, _ = load_bridge(
        run / "bridges" / "one" / "Perceiver-pretrained-frozen" / "seed0.safetensors"
    )
    start, _ = load_masked(pretrained / "masked" / "one" / "model.safetensors")
    for mine, theirs in zip(frozen.neural.trunk.parts(), start.parts(), strict=True):
        for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert (one == other).all()
    told = json.loads((run / "data.json").read_text())["pretrained"]
    assert sorted(told) == ["one", "two"]
    # Other models in the same place are another run's beginning.
    (run / "training.json").unlink()
    other = world / "other"
    assert pretrain(world, other, "run.seed=1") == 0
    moved = pretrained / "masked" / "one" / "model.safetensors"
    kept = moved.read_bytes()
    moved.write_bytes((other / "masked" / "one" / "model.safetensors").read_bytes())
    given = f"model.pretrained={pretrained}"
    assert align(world, run, given, "--resume") == 2
    assert "or other pretrained models" in last_line(capsys)
    moved.write_bytes(kept)
    assert align(world, run, given, "--resume") == 0


def test_what_is_done_is_kept(world, pretrained, tmp_path, capsys):
    folder = tmp_path / "run"
    assert pretrain(world, folder) == 0
    (folder / "training.json").unlink()
    (folder / "masked" / "two" / "score.json").unlink()
    kept = folder / "masked" / "one" / "model.safetensors"
    when = kept.stat().st_mtime_ns
    assert pretrain(world, folder) == 2
    assert "--resume" in last_line(capsys)
    assert align(world, tmp_path / "a", f"model.pretrained={folder}") == 2
    assert "is not finished" in last_line(capsys)
    assert pretrain(world, folder, "--resume") == 0
    assert kept.stat().st_mtime_ns == when
    assert pretrain(world, folder, "masks.share=0.5") == 2
    assert "masks.share is 0.5 here and 0.25 there" in last_line(capsys)


def test_what_a_model_learned_from_is_known(world, pretrained, tmp_path):
    session = open_bridge_sessions(load_bridges("ventral-stream", data(world)).config).sessions[0]
    open_pretrained(pretrained, session)
    part_of = dict(zip(session.pairs.hashes.tolist(), session.pairs.part.tolist(), strict=True))
    part_of[session.pairs.hashes[session.pairs.part == "train"][0]] = ""
    left_out = replace(session, pairs=session.pairs.with_parts(part_of))
    with pytest.raises(CheckpointError, match="1 of the 41 pictures that are tested on here or"):
        open_pretrained(pretrained, left_out)
    copied = tmp_path / "run"
    shutil.copytree(pretrained, copied)
    path = copied / "masked" / "one" / "model.safetensors"
    save_masked(load_masked(path)[0], path, about={})
    with pytest.raises(CheckpointError, match="does not say what it learned from"):
        open_pretrained(copied, session)
    score = copied / "masked" / "one" / "score.json"
    for damaged in (b"[]", b"{}", b'{"score": {}}', b'{"score', b"\xff"):
        score.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="missing or damaged"):
            read_scores(copied)
    score.unlink()
    with pytest.raises(CheckpointError, match="missing or damaged"):
        read_scores(copied)


def test_a_start_that_does_not_fit_is_one_line(world, pretrained, tmp_path, capsys):
    given = f"model.pretrained={pretrained}"
    refused = [
        ([], "there is no model.pretrained"),
        (["model.pretrained=nowhere"], "there is no such folder"),
        ([given, "model.rows=[ridge]"], "no effect without a pretrained row"),
        ([given, "data.units.areas=[V1]"], "of other electrodes, areas or time bins"),
        (
            [given, "data.split.name=pictures", "data.split.test_share=0.3"],
            "tested on here or look like one: pretrain with the same data.split",
        ),
    ]
    for more, told in refused:
        assert align(world, tmp_path / "run", *more) == 2
        assert told in last_line(capsys)
    write_world(tmp_path, names=("three",), areas=("V1", "IT"))
    assert align(tmp_path, tmp_path / "run", given, "--dry-run") == 2
    assert "was not pretrained on the recording three" in last_line(capsys)
    assert align(world, tmp_path / "ridge", "model.rows=[ridge]") == 0
    assert align(world, tmp_path / "run", f"model.pretrained={tmp_path / 'ridge'}") == 2
    assert "holds no pretrained models" in last_line(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["masks.kind=temporal"], "no time bins: choose random or region_balanced"),
        (["masks.kind=whole_region", "masks.share=0.5"], "masks.share has no effect"),
        (["masks.share=1.5"], "less than 1"),
        (["model.width=30"], "a multiple of 4"),
        (["data.grey_bank=x.npz"], "no effect in pretraining"),
        (["training.num_folds=2"], "at least 3"),
        (["training.num_folds=30"], "a fold holds out"),
        (["masks.kind=whole", "data.bank=nothing.npz"], "masks.kind"),
    ],
)
def test_bad_input_is_one_line(world, more, told, capsys, tmp_path):
    assert pretrain(world, tmp_path / "run", *more) == 2
    assert told in last_line(capsys)
    assert not (tmp_path / "run").exists()


def test_categories_must_be_known(tmp_path, capsys):
    write_world(tmp_path, num_categories=1, areas=("V1", "IT"))
    assert pretrain(tmp_path, tmp_path / "run", "training.category_weight=0.5") == 2
    assert "its pictures have no categories" in last_line(capsys)
    write_world(tmp_path, num_categories=2, areas=("V1", "IT"))
    assert pretrain(tmp_path, tmp_path / "run", "training.category_weight=0.5") == 0
    assert "the commonest of 2" in capsys.readouterr().out


def test_a_dry_run_and_other_verbs_say_what_it_is(world, pretrained, tmp_path, capsys):
    assert pretrain(world, tmp_path / "dry", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "two: 16 units, 120 pictures to learn from" in told
    assert "would pretrain 2 models" in told
    assert not (tmp_path / "dry").exists()
    assert main(["bridge", "align", "macaque-v4-masked"]) == 2
    assert "neurohorizon bridge pretrain macaque-v4-masked" in last_line(capsys)
    assert main(["bridge", "pretrain", "macaque-v4"]) == 2
    assert "neurohorizon bridge align macaque-v4" in last_line(capsys)
    assert main(["evaluate", str(pretrained)]) == 2
    assert "model.pretrained" in last_line(capsys)
    assert main(["bridge", "retrieve", str(pretrained)]) == 2
    assert "holds no bridges" in last_line(capsys)


def test_smaller_shares_of_labels_are_among_larger_ones(world):
    def labelled(*more):
        config = load_bridges("ventral-stream", [*data(world), *more]).config
        (session, _) = open_bridge_sessions(config).sessions
        return session

    some = [labelled(f"training.label_share={share}") for share in (0.2, 0.5)]
    assert not (some[0].labelled & ~some[1].labelled).any()
    assert 0.1 < some[0].labelled.mean() < 0.3 < some[1].labelled.mean() < 0.7
    other = labelled("training.label_share=0.5", "training.label_seed=1")
    assert (other.labelled != some[1].labelled).any()
    whole = labelled()
    found = open_bridge_sessions(load_bridges("ventral-stream", data(world)).config)
    samples = some[0].training(found.bank, single_trials=False)
    every = whole.training(found.bank, single_trials=False)
    assert len(samples.embeddings) == some[0].num_training
    assert np.array_equal(samples.for_scale, every.values)
    assert np.isin(samples.embeddings[:, 0], every.embeddings[:, 0]).all()
    config = load_pretraining("ventral-stream-masked", data(world)).config
    assert open_bridge_sessions(config).sessions[0].labelled.all()
