"""Curves of transfer hold what the results say, and the mean only what every target has."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neurohorizon.evaluation.retrieval.results import RetrievalCase
from neurohorizon.evaluation.retrieval.transfer import (
    ALL,
    NEW_INPUT,
    OWN,
    TransferKey,
    TransferResult,
)
from neurohorizon.report.retrieval_transfer import compute_transfer, draw_transfer
from neurohorizon.report.transfer_tables import format_transfer

NUM_TEST = 20


def made_up():
    """Return three targets, of which one has another session of its animal as a source."""
    cases = [
        RetrievalCase(
            recording=name,
            subject=subject,
            num_units=4,
            num_training=num_training,
            hashes=np.array([str(number) for number in range(NUM_TEST)]),
            category=np.full(NUM_TEST, ""),
            trials=np.zeros(NUM_TEST, dtype=np.int64),
        )
        for name, subject, num_training in (("one", "a", 40), ("two", "a", 60), ("three", "b", 80))
    ]
    right = np.zeros((2, NUM_TEST))
    half = np.tile(np.arange(NUM_TEST) % 2, (2, 1)).astype(float)
    better = {}
    for case in cases:
        for number in (10, ALL):
            better[TransferKey("ridge", OWN, "", case.recording, number)] = half
    better[TransferKey("ridge", NEW_INPUT, "two", "one", 10)] = right
    better[TransferKey("ridge", NEW_INPUT, "two", "one", ALL)] = half
    for name in ("two", "one"):
        better[TransferKey("ridge", NEW_INPUT, "three", name, 10)] = right
    better[TransferKey("ridge", NEW_INPUT, "one", "three", 10)] = right
    full = {("ridge", case.recording): right for case in cases}
    return TransferResult("made up", ["ridge"], cases, better, full, ["this cannot be done"])


def test_the_mean_holds_lines_that_every_target_has():
    result = made_up()
    mean = compute_transfer(result, "ridge", result.targets)
    names = {line.name: points for line, points in mean.curves.items()}
    assert list(names) == ["own pictures only", "new input layer, other animal"]
    assert [pictures for pictures, _ in names["own pictures only"]] == [10, 60]
    assert [found.value for _, found in names["own pictures only"]] == [0.5, 0.5]
    assert [found.value for _, found in names["new input layer, other animal"]] == [1.0]
    paired = compute_transfer(result, "ridge", result.targets, paired=True)
    steps = {line.name: [found.value for _, found in each] for line, each in paired.curves.items()}
    assert steps == {
        "new input layer, same animal": [0.5, 0.0],
        "new input layer, other animal": [0.5],
    }
    assert {row["score"] for row in paired.table()} == {"top 1 minus own pictures only"}


def test_curves_stand_at_their_numbers_of_pictures():
    result = made_up()
    ax = Figure().subplots()
    data = compute_transfer(result, "ridge", ["one"])
    draw_transfer(data, ax)
    assert list(ax.get_xticks()) == [10, 40]
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["new input layer, same animal"], [100, 50])
    np.testing.assert_allclose(drawn["own bridge, tuned too"], 100)
    np.testing.assert_allclose(drawn["chance"], 5)


def test_the_table_says_scores_differences_and_what_is_left_out():
    told = format_transfer(made_up())
    lines = {line.split("  ")[1]: line for line in told.splitlines() if line.startswith("  ")}
    assert "all (60)" in told
    assert "50.0 [" in lines["own pictures only"]
    assert "+50.0 [" in told
    assert "new input layer, same animal (1 of the targets)" in told
    assert told.rstrip().endswith("this cannot be done")
