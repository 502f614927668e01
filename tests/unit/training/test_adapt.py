"""Adapting to a session: what it reads, what it changes, and that it can help."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.protocol import Protocol
from neurohorizon.models.checkpoint import load_forecaster, save_forecaster
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.nn.low_rank import add_low_rank, merge_low_rank
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.adapt import ADAPT_MODES, adapt_forecaster, readable_domain
from neurohorizon.training.few_shot import measure_few_shot
from worlds import waving_recording

SPEC = WindowSpec(horizon_s=0.5)


@pytest.fixture(scope="module")
def recording():
    return waving_recording(num_units=8, duration_s=140.0, rate_hz=8.0)


@pytest.fixture(scope="module")
def forecaster():
    """A model that has learned nothing yet: every bit is the adaptation's."""
    torch.manual_seed(0)
    return TrainedForecaster(HorizonForecaster(spec=SPEC, width=32, num_heads=2, num_latents=8))


def expected(forecaster, recording):
    reference = compute_reference(recording, np.array([[5.0, 60.0]]), spec=SPEC)
    windows = reference.read_windows(WindowReader(recording, SPEC), [65.0, 70.0])
    return forecaster.expected_counts(recording, reference, windows)


@pytest.mark.parametrize("mode", ADAPT_MODES)
def test_an_adapted_model_survives_its_file_and_the_given_one_stays(
    mode, forecaster, recording, tmp_path
):
    before = {name: w.clone() for name, w in forecaster.model.state_dict().items()}
    adapted, told = adapt_forecaster(
        forecaster, recording, minutes=1.0, mode=mode, max_steps=20, learning_rate=1e-2
    )
    for name, weights in forecaster.model.state_dict().items():
        assert torch.equal(weights, before[name])
    assert told.steps == 20
    assert len(told.valid_loss) == 3
    (start, end), *_ = told.intervals
    assert end <= recording.split.test[0, 0]
    assert end - start == pytest.approx(60.0)
    save_forecaster(adapted.model, tmp_path / "model.safetensors", known_units=adapted.known_units)
    model, known = load_forecaster(tmp_path)
    again = TrainedForecaster(model, known_units=known)
    np.testing.assert_allclose(expected(again, recording), expected(adapted, recording), rtol=1e-5)
    if mode == "full":
        assert told.best_step > 0
        assert min(told.valid_loss) < told.valid_loss[0] - 0.005
        assert not np.allclose(expected(adapted, recording), expected(forecaster, recording))


def test_offsets_belong_to_their_session(forecaster, recording):
    torch.manual_seed(1)
    model = forecaster.model.with_offsets(8)
    known = {f"{recording.id}/{unit}": row + 1 for row, unit in enumerate(recording.units.id)}
    adapted = TrainedForecaster(model, known_units=known)
    np.testing.assert_array_equal(expected(adapted, recording), expected(forecaster, recording))
    with torch.no_grad():
        model.offsets.weight[1:, -1] = 0.5
    np.testing.assert_allclose(
        expected(adapted, recording), np.exp(0.5) * expected(forecaster, recording), rtol=1e-4
    )
    other = replace(recording, id="another")
    np.testing.assert_array_equal(expected(adapted, other), expected(forecaster, other))
    with pytest.raises(ConfigError, match="low_rank or full"):
        model.with_offsets(3)


def test_a_low_rank_change_is_none_at_first_and_merges_into_the_weights():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.GELU(), torch.nn.Linear(5, 3))
    inputs, names = torch.randn(4, 6), set(network.state_dict())
    plain = network(inputs)
    trained = add_low_rank([network], rank=2)
    torch.testing.assert_close(network(inputs), plain)
    assert sum(parameter.numel() for parameter in trained) == 2 * (6 + 5) + 2 * (5 + 3)
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(torch.randn_like(parameter))
    changed = network(inputs)
    assert not torch.allclose(changed, plain)
    merge_low_rank(network)
    assert set(network.state_dict()) == names
    torch.testing.assert_close(network(inputs), changed)


def test_the_test_part_is_never_read(forecaster, recording):
    """Other spikes from its start on change nothing."""
    first = float(recording.split.test[0, 0])
    assert readable_domain(recording).max() <= first
    kept = recording.spike_times < first
    cut = replace(
        recording,
        spike_times=recording.spike_times[kept],
        spike_unit_index=recording.spike_unit_index[kept],
    )
    losses = [
        adapt_forecaster(forecaster, each, minutes=1.0, mode="offsets", max_steps=10)[1].valid_loss
        for each in (recording, cut)
    ]
    assert losses[0] == losses[1]


def test_too_few_and_too_many_minutes_are_refused(forecaster, recording):
    with pytest.raises(ConfigError, match=r"at least 0\.75"):
        adapt_forecaster(forecaster, recording, minutes=0.3, mode="full")
    with pytest.raises(DataError, match="before its test part: give fewer"):
        adapt_forecaster(forecaster, recording, minutes=5.0, mode="full")
    protocol = Protocol(spec=SPEC, horizons_s=(0.1, 0.5), reference_s=40.0)
    with pytest.raises(DataError, match="none of 4, 8 fits"):
        measure_few_shot(forecaster, [recording], protocol, minutes=(4.0, 8.0))


def test_the_curve_holds_zero_shot_and_every_mode(forecaster, recording):
    from neurohorizon.report.few_shot import compute_few_shot, draw_few_shot
    from neurohorizon.report.style import new_figure

    protocol = Protocol(spec=SPEC, horizons_s=(0.1, 0.5), reference_s=40.0, fewest_spikes=100)
    result = measure_few_shot(
        forecaster, [recording], protocol, minutes=(1.0, 9.0), modes=("offsets", "full"),
        max_steps=30,
    )  # fmt: skip
    assert [row.name for row in result.rows] == ["zero-shot", "offsets, 1 min", "full, 1 min"]
    data = compute_few_shot(result)
    assert [curve.mode for curve in data.curves] == ["offsets", "full"]
    assert data.curves[1].gain[0] > 0.01, "an untrained model gains from a minute"
    assert data.curves[1].value[0] == pytest.approx(data.zero_shot + data.curves[1].gain[0])
    assert [row["minutes"] for row in data.table()] == [0.0, 1.0, 1.0]
    ax = new_figure(80, 60).subplots()
    draw_few_shot(data, ax)
    assert [line.get_label() for line in ax.lines][1:] == ["offsets", "full"]
