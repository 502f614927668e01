"""Tables print the evaluation's numbers, with what stands out marked."""

import numpy as np
import pytest

from neurohorizon.evaluation.summary import pooled
from neurohorizon.report import glance, tables


def test_at_a_glance_says_who_wins_and_by_how_much(results):
    table = {row.name: row.cells for row in glance.glance_table(results.first)}
    rows = results.first.rows
    mine, theirs = pooled(rows, "model").value, pooled(rows, "glm").value
    assert table["model, bits per spike"][0].value == f"{mine[0]:.3f}"
    assert table["difference, paired"][0].value == f"{mine[0] - theirs[0]:+.4f}"
    assert table["difference, paired"][0].mark == "above"
    assert table["difference as a share"][0].value == f"{mine[0] / theirs[0] - 1:+.1%}"
    assert table["recordings won"][0].value == "3 of 3"
    observer = results.first.observer
    share = pooled(observer, "model").value[0] / pooled(observer, "ideal").value[0]
    assert table["share of ideal"][0].value == f"{share:.0%}"


def test_the_best_row_is_marked_and_a_cheat_is_no_rival(rows):
    table = tables.score_rows(rows)
    marked = {row.name for row in table for cell in row.cells if cell.mark == "best"}
    assert marked == {"model"}
    assert {row.role for row in table} == {"model", "baseline", "cheat"}


def test_differences_mark_the_side_of_the_interval(rows):
    table = {row.name: row.cells[0] for row in tables.difference_rows(rows, "glm")}
    assert table["model"].mark == "below"
    assert table["model"].value.startswith("-")
    assert table["reference rate"].mark == "above"
    assert "glm" not in table


def test_ablations_are_told_against_the_whole_model(results):
    (row,) = tables.ablation_rows(results.first)
    assert row.name == "adapter withheld"
    assert all(cell.mark == "below" for cell in row.cells)


def test_variants_leave_out_what_nobody_has(rows):
    keys, table = tables.variant_rows(rows)
    assert {"nlb", "mtm", "d2"} <= set(keys)
    assert all(len(row.cells) == 2 * len(keys) for row in table)


def test_text_tables_star_the_strongest_and_line_up(rows):
    lines = tables.format_scores(rows).splitlines()
    assert lines[0] == "held-out waves: 3 recordings, reference 20 s"
    starred = [line for line in lines[3:] if "* " in line[2:]]
    assert [line.split()[0] for line in starred] == ["glm"]
    assert len({len(line) for line in lines[2:] if line}) == 1


def test_text_differences_count_wins(rows):
    text = tables.format_differences(rows, [("model", ["glm"] * 4), ("model", ["mean"] * 4)])
    assert "model - glm" in text
    assert text.count("3/3") == 8


@pytest.mark.parametrize(("number", "told"), [(0, "0 units"), (1, "1 unit"), (2100, "2,100 units")])
def test_counts_are_written_as_people_do(number, told):
    assert tables.count(number, "unit") == told


def test_what_is_unknown_is_a_dash():
    assert tables._number(np.nan) == "–"
    assert tables._number(-0.0001) == "0.000"
    assert tables._number(-0.0001, sign=True) == "-0.0001"
