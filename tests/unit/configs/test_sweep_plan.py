"""Members of a sweep: how values are split, crossed, named and checked before anything runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from neurohorizon.configs.experiment import EXPERIMENTS, as_words, list_experiments, load_experiment
from neurohorizon.configs.load import load_config
from neurohorizon.configs.sweep_plan import plan_sweep, split_values
from neurohorizon.errors import ConfigError, NeuroHorizonError
from neurohorizon.recordings.store import write_recording
from worlds import poisson_recording

SMALL = ["data.num_sessions=2", "data.num_held_out=1", "data.minutes=0.8", "model.width=16"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(*words: str, recipe: str = "tiny", **settings) -> str:
    with pytest.raises(NeuroHorizonError) as caught:
        plan_sweep(recipe, words, **settings)
    assert "\n" not in str(caught.value)
    assert not Path("sweeps").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("16", ["16"]),
        ("16,32", ["16", "32"]),
        ("a, b", ["a", "b"]),
        ("[5,9]", ["[5,9]"]),
        ("[5,9],[20, 40]", ["[5,9]", "[20, 40]"]),
        ("null,{num_windows: 3, num_rollouts: 4}", ["null", "{num_windows: 3, num_rollouts: 4}"]),
        ("'a,b',\"c,d\"", ["'a,b'", '"c,d"']),
        ("", [""]),
    ],
)
def test_a_value_is_split_at_its_own_commas_alone(text, values):
    assert split_values(text) == values


@pytest.mark.parametrize("text", ["1,,2", "1,", "[1,2", "'a", "1]"])
def test_a_value_that_cannot_be_split_is_refused(text):
    with pytest.raises(ConfigError, match=r"missing between commas|not closed"):
        split_values(text)


def test_keys_are_crossed_and_seeds_are_not_members():
    plan = plan_sweep(
        "tiny",
        [*SMALL[:3], "model.width=16,32", "model.decoder=unit_queries,causal_bins"],
        num_seeds=2,
    )
    assert [member.name for member in plan.members] == [
        "width=16, decoder=unit_queries",
        "width=16, decoder=causal_bins",
        "width=32, decoder=unit_queries",
        "width=32, decoder=causal_bins",
    ]
    runs = plan.members[1].runs
    assert [run.seed for run in runs] == [0, 1]
    config = runs[1].loaded.config
    assert (config.model.width, config.model.decoder, config.run.seed) == (16, "causal_bins", 1)
    assert config.run.folder == Path("sweeps/tiny/members/width=16-decoder=causal_bins/seed1")
    assert config == load_config("tiny", runs[1].overrides, folder=config.run.folder).config
    # The first seed of all members comes first: a half-finished sweep compares them all.
    assert [run.seed for run in plan.runs] == [0] * 4 + [1] * 4


def test_one_at_a_time_starts_from_the_recipe_and_joins_what_is_the_same():
    words = [*SMALL, "model.decoder=unit_queries,causal_bins", "run.seed=3,5"]
    plan = plan_sweep("tiny", [*words, "model.width=16,32"][4:], one_at_a_time=True)
    assert [(m.name, m.also) for m in plan.members] == [
        ("tiny", ("decoder=unit_queries",)),
        ("decoder=causal_bins", ()),
        ("width=16", ()),
        ("width=32", ()),
    ]
    assert [run.seed for run in plan.members[0].runs] == [3, 5]


def test_an_experiment_takes_settings_and_other_values(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "# Mine\nrecipe: tiny\nseeds: 2\nsettings:\n  data: {num_sessions: 2, minutes: 0.8}\n"
        "vary:\n  no rate: {model: {use_rate: false}, training.max_epochs: 2}\n"
        "  model.width: [16, 32]\n"
    )
    plan = plan_sweep("mine.yaml", ["model.width=8,24", "training.steps_per_epoch=3"], num_seeds=1)
    assert [member.name for member in plan.members] == ["tiny", "no rate", "width=8", "width=24"]
    config = plan.members[1].runs[0].loaded.config
    assert not config.model.use_rate
    assert (config.training.max_epochs, config.training.steps_per_epoch) == (2, 3)
    assert (config.data.num_sessions, config.data.minutes) == (2, 0.8)
    crossed = plan_sweep("mine.yaml", ["data.seed=1,2"])
    assert len(crossed.members) == 1 + 1 + 2 + 2


def test_a_reference_that_says_too_little_is_refused_before_anything_is_trained():
    with pytest.raises(ConfigError, match="--reference-s 1: a reference of less than 10 s"):
        plan_sweep("tiny", ["model.width=16,32"], reference_lengths_s=[1.0, 60.0])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model.width=16,30"], "member 'width=30': model.num_heads is 4, which does not divide"),
        (["model.widht=16,32"], "member 'widht=16': unknown key 'model.widht'"),
        (["model.width=16", "model.width=32"], "'model.width' is given twice"),
        (["model.width=16,,32"], "a value is missing between commas"),
        (["width"], "expected key=value"),
        (["run.folder=a,b"], "a folder of its own"),
        (["data.minutes=0.1,5"], "member 'minutes=0.1': data: 6.0 s recorded are too short"),
        (["training.devices=1,2"], "member 'devices=2': training.devices"),
        (["run.seed=0,x"], "member 'tiny': run.seed"),
    ],
)
def test_a_mistake_names_the_member_and_queues_nothing(words, told):
    assert told in refused(*words)


def test_more_mistakes():
    assert "say the same" in refused("run.seed=1,2", num_seeds=2)
    assert "expected at least 1" in refused(num_seeds=0)
    assert "did you mean ablations?" in refused(recipe="ablation")
    Path("bad.yaml").write_text("# x\nrecipe: tiny\nfactors: {}\n")
    assert "unknown key 'factors': an experiment has recipe" in refused(recipe="bad.yaml")
    Path("bad.yaml").write_text("# x\nrecipe: tiny\nvary: {model.width: 3}\n")
    assert "bad.yaml: vary.model.width" in refused(recipe="bad.yaml")
    for line, told in (
        ("vary: 3", "vary: expected a section of keys and values, got 3"),
        ("seeds: -1", "seeds: expected at least 1 or a list, such as [1, 2], got -1"),
        ("reference_lengths_s: [x]", "reference_lengths_s[0]: expected a number, got 'x'"),
    ):
        Path("bad.yaml").write_text(f"# x\nrecipe: tiny\n{line}\n")
        assert told in refused(recipe="bad.yaml")
    assert "would share the folder" in refused('data.folder="a b","a+b"')


def test_another_run_in_the_way_is_found_before_anything_is_queued(tmp_path):
    plan = plan_sweep("tiny", SMALL)
    folder = plan.runs[0].folder
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("chapter 1")
    with pytest.raises(NeuroHorizonError, match=r"member 'tiny': .*holds files, but no run"):
        plan_sweep("tiny", SMALL)


def test_an_experiment_varies_from_another_recipe():
    Path("ask.yaml").write_text("# x\nrecipe: default\nvary: {model.width: [16, 32]}\n")
    plan = plan_sweep("ask.yaml", [*SMALL[:3], "window.context_s=0.25"], base="tiny")
    assert (plan.name, plan.recipe) == ("ask-tiny", "tiny")
    assert plan.folder == Path("sweeps/ask-tiny")
    assert [member.name for member in plan.members] == ["tiny", "width=16", "width=32"]
    assert "--base tiny: demo is no experiment, but a recipe itself" in refused(
        recipe="demo", base="tiny"
    )


def test_training_on_each_subject_holds_out_all_others(tmp_path):
    for index in range(3):
        recording = poisson_recording(num_units=3, duration_s=60, seed=index, name=f"r{index}")
        write_recording(recording, tmp_path / "data" / f"r{index}.h5")
    Path("each.yaml").write_text("# x\nrecipe: nwb\neach: recording\n")
    plan = plan_sweep("each.yaml", ["data.recordings=data", "reference.longest_s=30"])
    assert [m.name for m in plan.members] == [f"trained on r{index}" for index in range(3)]
    assert plan.members[1].runs[0].loaded.config.data.hold_out.ids == ("r0", "r2")
    assert plan.groups == {f"r{index}": [f"r{index}"] for index in range(3)}
    assert "trains on recordings in files" in refused("data.name=simulated", recipe="each.yaml")


def test_training_on_each_laboratory_holds_out_all_others(tmp_path):
    for index, lab in enumerate(["B", "A", "B"]):
        made = poisson_recording(num_units=3, duration_s=60, seed=index, name=f"r{index}")
        made = replace(made, metadata={**made.metadata, "laboratory": lab})
        write_recording(made, tmp_path / "data" / f"r{index}.h5")
    words = ["data.recordings=data", "reference.longest_s=30"]
    plan = plan_sweep("nwb", words, each="laboratory")
    assert [m.name for m in plan.members] == ["trained on A", "trained on B"]
    assert plan.members[1].runs[0].loaded.config.data.hold_out.ids == ("r1",)
    assert plan.groups == {"A": ["r1"], "B": ["r0", "r2"]}
    message = refused(*words, recipe="nwb", each="lab")
    assert "each=lab: r0 does not say it: there are recording, subject, " in message
    assert ", laboratory" in message
    stray = replace(made, id="stray", subject="unknown")
    write_recording(stray, tmp_path / "data" / "stray.h5")
    told = refused(*words, recipe="nwb", each="subject")
    assert "each=subject: that of stray is unknown" in told


# Those on public data sets are planned on files of their layout: test_recipes_on_files.py.
@pytest.mark.parametrize(
    "name", [name for name, _ in list_experiments() if not name.startswith("ibl")]
)
def test_every_experiment_that_ships_is_valid(name, tmp_path):
    text = (EXPERIMENTS / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    words = []
    if name == "transfer":
        for index in range(2):
            made = poisson_recording(num_units=3, duration_s=60, seed=index, name=f"r{index}")
            write_recording(made, tmp_path / "data" / f"r{index}.h5")
        Path("each.yaml").write_text(text.replace("subject\n", "recording\n"))
        name, words = "each.yaml", ["data.recordings=data"]
    plan = plan_sweep(name, words)
    assert len(plan.members) >= 2
    assert load_experiment("tiny") is None


def test_settings_are_written_so_that_they_are_read_as_the_same():
    settings = {"a": "null", "b": "text", "c": None, "d": 1e-5, "e": "1", "f": [True, "a,b"]}
    assert as_words(settings) == [
        'a="null"',
        "b=text",
        "c=null",
        "d=1e-05",
        'e="1"',
        'f=[true, "a,b"]',
    ]
