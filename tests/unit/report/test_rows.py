"""A row looks the same everywhere, and labels do not cover each other."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.report.rows import FAINT_STYLE, spread, style_of, style_rows


@pytest.mark.parametrize("seed", range(5))
def test_spread_keeps_order_and_centre_and_makes_room(seed):
    values = np.random.default_rng(seed).uniform(0, 1, 9)
    placed = spread(values, gap=0.08)
    assert np.array_equal(np.argsort(placed), np.argsort(values))
    assert np.diff(np.sort(placed)).min() >= 0.08 - 1e-12
    assert placed.mean() == pytest.approx(values.mean())


def test_spread_leaves_alone_what_has_room():
    values = np.array([3.0, 1.0, 2.0])
    assert np.array_equal(spread(values, gap=0.5), values)
    assert spread([], gap=1.0).size == 0


def test_roles_are_told_apart_and_the_strongest_stands_out(rows, observer):
    styles = style_rows([rows, observer])
    assert styles["model"].bold
    assert styles["model"].rank > styles["glm"].rank > styles["reference rate"].rank
    assert styles["reference rate"] == FAINT_STYLE == style_of(styles, "unknown row")
    assert len({styles[name].colour for name in ("model", "glm", "ideal", "oracle mean")}) == 4


def test_a_look_does_not_depend_on_what_else_is_shown(rows, observer):
    alone, both = style_rows([rows]), style_rows([rows, observer])
    assert all(both[name] == look for name, look in alone.items())


def test_two_models_and_an_ablation_differ(rows):
    def renamed(name):
        scores = {
            (name, case.recording): replace(rows.scores["model", case.recording], forecaster=name)
            for case in rows.cases
        }
        return replace(rows, rows=[replace(rows.rows[0], name=name)], scores=scores)

    styles = style_rows([rows, renamed("second"), renamed("part")], ablations={"part"})
    assert len({styles[name].colour for name in ("model", "second", "part")}) == 3
    assert not styles["part"].bold
