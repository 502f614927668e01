"""Curves against the horizon are the evaluation's own numbers."""

import numpy as np
import pytest

from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.summary import difference, pooled
from neurohorizon.report import horizon
from neurohorizon.report.rows import style_rows
from neurohorizon.report.style import new_figure


def curve(data, name):
    return next(each for each in data.curves if each.name == name)


def test_curves_are_pooled_scores(rows):
    data = horizon.compute_horizon_curves(rows)
    assert [each.name for each in data.curves] == [row.name for row in rows.rows]
    interval = pooled(rows, "glm")
    assert np.array_equal(curve(data, "glm").value, interval.value)
    assert np.array_equal(curve(data, "glm").high, interval.high)
    flagged = {record["row"] for record in data.table() if record["strongest_baseline"]}
    assert flagged == {"glm"}
    assert len(data.table()) == len(rows.rows) * 4


def test_a_ceiling_on_few_windows_is_placed_by_its_gap_to_the_model(rows, observer):
    data = horizon.compute_horizon_curves(rows, observer=observer, model="model")
    gap = difference(observer, "ideal", "model").value
    assert curve(data, "ideal").value == pytest.approx(pooled(rows, "model").value + gap)
    level_there = pooled(observer, "ideal").value
    assert not np.allclose(curve(data, "ideal").value, level_there), "its own level is another"


def test_a_ceiling_on_all_windows_is_at_its_own_score(cases, rows, peek):
    ceiling = peek("ideal", 0.4, "ceiling")
    everywhere = evaluate([peek("model", 0.2), ceiling], cases)
    data = horizon.compute_horizon_curves(rows, observer=everywhere, model="model")
    assert curve(data, "ideal").value == pytest.approx(pooled(everywhere, "ideal").value)


def test_groups_add_up_to_the_whole_horizon(rows):
    data = horizon.compute_group_curves(rows)
    starts = rows.protocol.spec.group_edges[:-1]
    spikes = sum(each.spikes.sum(axis=(0, 1)) for each in rows.of_row("model"))
    weights = np.add.reduceat(spikes, starts)
    total = np.sum(curve(data, "model").value * weights) / weights.sum()
    assert total == pytest.approx(pooled(rows, "model").value[-1])
    assert data.edges_s[-1] == pytest.approx(1.0)


class Loud:
    """Forecast far more than the units ever fire."""

    name, role = "loud", "baseline"

    def forecast(self, case, windows):
        return np.full(windows.counts.shape, 3.0)


def test_what_is_far_below_is_named_and_not_drawn(cases, peek):
    result = evaluate([peek("model", 0.2), peek("glm", 0.1, "baseline"), Loud()], cases)
    data = horizon.compute_horizon_curves(result)
    ax = new_figure(100, 80).add_subplot()
    horizon.draw_horizon_curves(data, ax, styles=style_rows([result]))
    texts = [text.get_text() for text in ax.texts]
    assert ax.get_title(loc="left").startswith("below the scale: loud −")
    assert "glm ★" in texts
    assert ax.get_ylim()[0] > -0.5


def test_agreement_draws_the_model_even_if_it_is_below_zero(rows):
    data = horizon.compute_agreement(rows)
    axes = new_figure(100, 160).subplots(2, 1)
    horizon.draw_agreement(data, list(axes), styles=style_rows([rows]))
    for ax in axes:
        assert "model" in [text.get_text() for text in ax.texts]


def test_a_model_far_below_is_drawn(cases, peek):
    loud = Loud()
    loud.role = "model"
    result = evaluate([loud, peek("glm", 0.1, "baseline")], cases)
    ax = new_figure(100, 80).add_subplot()
    data = horizon.compute_horizon_curves(result)
    horizon.draw_horizon_curves(data, ax, styles=style_rows([result]))
    assert "loud" in [text.get_text() for text in ax.texts]
    assert ax.get_ylim()[0] < data.curves[0].value.min()
