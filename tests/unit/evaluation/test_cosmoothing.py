"""Co-smoothing is scored as its benchmark does, and a trained model beats simple baselines."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.cosmoothing import SmoothedSpikes
from neurohorizon.evaluation.cosmoothing import (
    CoSmoothing,
    measure_cosmoothing,
    pooled_co_bps,
    units_to_hide,
)
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.ops.records import load_records, save_records
from neurohorizon.recordings.cosmoothing import context_counts
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.data import ForecastData
from neurohorizon.training.fit import fit_forecaster
from neurohorizon.training.loop import LoopSettings
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec(horizon_s=0.5)
# All that may be read is the reference: baselines are solved on as much as training sees.
PROTOCOL = Protocol(
    spec=SPEC, reference_s=None, horizons_s=(0.1, 0.5), fewest_spikes=100, block_s=5.0
)


@pytest.fixture(scope="module")
def recordings():
    return [
        waving_recording(num_units=16, duration_s=200.0, rate_hz=8.0, seed=seed, name=f"w{seed}")
        for seed in range(2)
    ]


@pytest.fixture(scope="module")
def trained(recordings, tmp_path_factory):
    """A tiny model trained on the first recording, with units hidden in half of the batches."""
    data = ForecastData(
        recordings=recordings[:1],
        spec=SPEC,
        num_references=3,
        steps_per_epoch=50,
        tokens_per_batch=2500,
        cosmoothing_share=0.5,
    )
    torch.manual_seed(0)
    model = HorizonForecaster(spec=SPEC, width=32, num_heads=2, num_latents=8, cosmoothing=True)
    folder, told = tmp_path_factory.mktemp("run"), []
    fit_forecaster(
        model=model,
        data=data,
        run_folder=folder,
        settings=LoopSettings(max_epochs=2, accelerator="cpu"),
        on_epoch=told.append,
    )
    assert told[-1]["valid_co_bps"] > 0.2
    assert told[-1]["valid_bits_per_spike_500ms"] > 0.2, "the same checkpoint forecasts"
    return TrainedForecaster.load(folder)


@pytest.fixture(scope="module")
def found(trained, recordings):
    """On later time of the recording that was trained on, and on one that training never saw."""
    cases = [
        prepare_case(recording, PROTOCOL, held_out=held_out)
        for recording, held_out in zip(recordings, (False, True), strict=True)
    ]
    return measure_cosmoothing(trained, cases)


def test_a_trained_model_tells_hidden_units_better_than_regressions_do(found):
    for each in found:
        scores = each.co_bps()
        assert scores["NeuroHorizon"] > 0.2
        assert scores["NeuroHorizon"] > scores["ridge on smoothed spikes"] + 0.03
        assert scores["ridge on smoothed spikes"] > 0.1
        assert scores["smoothed dynamics"] > 0.1
        assert scores["reference rate"] < 0.01
    over_ridge = pooled_co_bps(found, 0, minus=1)
    assert over_ridge.above[0]


def test_the_score_is_the_benchmarks(trained, recordings, found):
    evaluation = pytest.importorskip("nlb_tools.evaluation")
    case = prepare_case(recordings[1], PROTOCOL, held_out=True)
    hidden = units_to_hide(case.recording, case.scored_units)
    rates, spikes = [], []
    for windows in case.chunks():
        told = trained.cosmoothed_counts(case.recording, case.reference, windows, hidden=hidden)
        rates.append(told.transpose(0, 2, 1).astype(float))
        spikes.append(context_counts(windows)[:, hidden].transpose(0, 2, 1).astype(float))
    theirs = evaluation.bits_per_spike(np.concatenate(rates), np.concatenate(spikes))
    assert found[1].co_bps()["NeuroHorizon"] == pytest.approx(theirs, rel=1e-6)
    assert pooled_co_bps(found[1:], 0).value[0] == pytest.approx(theirs, rel=1e-6)


def test_contexts_that_overlap_are_thinned(trained, recordings, found):
    dense = replace(PROTOCOL, origin_step_s=0.1)
    case = prepare_case(recordings[1], dense, held_out=True)
    (again,) = measure_cosmoothing(trained, [case])
    assert again.num_counts.sum() == pytest.approx(found[1].num_counts.sum(), rel=0.05)


def test_what_the_benchmark_holds_out_is_hidden(recordings):
    recording, scored = recordings[0], np.arange(16) != 3
    assert np.flatnonzero(units_to_hide(recording, scored)).tolist() == [4, 8, 12]
    marked = np.arange(16) > 12
    units = replace(recording.units, columns={"held_out": marked})
    np.testing.assert_array_equal(units_to_hide(replace(recording, units=units), scored), marked)
    # A test recording of the benchmark holds none of them.
    units = replace(recording.units, columns={"held_out": np.zeros(16, dtype=bool)})
    assert units_to_hide(replace(recording, units=units), scored).sum() == 3


def test_where_units_are_independent_the_regression_tells_the_rate():
    recording = poisson_recording(num_units=12, duration_s=120.0)
    case = prepare_case(recording, PROTOCOL, held_out=True)
    hidden = units_to_hide(recording, case.scored_units)
    ridge = SmoothedSpikes(recording, case.reference, spec=SPEC, hidden=hidden)
    (windows,) = list(case.chunks(10_000))
    told = ridge.expected_counts(context_counts(windows))
    expected = (case.reference.rate_hz[hidden] * SPEC.bin_s)[:, None]
    assert np.abs(told / expected - 1).mean() < 0.1


def test_files(found, tmp_path):
    path = tmp_path / "later.cosmoothing.npz"
    save_records(found, path)
    again = load_records(CoSmoothing, path)
    assert [each.co_bps() for each in again] == [each.co_bps() for each in found]
    assert [each.recording for each in again] == ["w0", "w1"]
    save_records([], path)
    assert load_records(CoSmoothing, path) == []
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(DataError, match="evaluate again"):
        load_records(CoSmoothing, path)
