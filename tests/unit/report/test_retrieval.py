"""What the page of bridges computes: counted by hand, chosen by rule."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.result_files import load_summary, save_retrieval
from neurohorizon.evaluation.retrieval.results import (
    Metric,
    RetrievalCase,
    RetrievalResult,
    RetrievalRow,
)
from neurohorizon.evaluation.retrieval.row_names import CEILING, CORRECTED, GREY
from neurohorizon.evaluation.retrieval.summary import estimate
from neurohorizon.evaluation.retrieval.views import SimilarityMatrix
from neurohorizon.recordings.pictures import picture_hash
from neurohorizon.report.retrieval_categories import category_rows, compute_categories
from neurohorizon.report.retrieval_gallery import pictures_of
from neurohorizon.report.retrieval_grids import choose_queries, compute_grid, draw_grid
from neurohorizon.report.retrieval_matrices import (
    MOST_PICTURES,
    compute_matrix,
    compute_pairs,
    order_pictures,
)
from neurohorizon.report.retrieval_page_tables import (
    retrieval_answer,
    retrieval_margin,
    retrieval_table,
)
from neurohorizon.report.retrieval_ranks import compute_ranks
from neurohorizon.report.retrieval_reliability import compute_reliability
from neurohorizon.report.retrieval_rows import rows_to_look_at, style_retrieval
from neurohorizon.report.retrieval_scores import RetrievalScores, read_scores
from neurohorizon.report.retrieval_trials import compute_trials
from neurohorizon.report.style import new_figure, styled

LEVELS = {"ridge": 0.3, "ridge" + CORRECTED: 0.4, "MLP": 1.0, "MLP" + CORRECTED: 1.1}
LEVELS |= {"MLP" + GREY: 0.6}


def similarity(num, level, seed):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(num, num)) + 3 * level * np.eye(num)


def make_result(sizes=(130, 40)):
    cases = [
        RetrievalCase(
            recording=f"rec{number}",
            subject="animal",
            num_units=10,
            num_training=100,
            hashes=np.array([f"{number}-{each:03d}" for each in range(num)]),
            category=np.array([f"kind{each % 7}" if each < 63 else "" for each in range(num)]),
            trials=np.full(num, 8),
        )
        for number, num in enumerate(sizes)
    ]
    better = {}
    for case in cases:
        right = np.arange(len(case))
        for place, (row, level) in enumerate(LEVELS.items()):
            every = np.array([similarity(len(case), level, [place, seed]) for seed in (1, 2)])
            better[row, case.recording, "picture"] = np.array(
                [count_better(each, right) for each in every]
            )
            if not row.endswith(CORRECTED):
                better[row, case.recording, "response"] = np.array(
                    [count_better(each.T, right) for each in every]
                )
    better[CEILING, "rec1", "picture"] = np.zeros((3, sizes[1]))
    rows = [*(RetrievalRow(name) for name in LEVELS), RetrievalRow(CEILING, "ceiling", "halves")]
    return RetrievalResult("made up: stored", rows, cases, better)


@pytest.fixture(scope="module")
def result():
    return make_result()


@pytest.fixture(scope="module")
def scores(result, tmp_path_factory) -> RetrievalScores:
    folder = tmp_path_factory.mktemp("results") / "retrieval"
    save_retrieval(result, folder, by_trials={}, reliability={"rec1": np.array([0.5, np.nan])})
    return read_scores(result, load_summary(folder))


def test_scores_are_those_of_the_results(scores, result):
    assert scores.strongest == "MLP" + CORRECTED
    assert scores.next_row() == "ridge" + CORRECTED, "another reading of the same row is none"
    assert scores.fitted_pair() == ["MLP", "ridge"]
    assert scores.ladder() == ["ridge", "MLP"]
    assert rows_to_look_at(scores) == ["ridge", "MLP", "MLP" + CORRECTED, CEILING]
    assert "MLP" + GREY in rows_to_look_at(scores, grey=True)
    found = scores.of("MLP", "response", recording="rec1")
    expected = estimate(result, "MLP", scores.lead, direction="response", recordings=["rec1"])
    assert found is not None
    assert found.value == pytest.approx(expected.value, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-5)
    assert np.isnan(scores.reliability["rec1"][1])
    looks = style_retrieval(scores)
    assert looks["ridge"].colour == looks["ridge" + CORRECTED].colour != looks["MLP"].colour


def test_the_first_sentences_are_honest(scores):
    level = scores.of(scores.strongest)
    assert level is not None
    assert f"MLP, hubness corrected finds the one that was seen {100 * level.value:.1f} %" in (
        retrieval_answer(scores)
    )
    step, ceiling = retrieval_margin(scores)
    assert "ridge, hubness corrected" in step
    assert "excludes 0" in step
    assert "does not" not in step
    assert "rec1" in ceiling, "the ceiling is of one recording, and so is the score beside it"
    own = scores.of(scores.strongest, recording="rec1")
    assert own is not None
    assert f"{100 * own.value:.1f}" in ceiling
    table = retrieval_table(scores, "picture")
    assert [row.name for row in table.rows] == ["chance", *LEVELS, CEILING]
    assert "Other half of the trials is scored on rec1 alone." in table.note


def test_results_of_another_kind_are_refused(scores, result):
    with pytest.raises(DataError, match="bridge retrieve"):
        read_scores(result, {"differences_to": "MLP"})
    empty = {"rows": [], "rows_about": {}, "reliability": {}}
    with pytest.raises(DataError, match="bridge retrieve"):
        read_scores(result, {"differences_to": "POYO", **empty})


def test_rank_curves_equal_counting(result):
    better = result.better["MLP", "rec1", "picture"]
    data = compute_ranks(result, ["MLP", CEILING], recording="rec1")
    assert data.gallery == 40
    assert data.first.tolist() == list(range(1, 41))
    counted = [np.mean(better < first) for first in data.first]
    assert data.curves[0].share == pytest.approx(counted)
    assert data.curves[0].share[-1] == pytest.approx(1.0)
    assert np.all(data.curves[1].share == 1)
    assert np.all(data.curves[0].low <= data.curves[0].share + 1e-12)
    assert data.chance[-1] == 1
    # Together: galleries that all have, and no row that some recording lacks.
    mean = compute_ranks(result, ["MLP", CEILING])
    assert [curve.row for curve in mean.curves] == ["MLP"]
    for first in (1, 5):
        exact = estimate(result, "MLP", Metric("", first, 40), num_draws=1).value
        place = mean.first.tolist().index(first)
        assert mean.curves[0].share[place] == pytest.approx(exact)


def test_a_tie_counts_half_in_rank_curves():
    case = RetrievalCase(
        "one", "", 1, 1, np.array(["a", "b"]), np.array(["", ""]), np.array([1, 1])
    )
    better = {("x", "one", "picture"): np.array([[0.5, 0.0]])}
    tied = RetrievalResult("", [RetrievalRow("x")], [case], better)  # type: ignore[arg-type]
    data = compute_ranks(tied, ["x"], recording="one")
    assert data.curves[0].share.tolist() == [0.75, 1.0]


def test_pictures_are_ordered_by_what_they_are_like():
    generator = np.random.default_rng(0)
    along = generator.permutation(50).astype(float)
    places = np.outer(along, [0.0, 2.0, -1.0]) + 0.01 * generator.normal(size=(50, 3))
    none = np.full(50, "")
    order, by_category = order_pictures(places, none)
    assert not by_category
    assert along[order].tolist() == list(range(50))
    category = np.array([f"c{int(value) % 5}" for value in along])
    order, by_category = order_pictures(places, category)
    assert by_category
    runs = np.flatnonzero(category[order][1:] != category[order][:-1])
    assert len(runs) == 4, "every category stands together"
    single = np.array([f"only{number}" for number in range(50)])
    assert not order_pictures(places, single)[1], "categories of one say nothing"


def matrix_of(values, places=None):
    num = len(values)
    places = np.random.default_rng(0).normal(size=(num, 3)) if places is None else places
    names = np.array([f"{number:04d}" for number in range(num)])
    return SimilarityMatrix("MLP", "one", names, values, places, "cosine")


def test_a_matrix_is_put_in_order_and_thinned_out():
    num = MOST_PICTURES + 50
    values = similarity(num, 3.0, 0)
    data = compute_matrix(matrix_of(values), np.full(num, ""))
    assert data.values.shape == (MOST_PICTURES, MOST_PICTURES)
    index = data.hashes.astype(int)
    scaled = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    assert data.values == pytest.approx(scaled[np.ix_(index, index)])
    first = data.table()[0]
    assert first["response to"] == data.hashes[0]
    assert first[f"picture {data.hashes[1]}"] == pytest.approx(data.values[0, 1], abs=1e-3)


def test_right_and_wrong_pairs_are_counted():
    matrices = [matrix_of(similarity(30, 1.0, seed)) for seed in (0, 1)]
    data = compute_pairs(matrices)
    assert data.right.sum() == pytest.approx(1.0)
    assert data.wrong.sum() == pytest.approx(1.0)
    assert data.mean_right == pytest.approx(np.mean([np.diag(m.values).mean() for m in matrices]))
    by_hand = [
        np.mean([(m.values[q, q] > np.delete(m.values[q], q)).mean() for q in range(30)])
        for m in matrices
    ]
    assert data.two_way == pytest.approx(np.mean(by_hand))


def test_queries_are_chosen_by_rule_alone():
    generator = np.random.default_rng(0)
    better = generator.integers(0, 20, 60).astype(float)
    hashes = np.array([f"{number:02d}" for number in generator.permutation(60)])
    chosen = choose_queries(better, hashes)
    assert [each.group for each in chosen] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    ranks = [each.rank for each in chosen]
    assert ranks == sorted(ranks)
    assert ranks[0] == better.min() + 1
    assert ranks[-1] == better.max() + 1
    assert ranks[4] == pytest.approx(np.median(better) + 1, abs=1)
    assert len({each.index for each in chosen}) == 9
    # The order in which pictures are stored plays no part.
    mixed = generator.permutation(60)
    again = choose_queries(better[mixed], hashes[mixed])
    assert [hashes[mixed][each.index] for each in again] == [hashes[e.index] for e in chosen]
    assert len(choose_queries(better[:4], hashes[:4])) == 3


@styled()
def test_grids_show_the_right_pictures_and_frame_the_one_that_was_seen():
    values = similarity(24, 1.0, 3)
    grid = compute_grid(matrix_of(values))
    for number, query in enumerate(grid.queries):
        assert grid.found[number].tolist() == np.argsort(-values[query.index])[:5].tolist()
        assert query.rank == 1 + np.sum(values[query.index] > values[query.index, query.index])
    table = grid.table()
    assert len(table) == 9 * 5
    assert sum(each["right"] for each in table) == sum(query.rank <= 5 for query in grid.queries)
    # Plain pictures, each of its own colour, so that one sees where it is drawn.
    colours = {
        str(name): np.array([10 * number, 255 - 10 * number, 99], np.uint8)
        for number, name in enumerate(grid.hashes)
    }
    pictures = {
        name: np.broadcast_to(colour, (4, 4 + 2 * (name == "0000"), 3)).copy()
        for name, colour in colours.items()
    }
    figure = new_figure(122, 160)
    ax = figure.subplots()
    draw_grid(grid, ax, pictures)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]

    def seen_at(x, y):
        column, line = ax.transData.transform((x, y))
        return drawn[len(drawn) - 1 - round(line), round(column), :3].astype(int)

    for number, query in enumerate(grid.queries):
        expected = colours[str(grid.hashes[query.index])].astype(int)
        assert np.abs(seen_at(0, number) - expected).max() <= 3
        for place, found in enumerate(grid.found[number]):
            expected = colours[str(grid.hashes[found])].astype(int)
            assert np.abs(seen_at(1.15 + place, number) - expected).max() <= 3
    assert len(ax.patches) == sum(each["right"] for each in table)


def test_a_recording_whose_pictures_are_not_given_has_no_grid(tmp_path):
    drawn = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    for number, pixels in enumerate(drawn):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    there = matrix_of(similarity(12, 1.0, 0))
    names = np.array([picture_hash(pixels) for pixels in drawn])
    there = replace(there, hashes=names)
    grids = [compute_grid(there), compute_grid(matrix_of(similarity(12, 1.0, 1)))]
    found, notes = pictures_of(grids, [tmp_path], [])
    assert grids[0].needed <= set(found)
    assert len(notes) == 1
    assert "pictures are not in" in notes[0]
    with pytest.raises(DataError, match="known by their content"):
        pictures_of(grids[1:], [tmp_path], [])


def test_categories_are_scored_over_their_pictures(result):
    metric = Metric("top 1 of 40", 1, 40)
    found = compute_categories(result, "MLP", "ridge", metric)
    assert len(found) == 7
    assert [each.score.value for each in found] == sorted(
        (each.score.value for each in found), reverse=True
    )
    one = next(each for each in found if each.category == "kind3")
    mine = [
        result.scores("MLP", case.recording, metric).mean(axis=0)[case.category == "kind3"]
        for case in result.cases
    ]
    assert one.score.value == pytest.approx(np.concatenate(mine).mean())
    assert one.num_pictures == sum(len(each) for each in mine)
    assert one.step is not None
    assert one.step.low <= one.step.value <= one.step.high
    assert len(category_rows(found)) == 7
    few = make_result(sizes=(20, 20))
    assert [e.num_pictures for e in compute_categories(few, "MLP", "", metric_of(20))] == [6] * 6
    assert compute_categories(make_result(sizes=(12, 12)), "MLP", "", metric_of(12)) == []


def metric_of(num):
    return Metric(f"top 1 of {num}", 1, num)


def test_reliability_is_told_by_area():
    values = {"one": np.array([0.9, 0.8, np.nan, 0.1]), "two": np.array([0.5, 0.7, 0.3, 0.2])}
    # The second recording has two units of two time bins.
    data = compute_reliability(
        values, {"one": np.array(["V1", "V1", "V1", "IT"]), "two": np.array(["IT", "V1"])}
    )
    assert data is not None
    assert {name: int(each.sum()) for name, each in data.counts.items()} == {"IT": 3, "V1": 4}
    assert data.medians["IT"] == 0.5
    assert data.num_without == 1
    unknown = compute_reliability(values, {})
    assert unknown is not None
    assert list(unknown.counts) == ["units"]
    assert compute_reliability({}, {}) is None


def test_trial_curves_end_at_all_trials(result):
    fewer = {
        number: RetrievalResult(
            "fewer",
            result.rows,
            result.cases,
            {("MLP", "rec1", "picture"): result.better["ridge", "rec1", "picture"]},
        )
        for number in (1, 4)
    }
    metric = metric_of(40)
    data = compute_trials(result, fewer, ["ridge", "MLP"], metric, ceiling=CEILING)
    assert data is not None
    assert data.recordings == ["rec1"]
    assert list(data.curves) == ["MLP"]
    assert data.trials == [1, 4, 8]
    at_all = estimate(result, "MLP", metric, recordings=["rec1"])
    assert data.curves["MLP"][-1] == at_all
    assert data.ceiling is not None
    assert data.ceiling.value == 1
    assert compute_trials(result, {}, ["MLP"], metric) is None
