"""``neurohorizon search`` as a user meets it: refused, run, gone on with."""

import csv
import json

import pytest

from neurohorizon.cli.app import main
from neurohorizon.configs.run_search import Range, plan_search

SMALL = [
    "data.num_sessions=2",
    "data.num_held_out=0",
    "data.minutes=0.8",
    "data.units=[4, 6]",
    "reference.num_references=2",
    "training.max_epochs=1",
    "training.steps_per_epoch=3",
    "training.tokens_per_batch=800",
    "training.accelerator=cpu",
    "evaluation.reference_s=20",
    "model.width=16",
]
SPACE = ["training.learning_rate=1e-4..1e-2", "model.use_adapter=true,false"]


def read_table(folder):
    with (folder / "search.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_is_run_and_gone_on_with(tmp_path, capsys, only_error):
    world, out = f"data.folder={tmp_path / 'world'}", tmp_path / "out"
    command = ["search", "tiny", *SMALL, world, *SPACE, "--out", str(out)]
    assert main([*command, "--trials", "2"]) == 0
    first = read_table(out)
    assert len(first) == 2
    assert main([*command, "--trials", "3"]) == 0
    table = read_table(out)
    assert table[:2] == first
    for row in table:
        run = out / "trials" / f"trial{int(row['trial']):04d}"
        told = json.loads((run / "training.json").read_text())["best_valid"]
        assert float(row["valid_bits_per_spike"]) == pytest.approx(told, abs=1e-6)
        assert 1e-4 <= float(row["training.learning_rate"]) <= 1e-2
        # Nothing was scored: validation alone decides.
        assert not (run / "results").exists()
    assert len({row["training.learning_rate"] for row in table}) == 3
    best = max(table, key=lambda row: float(row["valid_bits_per_spike"]))
    said = capsys.readouterr().out
    assert f"best of 3: trial {best['trial']}, " in said
    assert f"training.learning_rate={best['training.learning_rate']}" in said.splitlines()[-1]
    # As many as are there: nothing more is trained.
    assert main([*command, "--trials", "3"]) == 0
    assert read_table(out) == table
    capsys.readouterr()
    assert main([*command[:-2], "model.num_basis=4..8", *command[-2:], "--trials", "3"]) == 2
    assert "holds another search" in only_error()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing to search"),
        (["training.learning_rate=1e-2..1e-4"], "expected two numbers, the smaller first"),
        (["training.learning_rate=a..b"], "expected two numbers"),
        (["training.learning_rate=-1.0..1.0"], "with training.learning_rate=-1: "),
        (["model.width=16,30"], "with model.width=30: "),
        (["model.size=small..9"], "expected two numbers"),
        (["model.width=16..20"], "with model.width=17: "),
        (["model.width=16,32", "model.width=64"], "model.width is given twice"),
    ],
)
def test_a_mistake_is_one_line_and_trains_nothing(words, told, tmp_path, only_error):
    command = ["search", "tiny", *words, "--trials", "2", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert told in only_error()
    assert not (tmp_path / "out").exists()


def test_a_path_that_goes_up_is_no_range():
    plan = plan_search("tiny", ["data.folder=../world", "model.width=16,32"])
    assert (plan.settings, list(plan.space)) == (("data.folder=../world",), ["model.width"])


def test_ranges_are_searched_by_what_they_span():
    plan = plan_search("tiny", ["training.learning_rate=1e-4..1e-2", "model.num_latents=8..16"])
    assert plan.space == {
        "training.learning_rate": Range(1e-4, 1e-2),
        "model.num_latents": Range(8, 16),
    }
    assert plan.space["training.learning_rate"].log
    assert not plan.space["model.num_latents"].log
