"""Figures and tables of decoders say what was decoded."""

import csv

import numpy as np
import pytest

from decoding_cases import wandering_case
from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.importance import Importance
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.scoring import score_ladder, score_model
from neurohorizon.evaluation.decoding.summary import pooled
from neurohorizon.evaluation.decoding.targets_by_part import targets_by_part
from neurohorizon.evaluation.decoding.views import LatentStates, UnitAttention
from neurohorizon.evaluation.identities import Identities
from neurohorizon.report.decoding_figures import DecodingFigures
from neurohorizon.report.decoding_importance import attention_and_loss, importance_answer
from neurohorizon.report.decoding_latents import plane_colours
from neurohorizon.report.decoding_learned_figures import LearnedFigures
from neurohorizon.report.decoding_maps import compute_density, compute_error_map
from neurohorizon.report.decoding_rows import rows_to_look_at, style_decoders, styles_apart
from neurohorizon.report.decoding_scores import compute_bars, compute_steps
from neurohorizon.report.decoding_tables import format_decoding, format_settings
from neurohorizon.report.decoding_traces import compute_traces
from neurohorizon.report.rows import FAINT_STYLE

CASES = [wandering_case(seed=seed, length_s=100.0) for seed in (1, 2)]
CASES.append(wandering_case(seed=1, length_s=100.0, kind="binary"))


@pytest.fixture(scope="module")
def result() -> DecodingResult:
    decoded = {}
    for case in CASES:
        test = case.part("test")
        generator = np.random.default_rng(0)
        outputs = test.values + 0.1 * generator.normal(size=test.values.shape)
        if case.task.spec.is_categorical:
            outputs = np.eye(2)[test.values]
        decoded[case.task.name, case.recording_id] = (test.times_s, outputs)
    ladder = score_ladder(CASES, rows=("mean", "Wiener", "Kalman"), title="wandering")
    return score_model("POYO", CASES, decoded).join(ladder)


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_figure_is_drawn_with_its_numbers(result, tmp_path):
    figures = DecodingFigures(tmp_path, style_decoders(result))
    one = CASES[0].recording_id
    predictions = {task: result.predictions[task, one] for task in ("place", "side")}
    made = [
        figures.bars(result),
        figures.differences(result),
        figures.traces(result, one, predictions, "place"),
        figures.traces(result, one, predictions, "side", rows=["POYO", "Wiener", "mean"]),
        figures.density(result, one, predictions, "place"),
        figures.error_maps(result, one, predictions, "place"),
        figures.confusion(result, "side"),
        figures.targets(targets_by_part(CASES)),
    ]
    for each in made:
        assert each is not None
        assert each.svg.stat().st_size > 2000
        assert read(each.svg.with_suffix(".csv"))
        assert each.caption
    assert figures.confusion(result, "place") is None
    bars = read(tmp_path / "decoding_scores.csv")
    mean = next(r for r in bars if (r["task"], r["row"]) == ("place", "Wiener"))
    assert float(mean["value"]) == pytest.approx(pooled(result, "Wiener", "place").value[0])


def test_without_a_model_there_is_nothing_to_compare(tmp_path):
    ladder = score_ladder(CASES[:1], rows=("mean", "Wiener"))
    figures = DecodingFigures(tmp_path, style_decoders(ladder))
    assert figures.differences(ladder) is None
    assert rows_to_look_at(ladder, "place") == ["Wiener"]
    figures.bars(ladder)


def test_rows_look_the_same_and_can_be_told_apart(result):
    styles = style_decoders(result)
    assert styles["POYO"].bold
    assert styles["mean"] is FAINT_STYLE
    apart = styles_apart(["POYO", "Wiener", "Kalman", "mean"], styles)
    assert len({each.colour for each in apart.values()}) == 4
    assert apart["POYO"] is styles["POYO"]


def test_bars_and_steps_hold_each_recording(result):
    bars = compute_bars(result, "place")
    row = bars.rows.index("Wiener")
    assert bars.by_recording[row].mean() == pytest.approx(bars.value[row])
    steps = compute_steps(result, "POYO", "Wiener", "place")
    assert sorted(steps.recordings) == sorted(bars.recordings)
    assert np.all(np.diff(steps.value) >= 0)
    assert steps.table()[-1]["recording"] == "all recordings"


def test_traces_show_a_lively_part_once(result):
    case = CASES[0]
    predictions = result.predictions["place", case.recording_id]
    data = compute_traces(case.recording_id, case.task, predictions, ["POYO"], length_s=15.0)
    assert np.all(np.diff(data.shown_s) > 0)
    assert data.shown_s[-1] >= 0.8 * 15.0 - 0.1
    at = np.searchsorted(predictions.times_s, data.times_s)
    assert np.array_equal(predictions.values[at], data.values)
    assert np.array_equal(predictions.decoded["POYO"][at], data.decoded["POYO"])
    with pytest.raises(DataError, match="'GRU' did not decode place: choose of POYO, mean"):
        compute_traces(case.recording_id, case.task, predictions, ["GRU"])


def test_maps_count_every_time_stamp(result):
    case = CASES[0]
    predictions = result.predictions["place", case.recording_id]
    density = compute_density(case.recording_id, predictions, "POYO", 0)
    assert density.counts.sum() == len(predictions.times_s)
    assert np.trace(density.counts) > 0.2 * density.counts.sum()
    found = compute_error_map(case.recording_id, predictions, "POYO", num_bins=6)
    error = np.linalg.norm(predictions.values - predictions.decoded["POYO"], axis=1)
    assert found.overall == pytest.approx(np.median(error), rel=1e-5)
    assert np.nanmax(found.median) < error.max()


def importance_of(units: tuple[str, ...], loss: tuple[float, ...]) -> Importance:
    lost = np.array(loss)
    return Importance(
        recording="one",
        task="place",
        row="POYO",
        metric="r2",
        way="windows",
        score=0.8,
        unit_id=np.array(units),
        unit_area=np.full(len(units), ""),
        loss=lost,
        low=lost - 0.02,
        high=lost + 0.02,
        p=np.where(lost > 0.1, 0.001, 0.5),
        read=lost > 0.1,
        area=np.array([], dtype=np.str_),
        area_loss=np.empty(0),
        area_low=np.empty(0),
        area_high=np.empty(0),
    )


def test_importance_is_drawn_beside_attention(tmp_path):
    found = importance_of(("a", "b", "c"), (0.01, 0.3, 0.0))
    figures = LearnedFigures(tmp_path, {})
    figure = figures.importance([found])
    assert [row["read"] for row in read(figure.svg.with_suffix(".csv"))] == [
        "False",
        "True",
        "False",
    ]
    share = np.array([0.2, 0.7, 0.1])
    names = np.array(["a", "b", "c"])
    seen = UnitAttention("one", 12, names, np.full(3, ""), share, share)
    figure = figures.importance([found], [seen])
    assert [row["attention"] for row in read(figure.svg.with_suffix(".csv"))] == [
        "0.2",
        "0.7",
        "0.1",
    ]
    assert (
        "Attention follows the number of spikes (ρ of attention and tokens: 1.00)" in figure.caption
    )
    assert importance_answer(found) == (
        "one, place: 1 of 3 units are read for sure (most without b: R² 0.300 lost of 0.800)"
    )


def test_the_table_of_a_terminal(result):
    text = format_decoding(result)
    assert "wandering: place, 2 recordings" in text
    assert "median error (m)" in text
    (line,) = [each for each in text.splitlines() if each.startswith("Wiener") and "*" in each][:1]
    assert f"{pooled(result, 'Wiener', 'place').value[0]:.3f}" in line
    poyo = next(each for each in text.splitlines() if each.startswith("POYO"))
    assert poyo.rstrip().endswith("2/2")
    assert "balanced accuracy" in text
    settings = format_settings(result)
    assert "left out: classes have no linear state" in settings
    assert "reach_s" in settings


def latents_of(task: str, *, columns: int = 2, classes: tuple[str, ...] = ()) -> LatentStates:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(200, columns))
    if classes:
        values = generator.integers(0, len(classes), size=(200, 1))
    return LatentStates(
        recording="one",
        task=task,
        unit="" if classes else "cm",
        classes=np.array(classes, dtype=np.str_),
        width=16,
        num_states=200,
        explained=np.array([0.6, 0.3, 0.05]),
        times_s=np.arange(200.0),
        position=generator.normal(size=(200, 3)).astype(np.float32),
        values=values.astype(np.float32),
    )


def test_latents_are_drawn_by_what_was_true(tmp_path):
    figures = LearnedFigures(tmp_path, {})
    for data in (
        latents_of("place"),
        latents_of("speed", columns=1),
        latents_of("side", classes=("left", "right")),
    ):
        made = figures.latents([data, data])
        rows = read(made.svg.with_suffix(".csv"))
        assert len(rows) == 400
        expected = data.values[7, 0]
        told = data.classes[int(expected)] if len(data.classes) else expected
        assert rows[7]["true 0"] == str(told)
        assert "without a look at behaviour" in made.caption


def test_colours_of_a_plane_say_where_from_the_middle_a_point_lies():
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    colours = plane_colours(np.concatenate([ring, 0.01 * ring]))
    assert colours.min() >= 0
    assert colours.max() <= 1
    rim, middle = colours[:8], colours[8:]
    assert np.ptp(middle, axis=1).max() < 0.12 < np.ptp(rim, axis=1).min()
    apart = np.linalg.norm(rim[:, None] - rim, axis=2) + np.eye(8)
    assert apart.min() > 0.1


def test_units_and_attention_are_drawn(tmp_path):
    figures = LearnedFigures(tmp_path, {})
    generator = np.random.default_rng(0)
    units = Identities(
        recording=np.repeat(["one", "two"], 10),
        unit=np.tile([f"u{index}" for index in range(10)], 2),
        area=np.full(20, ""),
        rate_hz=generator.uniform(1, 9, 20),
        statistics=np.empty((20, 0), dtype=np.float32),
        functional=np.empty((20, 0), dtype=np.float32),
        vectors=generator.normal(size=(20, 8)).astype(np.float32),
    )
    made = figures.units(units)
    assert made is not None
    assert "20 of 2 recordings" in made.caption
    assert "by chance" in made.caption
    # One recording, signals and no areas: nothing to colour by but the recording itself.
    rows = slice(0, 10)
    alone = Identities(
        **{name: values[rows] for name, values in vars(units).items()}
        | {"rate_hz": np.full(10, np.nan)}
    )
    made = figures.units(alone)
    assert made is not None
    assert not made.wide
    assert figures.attention([]) is None
    share = np.array([0.5, 0.3, 0.2])
    names = np.array(["a", "b", "c"])
    seen = UnitAttention("one", 12, names, np.array(["V1", "V4", ""]), share, share[::-1])
    drawn = figures.attention([seen])
    assert drawn is not None
    assert [row["attention"] for row in read(drawn.svg.with_suffix(".csv"))] == [
        "0.5",
        "0.3",
        "0.2",
    ]


def test_attention_is_held_against_what_is_lost():
    names = np.array(["a", "b", "c", "d"])
    share = np.array([0.1, 0.2, 0.3, 0.4])
    attention = UnitAttention("one", 3, names, np.full(4, ""), share, share[::-1])
    data = attention_and_loss(importance_of(("d", "b", "a"), (0.3, 0.2, 0.0)), attention)
    assert data.attention.tolist() == [0.4, 0.2, 0.1]
    assert data.rank_correlation == pytest.approx(1.0)
    assert data.of_tokens == pytest.approx(-1.0)
    assert np.isnan(
        attention_and_loss(importance_of(("a", "b", "c"), (0.0,) * 3), attention).rank_correlation
    )
