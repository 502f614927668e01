"""How predictable real recordings are, by the ladder alone."""

from dataclasses import replace

import pytest

from neurohorizon.evaluation.baselines.ladder import fit_ladder
from neurohorizon.evaluation.baselines.training import prepare_training
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.predictability import describe_predictability, predictability
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.recordings.splits import split_interleaved
from neurohorizon.recordings.store import open_recording
from neurohorizon.sources import ca1_maze
from neurohorizon.sources.prepare import prepare


@pytest.fixture(scope="module")
def scored(real_data, tmp_path_factory):
    """The linear track in blocks that take turns, every half second."""
    out = tmp_path_factory.mktemp("ca1_maze")
    folder = prepare(ca1_maze.SOURCE, real_data("ca1_maze"), out).folder
    recording = open_recording(folder / "linear-track.h5").without_qualities(("unsorted",))
    split = split_interleaved(
        recording.domain, block_s=60.0, fractions=(0.6, 0.1, 0.3), guard_s=1.5, seed=0
    )
    recording = replace(recording, split=split)
    protocol = Protocol(reference_s=None, origin_step_s=0.5, fewest_spikes=500)
    ladder = fit_ladder(prepare_training([recording], protocol))
    return evaluate(ladder, [prepare_case(recording, protocol, held_out=False)], title="CA1")


def test_place_cells_can_be_predicted_and_the_population_helps(scored):
    first, last = predictability(scored)[0], predictability(scored)[-1]
    assert first.low > 0.1
    assert first.level > last.level, "the further ahead, the less"
    assert first.population == first.row
    assert first.step[1] > 0, "each unit's own spikes say less than all of them"
    told = describe_predictability(scored)
    assert told.startswith(f"{first.level:.3f} bits per spike of the next 100 ms can be predicted")
