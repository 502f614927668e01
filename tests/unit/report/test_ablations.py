"""Bars tell what the whole model loses, with the numbers of the tables."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.evaluation.summary import difference, pooled
from neurohorizon.report.ablations import compute_ablations, draw_ablations
from neurohorizon.report.style import new_figure


def test_bars_are_the_paired_differences(results):
    of_set = results.first
    data = compute_ablations(of_set)
    assert data is not None
    step = difference(of_set.with_ablations, "adapter withheld", "model")
    assert data.names == ["adapter withheld"]
    assert np.array_equal(data.value[0], step.value)
    assert np.array_equal(data.low[0], step.low)
    assert np.array_equal(data.level, pooled(of_set.rows, "model").value)
    ax = new_figure(120, 60).add_subplot()
    draw_ablations(data, ax)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx(list(step.value))
    assert [record["difference"] for record in data.table()] == list(step.value)


def test_nothing_withheld_is_no_figure(results):
    assert compute_ablations(replace(results.first, ablations=None)) is None
