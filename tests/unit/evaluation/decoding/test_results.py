"""Results hold together: pooled, paired, joined, and the same after a file."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from decoding_cases import wandering_case
from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.result_files import (
    load_decoding,
    load_predictions,
    save_decoding,
)
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.scoring import make_cases, score_ladder, score_model
from neurohorizon.evaluation.decoding.summary import difference, pooled, strongest, summarise
from neurohorizon.evaluation.decoding.sums import Sums


@pytest.fixture(scope="module")
def cases() -> list[DecodingCase]:
    places = [wandering_case(seed=seed, length_s=360.0) for seed in (1, 2)]
    return [*places, wandering_case(seed=1, length_s=360.0, kind="binary")]


@pytest.fixture(scope="module")
def result(cases) -> DecodingResult:
    ladder = score_ladder(cases, rows=("mean", "Wiener", "Kalman"), title="wandering")
    decoded = {}
    for case in cases[:2]:
        test = case.part("test")
        noise = 0.1 * np.random.default_rng(0).normal(size=test.values.shape)
        extra = np.concatenate([[test.times_s[0] - 5.0], test.times_s])
        outputs = np.concatenate([np.zeros((1, 2)), test.values + noise])
        decoded[case.task.name, case.recording_id] = (extra, outputs)
    return score_model("POYO", cases, decoded).join(ladder)


def test_scores_are_the_means_of_the_sessions_own(result, cases):
    scores = []
    for case in cases[:2]:
        test = case.part("test")
        made = result.predictions["place", case.recording_id].decoded["Wiener"]
        scores.append(Sums.of(case.task, test.times_s, test.values, made).score("r2"))
    interval = pooled(result, "Wiener", "place")
    assert interval.value[0] == pytest.approx(np.mean(scores), abs=1e-5)
    assert interval.over == "blocks"
    assert interval.low[0] < interval.value[0] < interval.high[0]


def test_a_model_is_compared_with_the_strongest_baseline(result):
    assert strongest(result, "place") == "Wiener"
    step = difference(result, "POYO", "Wiener", "place")
    assert (step.wins, step.recordings) == (2, 2)
    assert step.better
    assert not step.worse
    back = difference(result, "Wiener", "POYO", "place", "median_error")
    assert back.worse
    assert back.wins == 0


def test_rows_that_do_not_suit_a_task_say_why(result):
    assert result.scored_rows("side") == ["mean", "Wiener"]
    tables = summarise(result, compare_to=["mean"])["tables"]
    notes = {r["row"]: r["note"] for r in tables["recordings"] if r["task"] == "side"}
    assert notes["Kalman"] == "classes have no linear state"
    assert notes["POYO"] == "the model lacks the task"
    pairs = {(r["task"], r["row"], r["to"]) for r in tables["differences"]}
    assert ("place", "POYO", "Wiener") in pairs
    assert ("side", "Wiener", "mean") in pairs
    confusion = [r for r in tables["confusion"] if r["row"] == "Wiener"]
    assert sum(r["time_stamps"] for r in confusion) == result.cases[2].num_test
    settings = {r["row"]: r["settings"] for r in tables["recordings"] if r["task"] == "place"}
    assert "reach_s" in settings["Wiener"]


def test_files_give_back_what_was_saved(result, tmp_path):
    folder = save_decoding(result, tmp_path / "decoding", compare_to=["mean"])
    read = load_decoding(folder)
    assert read.title == "wandering"
    assert read.rows == result.rows
    assert read.cases == result.cases
    assert read.tasks == result.tasks
    assert set(read.entries) == set(result.entries)
    one, other = (summarise(each)["tables"] for each in (result, read))
    assert str(one) == str(other)
    (entry,) = [e for (row, *_), e in read.entries.items() if row == "Kalman" and e.left_out]
    assert entry.sums is None
    recording = result.cases[0].recording
    predictions = load_predictions(folder, recording)
    assert set(predictions) == {"place", "side"}
    before = result.predictions["place", recording]
    assert np.array_equal(predictions["place"].times_s, before.times_s)
    assert np.array_equal(predictions["place"].values, before.values)
    assert list(predictions["place"].decoded) == ["POYO", "mean", "Wiener", "Kalman"]
    assert np.array_equal(predictions["place"].decoded["Wiener"], before.decoded["Wiener"])
    with (folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["row"] for row in rows} == {"POYO", "mean", "Wiener", "Kalman"}


def test_damaged_missing_and_foreign_files_are_named(result, tmp_path):
    with pytest.raises(DataError, match=r"no results here: no decoding.json"):
        load_decoding(tmp_path)
    folder = save_decoding(result, tmp_path / "decoding")
    with pytest.raises(DataError, match="predictions missing or damaged"):
        load_predictions(folder, "nobody")
    content = (folder / "sums.npz").read_bytes()
    (folder / "sums.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged results"):
        load_decoding(folder)
    head = json.loads((folder / "decoding.json").read_text())
    (folder / "decoding.json").write_text(json.dumps(head | {"format": 99}))
    with pytest.raises(DataError, match="of format 99, expected 1"):
        load_decoding(folder)


def test_results_that_do_not_go_together_are_not_joined(result, cases):
    with pytest.raises(DataError, match="both have row 'Kalman'"):
        result.join(result)
    fewer = score_ladder(cases[:1], rows=("mean",))
    renamed = replace(fewer, rows=[replace(row, name="other") for row in fewer.rows])
    with pytest.raises(DataError, match="one alone decoded task"):
        result.join(renamed)


def test_a_time_stamp_that_a_model_left_out_is_named(cases):
    test = cases[0].part("test")
    key = (cases[0].task.name, cases[0].recording_id)
    with pytest.raises(DataError, match=r"1 of \d+ time stamps were not decoded, first"):
        score_model("POYO", cases[:1], {key: (test.times_s[1:], test.values[1:])})


def test_recordings_without_the_task_are_absent(cases):
    recording = cases[0].activity.recording
    with pytest.raises(DataError, match="none of the 1 recordings has a value of place"):
        make_cases([recording], [cases[0].task])


def test_an_unknown_row_or_task_is_named(result):
    with pytest.raises(DataError, match="no row 'GRU': choose one of POYO, mean"):
        result.sums("GRU", "place")
    with pytest.raises(DataError, match="no task 'speed'"):
        pooled(result, "Wiener", "speed")
