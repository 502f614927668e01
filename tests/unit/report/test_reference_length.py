"""Scores against seconds of reference."""

import numpy as np

from neurohorizon.evaluation.summary import pooled
from neurohorizon.report.reference_length import compute_reference_curves, draw_reference_curves
from neurohorizon.report.style import new_figure


def test_one_length_is_no_curve(rows):
    assert compute_reference_curves({20.0: rows}) is None


def test_lengths_become_points_of_the_rows_that_matter(rows):
    data = compute_reference_curves({10.0: rows, 20.0: rows}, horizon=1)
    assert [curve.name for curve in data.curves] == ["model", "reference rate", "glm"]
    assert np.array_equal(data.curves[0].value, [pooled(rows, "model").value[1]] * 2)
    assert {record["reference_s"] for record in data.table()} == {10.0, 20.0}
    ax = new_figure(100, 80).add_subplot()
    draw_reference_curves(data, ax, styles={})
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["10", "20"]
