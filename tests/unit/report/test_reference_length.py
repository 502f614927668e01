"""Scores against seconds of reference."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.summary import difference, pooled
from neurohorizon.report.reference_length import compute_reference_curves, draw_reference_curves
from neurohorizon.report.style import new_figure
from neurohorizon.report.tables import format_reference_lengths, reference_rows


def test_one_length_is_no_curve(rows):
    assert compute_reference_curves({20.0: rows}) is None


def test_lengths_become_points_of_the_rows_that_matter(rows):
    data = compute_reference_curves({10.0: rows, 20.0: rows}, horizon=1)
    assert [curve.name for curve in data.curves] == ["model", "reference rate", "glm"]
    assert np.array_equal(data.curves[0].value, [pooled(rows, "model").value[1]] * 2)
    assert {record["reference_s"] for record in data.table()} == {10.0, 20.0}
    assert data.read_s.tolist() == [20.0, 20.0], "what was there, not what was asked for"
    ax = new_figure(100, 80).add_subplot()
    draw_reference_curves(data, ax, styles={})
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["10", "20"]


def test_lengths_are_set_in_a_table_with_differences_at_each(results, rows):
    of_set = replace(results.first, by_reference={10.0: rows, 20.0: rows})
    headings, table = reference_rows(of_set)
    assert headings == ["10 s", "20 s"]
    assert [row.name for row in table] == [
        "model",
        "reference rate",
        "glm",
        "model minus the strongest baseline",
    ]
    step = difference(rows, "model", "glm")
    assert [cell.value for cell in table[-1].cells] == [f"{step.value[0]:+.4f}"] * 2
    assert reference_rows(results.first) == ([], [])
    assert "one null for all" in format_reference_lengths(of_set)


def test_another_null_is_refused(rows):
    scores = {
        key: replace(each, null_counts=1.01 * each.null_counts) for key, each in rows.scores.items()
    }
    other = replace(rows, scores=scores)
    with pytest.raises(DataError, match="against the same null: evaluate again"):
        compute_reference_curves({10.0: rows, 20.0: other})


def test_a_costly_short_reference_does_not_hide_the_others(rows):
    data = compute_reference_curves({10.0: rows, 20.0: rows})
    deep = replace(data.curves[1], value=np.array([-9.0, -0.1]))
    ax = new_figure(100, 80).add_subplot()
    draw_reference_curves(replace(data, curves=[data.curves[0], deep]), ax, styles={})
    assert ax.get_ylim()[0] > -float(np.max(data.curves[0].value))
