"""The head for hidden units: what it equals untrained, and what must not change what it tells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.errors import ConfigError
from neurohorizon.models.checkpoint import load_forecaster, save_forecaster
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec()
HIDDEN = np.array([False, True, False, False, True, False, False])
DESIGNS = {
    "default": {},
    "no encoder": {"num_encoder_layers": 0},
    "original": {"decoder": "causal_bins", "identity": "statistics", "use_rate": False},
    "events only": {"use_unit_tokens": False, "use_population_tokens": False},
    "negative binomial": {"likelihood": "negative_binomial"},
}


def make_model(**settings) -> HorizonForecaster:
    """A model whose head is not zero, so that everything shows in what it tells."""
    torch.manual_seed(0)
    model = HorizonForecaster(
        spec=SPEC, width=32, num_heads=2, num_latents=8, cosmoothing=True, **settings
    ).eval()
    for name, parameter in model.cosmoother.named_parameters():
        if "head" in name or "output" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def make_group(recording, *, hidden=HIDDEN) -> WindowGroup:
    reference = compute_reference(recording, np.array([[5.0, 60.0]]), spec=SPEC)
    windows = reference.read_windows(WindowReader(recording, SPEC), [65.0, 70.0, 77.3])
    return WindowGroup(reference, windows, np.zeros(recording.num_units, int), hidden=hidden)


@pytest.fixture(scope="module")
def waves():
    return waving_recording(num_units=7, duration_s=90.0)


@pytest.mark.parametrize("design", DESIGNS)
def test_spikes_of_hidden_units_change_nothing(design, waves):
    """After the reference hidden units fire at other times, in the context and before it."""
    model = make_model(**DESIGNS[design])
    other = poisson_recording(num_units=7, duration_s=90.0, rate_hz=15.0)
    kept = ~HIDDEN[waves.spike_unit_index] | (waves.spike_times < 60.0)
    new = HIDDEN[other.spike_unit_index] & (other.spike_times >= 60.0)
    times = np.concatenate([waves.spike_times[kept], other.spike_times[new]])
    unit = np.concatenate([waves.spike_unit_index[kept], other.spike_unit_index[new]])
    order = np.argsort(times, kind="stable")
    changed = replace(waves, spike_times=times[order], spike_unit_index=unit[order])
    groups = [make_group(recording) for recording in (waves, changed)]
    with torch.no_grad():
        told = [model.cosmooth(collate_groups([group])) for group in groups]
    assert not np.array_equal(groups[0].windows.traces_hz, groups[1].windows.traces_hz)
    assert torch.equal(told[0], told[1])


@pytest.mark.parametrize("design", DESIGNS)
def test_spikes_of_the_others_matter(design, waves):
    model = make_model(**DESIGNS[design])
    group = make_group(waves)
    moved = replace(group.windows, event_unit_index=(group.windows.event_unit_index + 1) % 7)
    with torch.no_grad():
        told = model.cosmooth(collate_groups([group]))
        other = model.cosmooth(collate_groups([replace(group, windows=moved)]))
    assert (told - other)[:, HIDDEN].abs().max() > 1e-3


@pytest.mark.parametrize("design", DESIGNS)
def test_untrained_it_tells_the_reference_rate(design, waves):
    model = HorizonForecaster(spec=SPEC, cosmoothing=True, **DESIGNS[design]).eval()
    group = make_group(waves)
    with torch.no_grad():
        told = model.likelihood.mean(model.cosmooth(collate_groups([group]))).numpy()
    assert told.shape == (3, 7, 25)
    expected = (group.reference.rate_hz * SPEC.bin_s)[None, :, None]
    np.testing.assert_allclose(told, np.broadcast_to(expected, told.shape), rtol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_padding_changes_nothing(design, waves):
    model = make_model(**DESIGNS[design])
    large = make_group(
        poisson_recording(num_units=19, duration_s=90.0, rate_hz=9.0),
        hidden=np.arange(19) % 3 == 0,
    )
    with torch.no_grad():
        alone = model.cosmooth(collate_groups([make_group(waves)]))
        padded = model.cosmooth(collate_groups([large, make_group(waves)]))[3:, :7]
    torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-5)


def test_asking_for_some_units_gives_what_is_told_of_them(waves):
    model, batch = make_model(), collate_groups([make_group(waves)])
    queries = torch.tensor([[4, 1], [1, 4], [4, 1]])
    with torch.no_grad():
        every, some = model.cosmooth(batch), model.cosmooth(batch, queries)
    torch.testing.assert_close(some, torch.stack([every[i, q] for i, q in enumerate(queries)]))


def test_one_batch_is_overfitted(waves):
    from neurohorizon.training.module import ForecastModule

    torch.manual_seed(0)
    batch = collate_groups([make_group(waves)])
    module = ForecastModule(HorizonForecaster(spec=SPEC, cosmoothing=True), num_steps=100)
    start = float(module.loss(batch).detach())
    optimizer = torch.optim.AdamW(module.model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        module.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(module.model.parameters(), 1.0)
        optimizer.step()
    assert float(module.loss(batch).detach()) < start - 0.05


def test_the_python_way_and_a_checkpoint(waves, tmp_path):
    model, group = make_model(), make_group(waves)
    save_forecaster(model, tmp_path / "model.safetensors")
    forecaster = TrainedForecaster(load_forecaster(tmp_path)[0])
    told = forecaster.cosmoothed_counts(waves, group.reference, group.windows, hidden=HIDDEN)
    with torch.no_grad():
        expected = model.likelihood.mean(model.cosmooth(collate_groups([group])))[:, HIDDEN]
    np.testing.assert_allclose(told, expected.numpy(), rtol=1e-6)
    for hidden in (np.zeros(7, dtype=bool), np.ones(7, dtype=bool)):
        with pytest.raises(ConfigError, match="hide some, not all"):
            forecaster.cosmoothed_counts(waves, group.reference, group.windows, hidden=hidden)
    plain = TrainedForecaster(HorizonForecaster(spec=SPEC))
    with pytest.raises(ConfigError, match=r"training\.cosmoothing_share"):
        plain.cosmoothed_counts(waves, group.reference, group.windows, hidden=HIDDEN)
