"""Evaluations: rows on the same windows, their tables, their files, and the sentence."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.answer import answer
from neurohorizon.evaluation.baselines.constant import (
    Mean,
    OracleMean,
    ReferenceRate,
    constant_counts,
)
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.protocol import Forecaster, Protocol, SessionCase, prepare_case
from neurohorizon.evaluation.result_files import load_result, save_result
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import (
    bin_table,
    calibration_table,
    difference,
    pooled,
    recording_table,
    score_table,
    strongest,
    unit_table,
    wins,
)
from neurohorizon.recordings.reference_samples import SampleSpec
from worlds import poisson_recording, waving_recording

PROTOCOL = Protocol(reference_s=30.0, fewest_spikes=100, block_s=5.0)


class Knowing:
    """A model that peeks: better than any constant by construction."""

    def __init__(self, name: str = "knowing", weight: float = 0.3) -> None:
        self.name = name
        self.weight = weight

    def forecast(self, case: SessionCase, windows) -> np.ndarray:
        seen = windows.counts.mean(axis=2, keepdims=True)
        base = case.reference.rate_hz[:, None] * 0.02
        return np.broadcast_to(
            (1 - self.weight) * base + self.weight * seen + 1e-9, windows.counts.shape
        )


@pytest.fixture(scope="module")
def cases() -> list[SessionCase]:
    return [
        prepare_case(waving_recording(seed=seed, name=f"wave{seed}"), PROTOCOL, held_out=True)
        for seed in range(3)
    ]


@pytest.fixture(scope="module")
def result(cases) -> EvaluationResult:
    rows = [Mean(), ReferenceRate(), OracleMean(), Knowing()]
    return evaluate(rows, cases, title="held-out sessions")


def test_the_null_row_is_exactly_zero(result):
    assert np.abs(pooled(result, "mean").value).max() < 1e-12


def test_the_reference_rate_row_is_the_rate_term(cases):
    (windows,) = list(cases[0].chunks(10_000))
    expected = ReferenceRate().forecast(cases[0], windows)
    rate_term = np.log(cases[0].reference.rate_hz * PROTOCOL.spec.bin_s)
    assert np.allclose(np.log(expected), rate_term[None, :, None], rtol=0, atol=1e-14)


def test_a_perfect_stationary_model_scores_about_zero():
    recordings = [poisson_recording(seed=seed, name=f"p{seed}", num_units=20) for seed in range(3)]
    cases = [prepare_case(recording, PROTOCOL, held_out=False) for recording in recordings]
    truth = {
        recording.id: 5.0 * np.random.default_rng(seed).uniform(0.3, 2.0, 20)
        for seed, recording in enumerate(recordings)
    }

    class Truth:
        name = "truth"

        def forecast(self, case, windows):
            return constant_counts(truth[case.recording.id], windows)

    result = evaluate([Truth(), Mean(), OracleMean()], cases)
    perfect, cheat = pooled(result, "truth"), pooled(result, "oracle mean")
    assert np.all(np.abs(perfect.value) < 0.02)
    assert not perfect.below.any()
    # The scored data's own mean as the null would have put the truth below zero.
    nlb = [row["nlb"] for row in score_table(result) if row["row"] == "truth"]
    assert np.all(np.array(nlb) < -0.003)
    assert cheat.value[-1] > perfect.value[-1]


def test_rates_in_hz_score_terribly(cases):
    class InHz:
        name = "in Hz"

        def forecast(self, case, windows):
            return constant_counts(case.reference.rate_hz / 0.02, windows)

    assert pooled(evaluate([InHz()], cases), "in Hz").value.max() < -10


def test_differences_are_paired_and_wins_are_counted(result):
    step = difference(result, "knowing", "reference rate")
    direct = pooled(result, "knowing").value - pooled(result, "reference rate").value
    assert np.allclose(step.value, direct)
    assert step.above.all()
    assert wins(result, "knowing", "reference rate").tolist() == [3] * 4
    assert wins(result, "reference rate", "knowing").tolist() == [0] * 4
    assert np.abs(difference(result, "knowing", "knowing").value).max() == 0


def test_cheats_do_not_compete(result):
    assert result.names("cheat") == ["oracle mean"]
    assert strongest(result, 0.1) in ("mean", "reference rate")
    assert result.names("model") == ["knowing"]


def test_tables_agree_with_each_other(result):
    scores = {(row["row"], row["horizon_s"]): row for row in score_table(result)}
    assert len(scores) == 4 * 4
    per_bin = [row for row in bin_table(result) if row["row"] == "knowing"]
    bits = np.array([row["bits_per_spike"] for row in per_bin])
    spikes = np.array([row["spikes"] for row in per_bin])
    for horizon_s, last in ((0.1, 5), (0.24, 12), (0.5, 25), (1.0, 50)):
        cumulative = (bits * spikes)[:last].sum() / spikes[:last].sum()
        assert np.isclose(cumulative, scores["knowing", horizon_s]["bits_per_spike"])

    def pool(table, horizon_s):
        rows = [r for r in table if (r["row"], r["horizon_s"]) == ("knowing", horizon_s)]
        gains = [
            r["bits_per_spike"] * r["spikes"] for r in rows if np.isfinite(r["bits_per_spike"])
        ]
        return sum(gains) / sum(r["spikes"] for r in rows)

    units = unit_table(result)
    assert np.isclose(pool(units, 0.5), scores["knowing", 0.5]["bits_per_spike"])
    assert len(recording_table(result)) == 3 * 4 * 4
    calibration = [
        row for row in calibration_table(result) if (row["row"], row["end_s"]) == ("mean", 0.02)
    ]
    forecasts = sum(row["forecasts"] for row in calibration)
    assert forecasts == sum(case.num_windows * case.num_units for case in result.cases)


def test_files_bring_everything_back(result, tmp_path):
    folder = save_result(result, tmp_path / "run" / "held-out", compare_to=["reference rate"])
    again = load_result(folder)
    assert again.protocol == result.protocol
    assert (again.title, again.rows, again.cases) == (result.title, result.rows, result.cases)
    for row in result.rows:
        assert np.array_equal(pooled(again, row.name).low, pooled(result, row.name).low)
    head = json.loads((folder / "evaluation.json").read_text())
    assert head["answer"] == answer(result)
    assert head["counts"]["recordings_scored"] == 3
    with (folder / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    named = [
        r
        for r in rows
        if (r["row"], r["to"], r["horizon_s"]) == ("knowing", "reference rate", "1.0")
    ]
    assert float(named[0]["difference"]) == difference(result, "knowing", "reference rate").value[3]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["held-out"]
    save_result(result, folder)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["held-out"]


def test_a_damaged_evaluation_is_refused(result, tmp_path):
    with pytest.raises(DataError, match=r"no evaluation here: no evaluation\.json"):
        load_result(tmp_path)
    folder = save_result(result, tmp_path / "results")
    (folder / "scores.npz").write_bytes((folder / "scores.npz").read_bytes()[:1000])
    with pytest.raises(DataError, match="damaged evaluation"):
        load_result(folder)
    text = (folder / "evaluation.json").read_text()
    (folder / "evaluation.json").write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(DataError, match="of format 99, expected 1"):
        load_result(folder)


def test_rows_join_only_on_the_same_windows(result, cases):
    other = evaluate([Knowing("second", 0.2)], cases)
    joined = result.join(other)
    assert np.array_equal(pooled(joined, "second").value, pooled(other, "second").value)
    with pytest.raises(DataError, match="both have row 'second'"):
        joined.join(other)
    fewer = evaluate([Knowing("third")], [case.thin(2) for case in cases])
    with pytest.raises(DataError, match="other windows"):
        result.join(fewer)


def test_recordings_with_few_spikes_are_shown_but_not_pooled(cases):
    lonely = poisson_recording(num_units=2, rate_hz=0.5, name="lonely")
    case = prepare_case(lonely, PROTOCOL, held_out=True)
    result = evaluate([Mean(), ReferenceRate()], [*cases, case])
    assert len(result.scored_cases()) == 3
    assert {row["recording"] for row in recording_table(result) if not row["scored"]} == {"lonely"}
    alone = evaluate([Mean(), ReferenceRate()], cases)
    assert np.array_equal(
        pooled(result, "reference rate").value, pooled(alone, "reference rate").value
    )


def test_what_cannot_be_evaluated_is_refused(cases):
    with pytest.raises(DataError, match="forecaster 'mean' is there twice"):
        evaluate([Mean(), Mean()], cases)
    with pytest.raises(DataError, match="recording 'wave0' is there twice"):
        evaluate([Mean()], [cases[0], cases[0]])
    with pytest.raises(DataError, match="no recording to score"):
        evaluate([Mean()], [])
    other = prepare_case(cases[1].recording, Protocol(fewest_spikes=1), held_out=True)
    with pytest.raises(DataError, match="different protocols"):
        evaluate([Mean()], [cases[0], other])
    cheating = replace(cases[0], null=replace(cases[0].null, intervals=cases[0].recording.domain))
    with pytest.raises(DataError, match="the null was computed from"):
        evaluate([Mean()], [cheating])
    with pytest.raises(DataError, match="no row 'nobody'"):
        pooled(evaluate([Mean()], cases[:1]), "nobody")


def test_progress_is_told(cases):
    told = []
    evaluate([Mean()], cases, progress=lambda what, done, total: told.append((what, done, total)))
    assert told[0] == ("scoring wave0", 0, told[0][2])
    assert told[-1][1] == told[-1][2] == sum(len(case.origins_s) for case in cases)


def test_rows_are_forecasters():
    assert isinstance(Mean(), Forecaster)
    assert isinstance(Knowing(), Forecaster)


def test_models_that_read_other_things_share_a_table(result):
    """What a model reads besides spikes, or of the reference, is its own affair."""
    spec = replace(PROTOCOL.spec, samples=SampleSpec(num_spikes=64))
    rows = [replace(row, name=f"other {row.name}") for row in result.rows]
    scores = {
        (f"other {name}", recording): replace(each, forecaster=f"other {name}")
        for (name, recording), each in result.scores.items()
    }
    other = replace(result, protocol=replace(PROTOCOL, spec=spec), rows=rows, scores=scores)
    joined = result.join(other)
    assert len(joined.rows) == 2 * len(result.rows)
    longer = replace(PROTOCOL, spec=replace(PROTOCOL.spec, context_s=0.3))
    with pytest.raises(DataError, match="their protocols differ"):
        result.join(replace(other, protocol=longer))
