"""From settings to objects: what one setting means in several places."""

from dataclasses import replace

import pytest

from neurohorizon.configs import build
from neurohorizon.configs.load import load_config
from neurohorizon.ops.intervals import total_s
from neurohorizon.recordings.splits import split_interleaved
from worlds import waving_recording


@pytest.mark.parametrize(("reference", "num_folds"), [("null", 4), ("30", 0)])
def test_training_imitates_the_reference_that_evaluation_reads(reference, num_folds):
    overrides = ["data.recordings=x", "reference.num_references=3", "reference.longest_s=40"]
    config = load_config("ca1-in-session", [*overrides, f"evaluation.reference_s={reference}"])
    recording = waving_recording(num_units=4, duration_s=300.0)
    recording = replace(recording, split=split_interleaved(recording.domain))
    data = build.forecast_data(config.config, [recording])
    assert len(data.sessions[0].cross_fits) == 3 + num_folds
    ((_, group),) = data.valid_groups
    reference_s = build.protocol(config.config).reference_s
    expected_s = reference_s or total_s(recording.require_split().train)
    assert group.reference.duration_s == pytest.approx(expected_s)
