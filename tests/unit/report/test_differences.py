"""Paired differences by recording agree with the pooled one."""

import numpy as np
import pytest

from neurohorizon.evaluation.summary import wins
from neurohorizon.report.differences import compute_differences, draw_differences
from neurohorizon.report.style import BLUE, GREY, VERMILION, new_figure


def test_recordings_weighted_by_spikes_give_the_pooled_difference(rows):
    panels = compute_differences(rows, "model")
    for index, panel in enumerate(panels):
        assert panel.to == "glm"
        spikes = {
            each.recording: each.at_horizons(each.spikes).sum(axis=(0, 1))[index]
            for each in rows.of_row("model")
        }
        weights = np.array([spikes[name] for name in panel.recordings])
        assert np.sum(panel.value * weights) / weights.sum() == pytest.approx(panel.pooled[0])
        assert panel.wins == wins(rows, "model", "glm")[index] == 3


def test_the_difference_turns_its_sign_with_the_rows(rows):
    there = compute_differences(rows, "model", to=["glm"] * 4)
    back = compute_differences(rows, "glm", to=["model"] * 4)
    for one, other in zip(there, back, strict=True):
        value = dict(zip(one.recordings, one.value, strict=True))
        turned = dict(zip(other.recordings, -other.value, strict=True))
        assert value == pytest.approx(turned)
        assert other.wins == 0


def test_recordings_have_one_order_and_colours_tell_the_sign(rows):
    panels = compute_differences(rows, "model")
    assert len({tuple(panel.recordings) for panel in panels}) == 1
    draw_differences(panels, list(new_figure(183, 60).subplots(1, 4)))
    for row, colour in (("model", BLUE), ("reference rate", VERMILION)):
        panels = compute_differences(rows, row, to=["glm"] * 4)
        axes = list(new_figure(183, 60).subplots(1, 4))
        draw_differences(panels, axes)
        diamonds = [line for line in axes[0].lines if line.get_marker() == "D"]
        assert [line.get_color() for line in diamonds] == [colour]
    same = compute_differences(rows, "glm", to=["glm"] * 4)
    draw_differences(same, axes := list(new_figure(183, 60).subplots(1, 4)))
    assert [line.get_color() for line in axes[0].lines if line.get_marker() == "D"] == [GREY]
