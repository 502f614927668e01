"""Transfer's tables: paired by draw and picture, grouped by what sources are to the target."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.results import RetrievalCase
from neurohorizon.evaluation.retrieval.transfer import (
    ALL,
    ALL_OTHERS,
    NEW_INPUT,
    OWN,
    SHARED,
    Line,
    TransferKey,
    TransferResult,
    full_estimate,
    summarise_transfer,
    transfer_estimate,
)
from neurohorizon.evaluation.retrieval.transfer_files import load_transfer, save_transfer

NUM_TEST = 30
SUBJECTS = {"a1": "a", "a2": "a", "b1": "b"}


def case(name):
    return RetrievalCase(
        recording=name,
        subject=SUBJECTS[name],
        num_units=5,
        num_training=100,
        hashes=np.array([f"{number}" for number in range(NUM_TEST)]),
        category=np.full(NUM_TEST, ""),
        trials=np.zeros(NUM_TEST, dtype=np.int64),
    )


def made_up(*, gain=0.5):
    """Return results where others' new input layers find a share of the missed pictures."""
    generator = np.random.default_rng(0)
    better = {}
    for target in SUBJECTS:
        for number in (10, ALL):
            draws = 3 if number else 1
            own = np.floor(generator.uniform(0, 6, size=(draws, NUM_TEST)))
            better[TransferKey("ridge", OWN, "", target, number)] = own
            for source in [*(name for name in SUBJECTS if name != target), ALL_OTHERS]:
                helped = generator.random(own.shape) < gain
                found = np.where(helped, 0, own)
                better[TransferKey("ridge", NEW_INPUT, source, target, number)] = found
    full = {("ridge", name): np.zeros((2, NUM_TEST)) for name in SUBJECTS}
    return TransferResult("made up", ["ridge"], [case(n) for n in SUBJECTS], better, full, ["why"])


def test_sources_are_grouped_by_what_they_are_to_the_target():
    result = made_up()
    assert [line.name for line in result.lines("ridge", result.targets)] == [
        "own pictures only",
        "new input layer, same animal",
        "new input layer, other animal",
        "new input layer, all others",
    ]
    assert result.sources("ridge", Line(NEW_INPUT, "same animal"), "a1", 10) == ["a2"]
    assert result.sources("ridge", Line(NEW_INPUT, "other animal"), "b1", 10) == ["a1", "a2"]
    assert result.sources("ridge", Line(NEW_INPUT, "same animal"), "b1", 10) == []
    assert [line.relation for line in result.lines("ridge", ["b1"])] == [
        "",
        "other animal",
        "all others",
    ]
    assert Line(SHARED, "all others") not in result.lines("ridge", result.targets)
    assert result.numbers(result.targets) == [10, ALL]
    assert result.num_pictures(ALL, ["a1", "b1"]) == 100


def test_scores_are_means_over_sources_draws_and_targets():
    result = made_up()
    metric = result.metrics()[0]
    keys = [TransferKey("ridge", NEW_INPUT, source, "b1", 10) for source in ("a1", "a2")]
    by_hand = np.mean([np.mean(result.better[key] < 1) for key in keys])
    line = Line(NEW_INPUT, "other animal")
    found = transfer_estimate(result, "ridge", line, metric, 10, ["b1"])
    assert found is not None
    assert found.value == pytest.approx(by_hand)
    own = np.mean(result.better[TransferKey("ridge", OWN, "", "b1", 10)] < 1)
    step = transfer_estimate(result, "ridge", line, metric, 10, ["b1"], minus_own=True)
    assert step is not None
    assert step.value == pytest.approx(by_hand - own)
    assert step.low <= step.value <= step.high
    # "same animal" is of a1 and a2 alone: b1 has no other session.
    line = Line(NEW_INPUT, "same animal")
    whole = transfer_estimate(result, "ridge", line, metric, 10, result.targets)
    some = transfer_estimate(result, "ridge", line, metric, 10, ["a1", "a2"])
    assert whole == some
    assert transfer_estimate(result, "ridge", line, metric, 10, ["b1"]) is None
    assert full_estimate(result, "ridge", metric, ["a1"]).value == 1


def test_a_difference_is_paired_by_draw():
    """What a draw of pictures did by luck is in both, and leaves the difference."""
    luck = np.array([[0.0], [0.0], [9.0], [9.0]])
    own = np.tile(luck, (1, NUM_TEST))
    better = {
        TransferKey("ridge", OWN, "", "a1", 10): own,
        TransferKey("ridge", NEW_INPUT, "a2", "a1", 10): own.copy(),
    }
    result = TransferResult("luck", ["ridge"], [case("a1"), case("a2")], better, {})
    line, metric = Line(NEW_INPUT, "same animal"), result.metrics()[0]
    alone = transfer_estimate(result, "ridge", line, metric, 10, ["a1"])
    step = transfer_estimate(result, "ridge", line, metric, 10, ["a1"], minus_own=True)
    assert alone is not None
    assert step is not None
    assert alone.high - alone.low > 0.5
    assert (step.low, step.value, step.high) == (0, 0, 0)


def test_nothing_is_above_where_sources_say_nothing():
    result = made_up(gain=0.0)
    for entry in summarise_transfer(result)["scores"]:
        if entry["way"] != OWN:
            assert entry["minus_own"]["low"] <= 0 <= entry["minus_own"]["high"]
    for entry in summarise_transfer(made_up())["scores"]:
        if entry["way"] != OWN:
            assert entry["minus_own"]["low"] > 0


def test_results_are_read_as_they_were_written(tmp_path):
    result = made_up()
    folder = tmp_path / "transfer"
    assert load_transfer(folder) is None
    save_transfer(result, folder)
    again = load_transfer(folder)
    assert again is not None
    assert summarise_transfer(again) == summarise_transfer(result)
    assert again.left_out == ("why",)
    content = json.loads((folder / "transfer.json").read_text())
    assert content["metric"] == "top 1"
    assert {entry["sources"] for entry in content["pairs"]} == set(SUBJECTS)
    assert content["own_bridge"]["ridge"]["mean of all"]["value"] == 1
    with (folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["scores"]) + len(content["pairs"])
    assert {row["pictures"] for row in rows} == {"10", "all"}
    whole = (folder / "transfer.npz").read_bytes()
    (folder / "transfer.npz").write_bytes(whole[:200])
    with pytest.raises(DataError, match="missing or damaged"):
        load_transfer(folder)
