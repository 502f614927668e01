"""Results of reconstruction: paired by picture, summed up, written and read back."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.result_files import (
    load_reconstruction,
    load_reconstruction_summary,
    save_reconstruction,
)
from neurohorizon.evaluation.pictures.summary import (
    compute_categories,
    control_of,
    estimate,
    summarise,
    surely,
)
from picture_results import DISTANCE, LEVEL, PIXCORR, make_picture_result

RESULT = make_picture_result()


def test_scores_are_means_over_recordings_of_means_over_pictures():
    found = estimate(RESULT, "tiny", "PixCorr")
    per = [RESULT.scores["tiny", name, "PixCorr"].mean() for name in ("one", "two")]
    assert found.value == pytest.approx(np.mean(per))
    assert found.low < LEVEL["tiny"] < found.high
    assert found.num_pictures == 140
    alone = estimate(RESULT, "tiny", "PixCorr", recordings=["two"])
    assert alone.value == pytest.approx(per[1])
    assert np.isfinite(found.seeds_sd)
    assert estimate(RESULT, "tiny", "no such metric") is None


def test_differences_are_paired_by_picture():
    step = estimate(RESULT, "tiny", "PixCorr", minus="retrieval")
    assert step.value == pytest.approx(0.1, abs=0.02)
    # What makes a picture easy cancels: the interval is as narrow as the noise alone.
    wide = estimate(RESULT, "tiny", "PixCorr")
    assert step.high - step.low < 0.4 * (wide.high - wide.low)
    assert surely(step, PIXCORR) == "better"
    lower = estimate(RESULT, "tiny", DISTANCE.name, minus="retrieval")
    assert lower.value < 0
    assert surely(lower, DISTANCE) == "better", "a smaller distance is better"
    worse = estimate(RESULT, "random training picture", DISTANCE.name, minus="retrieval")
    assert surely(worse, DISTANCE) == "worse"
    same = estimate(RESULT, "retrieval", "PixCorr", minus="retrieval")
    assert surely(same, PIXCORR) == ""


def test_categories_are_means_of_their_pictures():
    found = compute_categories(RESULT, "tiny", "PixCorr", minus="retrieval")
    assert {each.category for each in found} == {f"kind{k}" for k in range(5)}
    assert [each.num_pictures for each in found] == [18] * 5
    values = [each.score.value for each in found]
    assert values == sorted(values, reverse=True)
    one = next(each for each in found if each.category == "kind2")
    scores = [
        RESULT.scores["tiny", case.recording, "PixCorr"].mean(axis=0)[case.category == "kind2"]
        for case in RESULT.cases
    ]
    assert one.score.value == pytest.approx(np.concatenate(scores).mean())
    assert one.step is not None
    assert one.step.above
    assert compute_categories(RESULT, "tiny", "PixCorr")[0].step is None
    few = make_picture_result({"one": 20})
    assert compute_categories(few, "tiny", "PixCorr") == []


def test_a_summary_has_every_row_metric_and_difference():
    summary = summarise(RESULT)
    assert summary["differences_to"] == "retrieval"
    rows = {row["row"]: row for row in summary["rows"]}
    for name in LEVEL:
        for metric in RESULT.metrics:
            assert rows[name][metric.name]["low"] <= rows[name][metric.name]["high"]
            paired = f"{metric.name} minus retrieval" in rows[name]
            assert paired == (name != "retrieval")
    assert rows["tiny"]["recordings"]["one"]["KID"]["value"] == 0.012
    assert rows["tiny"]["recordings"]["one"]["FID"]["refused"].startswith("FID of 100")
    assert {each["row"] for each in summary["categories"]} == {"tiny"}
    assert summary["gates"]["tiny"]["passed"]
    assert all(each["marked"] == "as reported" for each in summary["reported"])
    named = summarise(RESULT, named="true embeddings")
    assert named["differences_to"] == "true embeddings"
    with pytest.raises(DataError, match="no row 'POYO': there are tiny"):
        summarise(RESULT, named="POYO")
    alone = replace(RESULT, rows=RESULT.rows[:1], scores={}, distributions={}, gates={})
    with pytest.raises(DataError, match="there is no control"):
        control_of(alone)


def test_results_are_read_as_they_were_written(tmp_path):
    folder = tmp_path / "reconstruction"
    save_reconstruction(RESULT, folder)
    found = load_reconstruction(folder)
    assert list(found.scores) == list(RESULT.scores)
    for key, scores in RESULT.scores.items():
        np.testing.assert_array_equal(found.scores[key], scores)
    assert found.rows == list(RESULT.rows)
    assert found.metrics == list(RESULT.metrics)
    assert found.networks == RESULT.networks
    assert found.reported == list(RESULT.reported)
    assert found.gates["tiny"].reason == RESULT.gates["tiny"].reason
    assert found.gates["tiny"].from_true.low == RESULT.gates["tiny"].from_true.low
    assert found.distributions["tiny", "one", "KID"].value == 0.012
    assert found.distributions["tiny", "one", "FID"].refused.startswith("FID of")
    assert [case.notes for case in found.cases] == [("made up",)] * 2
    np.testing.assert_array_equal(found.cases[1].category, RESULT.cases[1].category)
    summary = load_reconstruction_summary(folder)
    assert summary["rows"] == json.loads(
        json.dumps(summarise(found)["rows"]).replace("NaN", "null")
    )


def test_tables_hold_every_picture(tmp_path):
    save_reconstruction(RESULT, tmp_path / "reconstruction")
    with (tmp_path / "reconstruction" / "pictures.csv").open() as file:
        records = list(csv.DictReader(file))
    assert len(records) == len(RESULT.rows) * 140
    one = next(r for r in records if r["row"] == "tiny" and r["picture"] == "two-007")
    expected = RESULT.scores["tiny", "two", "SSIM"][:, 7].mean()
    assert float(one["SSIM"]) == pytest.approx(expected, rel=1e-5)
    assert one["category"] == "kind2"
    with (tmp_path / "reconstruction" / "scores.csv").open() as file:
        records = list(csv.DictReader(file))
    levels = [each for each in records if "minus" not in each["metric"]]
    assert len(levels) == len(RESULT.rows) * len(RESULT.metrics) * 3
    steps = [each for each in records if "minus" in each["metric"]]
    assert {each["row"] for each in steps} == set(LEVEL) - {"retrieval"}
    assert {each["recording"] for each in steps} == {"(mean)"}


def test_damage_is_one_line(tmp_path):
    folder = tmp_path / "reconstruction"
    for load in (load_reconstruction, load_reconstruction_summary):
        with pytest.raises(
            DataError, match="missing or damaged: `neurohorizon bridge reconstruct`"
        ):
            load(folder)
    save_reconstruction(RESULT, folder)
    whole = (folder / "reconstruction.npz").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"nothing", b""):
        (folder / "reconstruction.npz").write_bytes(damaged)
        with pytest.raises(DataError, match="missing or damaged") as error:
            load_reconstruction(folder)
        assert "\n" not in str(error.value)
    (folder / "reconstruction.json").write_text("{")
    with pytest.raises(DataError, match="missing or damaged"):
        load_reconstruction_summary(folder)
    (folder / "reconstruction.json").write_text("[]")
    with pytest.raises(DataError, match="missing or damaged"):
        load_reconstruction_summary(folder)


@pytest.mark.parametrize("what", ["head", "scores_3", "format", "short"])
def test_other_content_is_refused(tmp_path, what):
    folder = tmp_path / "reconstruction"
    save_reconstruction(RESULT, folder)
    with np.load(folder / "reconstruction.npz") as file:
        arrays = {name: file[name] for name in file.files}
    if what == "format":
        head = json.loads(str(arrays["head"])) | {"format": 99}
        arrays["head"] = np.array(json.dumps(head))
    elif what == "short":
        arrays["scores_0"] = arrays["scores_0"][:, 1:]
    else:
        del arrays[what]
    np.savez(folder / "reconstruction.npz", **arrays)
    with pytest.raises(DataError, match="not results of this version") as error:
        load_reconstruction(folder)
    assert "\n" not in str(error.value)


def test_scores_that_belong_to_nothing_are_refused():
    key = ("tiny", "one", "PixCorr")
    good = RESULT.scores[key]
    wrong = {
        "no row 'POYO'": {("POYO", "one", "PixCorr"): good},
        "no metric 'LPIPS'": {("tiny", "one", "LPIPS"): good},
        "no such recording": {("tiny", "three", "PixCorr"): good},
        r"\(3, 99\), expected \(seeds, 100\)": {key: good[:, 1:]},
        r"\(0, 100\), expected": {key: good[:0]},
        "not finite": {key: np.where(good > 0.5, np.nan, good)},
    }
    for match, scores in wrong.items():
        with pytest.raises(DataError, match=match):
            replace(RESULT, scores=scores)
