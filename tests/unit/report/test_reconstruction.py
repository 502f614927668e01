"""Tables and grids of reconstructed pictures: what they say, chosen by rule."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.results import PictureMetric
from neurohorizon.evaluation.pictures.scoring import identification_metrics
from neurohorizon.evaluation.pictures.summary import estimate
from neurohorizon.report.reconstruction_bars import (
    compute_row_scores,
    draw_row_scores,
    style_reconstruction,
)
from neurohorizon.report.reconstruction_figures import ReconstructionFigures
from neurohorizon.report.reconstruction_grids import (
    SEEN,
    compute_picture_grid,
    draw_picture_grid,
    grid_height_mm,
    grid_places,
)
from neurohorizon.report.reconstruction_page import write_reconstruction_page
from neurohorizon.report.reconstruction_tables import (
    format_differences,
    format_picture_categories,
    format_reconstruction,
    shown_metrics,
)
from neurohorizon.report.style import new_figure, styled, two_lines
from picture_results import DISTANCE, PIXCORR, SHAPE, TWO_WAY, make_picture_result

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def result():
    return make_picture_result({"one": 100})


@pytest.fixture(scope="module")
def table(result):
    return format_reconstruction(result)


def line_of(table, start, block=""):
    return next(each for each in table[table.index(block) :].splitlines() if each.startswith(start))


def test_the_table_has_scores_marks_and_chance(result, table):
    found = estimate(result, "tiny", "PixCorr")
    cell = f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]+"
    assert cell in line_of(table, "tiny", "pixels\n")
    assert "worse than retrieval" in table
    judged = table[table.index("what an independent judge sees") :]
    assert line_of(judged, "chance").split() == ["chance", "8.3"]
    shape = estimate(result, "true embeddings", "shape")
    assert f"{100 * shape.value:.1f} [" in line_of(judged, "true embeddings")
    assert "]" in line_of(judged, "retrieval")
    assert not line_of(judged, "retrieval").endswith(("+", "-")), "no mark against itself"


def test_a_smaller_distance_is_marked_as_better(table):
    block = table[table.index("features of a network") :]
    assert "(lower is better)" in line_of(block, " ")
    assert line_of(block, "tiny").endswith("+")
    assert line_of(block, "random training picture").endswith("-")


def test_the_table_says_what_was_refused_reported_and_judged(table):
    assert "oracle gate, tiny: passed (judge dinov2): two-way identification" in table
    assert table.count("FID of 100 pictures would tell nothing") == 1
    assert line_of(table, "tiny, one").split() == [
        "tiny,",
        "one",
        "0.012",
        "(s.d.",
        "0.003)",
        "refused",
    ]
    reported = table[table.index("as reported elsewhere") :]
    assert "PixCorr 0.14 to 0.156" in reported
    assert "arXiv:2601.11108" in reported
    assert "none of the scores here)\n" in f"{reported}\n"
    assert "tiny (generator): flow matching, 8 steps" in table
    assert "one: made up" in table


def test_the_metrics_shown_can_be_chosen(result):
    table = format_reconstruction(result, metrics=["SSIM"], named="true embeddings")
    assert "PixCorr  " not in table
    assert "features of a network" not in table
    assert line_of(table, "tiny", "pixels\n").endswith("-")


def test_of_many_metrics_the_hardest_are_shown(result):
    names = [f"{net} {each.name}" for net in ("a", "b") for each in identification_metrics(100)]
    chances = [each.chance(100) for _ in "ab" for each in identification_metrics(100)]
    metrics = [
        PictureMetric(name, "features", chance=chance, share=True)
        for name, chance in zip(names, chances, strict=True)
    ]
    many = replace(result, metrics=metrics, scores={})
    shown = [metric.name for metric in shown_metrics(many, "features")]
    assert shown == ["a two-way", "b two-way", "a top 1 of 100", "a top 5 of 100"]


def test_differences_are_those_of_the_summary(result):
    step = estimate(result, "tiny", "shape", minus="retrieval")
    table = format_differences(result)
    assert f"{100 * step.value:+.1f} [{100 * step.low:+.1f}" in line_of(table, "tiny")
    assert "true embeddings" not in table
    other = format_differences(result, named="tiny", metrics=[DISTANCE.name])
    assert line_of(other, "retrieval").endswith("-"), "a larger distance is worse"


def test_categories_are_listed_from_the_highest(result):
    table = format_picture_categories(result, "tiny", "PixCorr").splitlines()
    assert table[1].split()[:2] == ["category", "pictures"]
    values = [float(line.split()[2]) for line in table[2:]]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    assert "- retrieval" not in format_picture_categories(result, "retrieval", "PixCorr")
    assert format_picture_categories(make_picture_result({"one": 10}), "tiny", "PixCorr") == ""


def test_pictures_are_chosen_by_rule():
    score = RNG.permutation(31) / 30.0
    hashes = np.array([f"{each:02d}" for each in range(31)])
    grid = compute_picture_grid(score, PIXCORR, hashes, row="tiny", recording="one", num_each=3)
    scores = [each.score for each in grid.chosen]
    assert scores == pytest.approx(np.array([30, 29, 28, 16, 15, 14, 2, 1, 0]) / 30)
    assert [each.group for each in grid.chosen] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    lower = compute_picture_grid(score, DISTANCE, hashes, row="tiny", recording="one", num_each=3)
    assert [each.index for each in lower.chosen][:3] == [each.index for each in grid.chosen[::-1]][
        :3
    ], "the best have the smallest distance"
    equal = compute_picture_grid(np.ones(31), SHAPE, hashes[::-1], row="", recording="", num_each=2)
    assert [each.index for each in equal.chosen][:2] == [30, 29], "in the order of hashes"
    with pytest.raises(DataError, match="too few for best, median and worst"):
        compute_picture_grid(score[:2], PIXCORR, hashes[:2], row="tiny", recording="one")


def test_the_grid_shows_the_pictures_chosen():
    num = 12
    hashes = np.array([f"{each:02d}" for each in range(num)])
    score = np.arange(num) / num
    grid = compute_picture_grid(score, PIXCORR, hashes, row="tiny", recording="one", num_each=2)
    lines = {
        name: [np.full((8, 8, 3), 20 * number + row, np.uint8) for number in range(num)]
        for row, name in enumerate((SEEN, "tiny", "retrieval"))
    }
    with styled():
        ax = new_figure(100, 80).subplots()
        draw_picture_grid(grid, ax, lines, width_mm=183)
    shown = {
        (round(np.mean(image.get_extent()[:2]), 3), round(np.mean(image.get_extent()[2:]), 2)): int(
            np.asarray(image.get_array())[0, 0, 0]
        )
        for image in ax.images
    }
    assert len(shown) == 18
    for x, each in zip(grid_places(grid), grid.chosen, strict=True):
        values = [value for (across, _), value in sorted(shown.items()) if across == round(x, 3)]
        assert sorted(values) == [20 * each.index + row for row in range(3)]
    told = [text.get_text() for text in ax.texts]
    assert [word for word in told if word in ("best", "median", "worst")] == [
        "best",
        "median",
        "worst",
    ]
    assert "0.92" in told
    with pytest.raises(DataError, match="11 pictures of tiny, expected one for each of 12"):
        draw_picture_grid(grid, ax, lines | {"tiny": lines["tiny"][1:]}, width_mm=183)
    with pytest.raises(DataError, match="first line"):
        draw_picture_grid(grid, ax, {"tiny": lines["tiny"]}, width_mm=183)


def test_row_scores_are_marked_against_the_control(result):
    data = compute_row_scores(result, [PIXCORR, DISTANCE, TWO_WAY])
    assert data.control == "retrieval"
    assert [role for _, role in data.rows] == ["generator", "control", "oracle", "chance"]
    assert data.marks["tiny", DISTANCE.name] == "better"
    assert data.marks["random training picture", "PixCorr"] == "worse"
    assert ("retrieval", "PixCorr") not in data.marks
    assert len(data.table()) == 12
    with styled():
        axes = new_figure(180, 60).subplots(1, 3)
        draw_row_scores(data, list(axes), styles=style_reconstruction(result))
    assert axes[1].get_xlabel().endswith("(lower is better)")
    assert axes[2].get_xlabel().endswith("(%)")


def test_figures_come_with_their_numbers(result, tmp_path):
    figures = ReconstructionFigures(tmp_path, style_reconstruction(result))
    made = figures.scores(result, [PIXCORR, SHAPE])
    assert "retrieval" in made.caption
    case = result.cases[0]
    score = result.scores["tiny", "one", "PixCorr"][0]
    grid = compute_picture_grid(score, PIXCORR, case.hashes, row="tiny", recording="one")
    pictures = list(RNG.integers(256, size=(len(case), 8, 8, 3), dtype=np.uint8))
    shown = figures.grid(grid, {SEEN: pictures, "tiny": pictures, "V1 alone": pictures})
    assert "the 4 best, middle and worst of 100 test pictures by PixCorr of tiny" in shown.caption
    for figure in (made, shown):
        for kind in ("svg", "png", "csv"):
            assert (tmp_path / f"{figure.name}.{kind}").stat().st_size > 0
    with (tmp_path / f"{shown.name}.csv").open() as file:
        records = list(csv.DictReader(file))
    assert [each["group"] for each in records] == ["best"] * 4 + ["median"] * 4 + ["worst"] * 4
    assert float(records[0]["score"]) == score.max()


def test_long_labels_break_between_words():
    assert two_lines("PixCorr", most=3) == "PixCorr"
    assert two_lines("one two three", most=20) == "one two three"
    assert two_lines("one two three", most=10) == "one two\nthree"


def test_the_page_says_what_was_reported_elsewhere(result, tmp_path):
    page = write_reconstruction_page(result, [], tmp_path / "index.html").read_text()
    told = page[page.index("As reported elsewhere") :]
    assert (
        "<em>TVSD, published</em> (arXiv:2601.11108; 100 pictures): PixCorr 0.14 to 0.156" in told
    )
    assert "<em>MonkeySee, published</em> (Le et al. 2024" in told
    without = replace(result, reported=())
    page = write_reconstruction_page(without, [], tmp_path / "index.html").read_text()
    assert "As reported elsewhere" not in page


@pytest.mark.parametrize("letters", [1, 30, 400])
def test_a_grid_has_room_for_pictures_whatever_they_are_called(result, letters):
    score = RNG.random(100)
    row = "a" * letters
    grid = compute_picture_grid(
        score, PIXCORR, result.cases[0].hashes, row=row, recording="one", num_each=2
    )
    pictures = list(RNG.integers(256, size=(100, 8, 8, 3), dtype=np.uint8))
    lines = {SEEN: pictures, row: pictures}
    height_mm = grid_height_mm(grid, lines, 183)
    assert 30 < height_mm < 90
    ax = new_figure(183, height_mm).subplots()
    draw_picture_grid(grid, ax, lines, width_mm=183)
    left, right = ax.get_xlim()
    assert left < -0.5
    assert (right + 0.5) / (right - left) > 0.55
