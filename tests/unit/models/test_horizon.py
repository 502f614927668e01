"""The forecaster: what it must equal untrained, and what must not change its forecasts."""

from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest
import torch

from neurohorizon.errors import DataError
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.nn.identity import IdentityMode
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.reference_samples import SampleSpec
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.module import ForecastModule
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec()
SAMPLES = {
    "windows": SampleSpec(num_windows=20, window_s=0.5),
    "events": SampleSpec(num_spikes=64),
}
DESIGNS = {
    "default": {},
    "no encoder": {"num_encoder_layers": 0},
    "original": {
        "decoder": "causal_bins",
        "identity": "statistics",
        "use_adapter": False,
        "use_past": False,
    },
    "bidirectional bins": {"decoder": "causal_bins", "causal": False},
    "events only": {"use_unit_tokens": False, "use_population_tokens": False},
    "linear identity": {"identity": "linear"},
    "windows identity": {"identity": "windows"},
    "events identity": {"identity": "events"},
    "learned identity": {"identity": "learned", "num_known_units": 30},
    "negative binomial": {"likelihood": "negative_binomial"},
    "zero-inflated original": {
        "likelihood": "zero_inflated_poisson",
        "decoder": "causal_bins",
        "identity": "statistics",
    },
    "categorical": {"likelihood": "categorical", "num_classes": 4},
    "autoregressive": {"decoder": "autoregressive"},
    "autoregressive negative binomial": {
        "decoder": "autoregressive",
        "likelihood": "negative_binomial",
    },
    "coarse to fine": {"decoder": "coarse_to_fine"},
    "coarse to fine without encoder": {
        "decoder": "coarse_to_fine",
        "likelihood": "zero_inflated_poisson",
        "num_encoder_layers": 0,
    },
}


def spec_of(design: str) -> WindowSpec:
    """The geometry, with the samples that the design's identity reads."""
    samples = SAMPLES.get(DESIGNS[design].get("identity", ""), SampleSpec())
    return replace(SPEC, samples=samples)


def make_group(
    recording, *, origins=(65.0, 70.0, 77.3), known=None, spec=SPEC, reference_s=55.0
) -> WindowGroup:
    reference = compute_reference(recording, np.array([[60.0 - reference_s, 60.0]]), spec=spec)
    windows = reference.read_windows(WindowReader(recording, spec), origins)
    known = np.zeros(recording.num_units, dtype=np.int64) if known is None else known
    return WindowGroup(reference, windows, known)


def make_model(*, spec=SPEC, **settings) -> HorizonForecaster:
    """A model whose head is not zero, so that everything shows in its forecasts."""
    torch.manual_seed(0)
    model = HorizonForecaster(spec=spec, width=32, num_heads=2, num_latents=8, **settings).eval()
    for name, parameter in model.head.named_parameters():
        if parameter.ndim > 1 or "bias" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module")
def waves():
    return waving_recording(num_units=7, duration_s=90.0)


@pytest.mark.parametrize("design", DESIGNS)
def test_an_untrained_model_forecasts_the_reference_rate(design, waves):
    model = HorizonForecaster(spec=spec_of(design), **DESIGNS[design]).eval()
    group = make_group(waves, spec=spec_of(design))
    expected = group.reference.rate_hz * SPEC.bin_s
    with torch.no_grad():
        forecast = model.expected_counts(collate_groups([group])).numpy()
    np.testing.assert_allclose(forecast, np.broadcast_to(expected[None, :, None], forecast.shape),
                               rtol=1e-6, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("design", DESIGNS)
def test_padding_changes_nothing(design, waves):
    spec = spec_of(design)
    model = make_model(spec=spec, **DESIGNS[design])
    # A short reference holds fewer windows and spikes than are asked for.
    small = make_group(waves, spec=spec, reference_s=9.0)
    large = make_group(poisson_recording(num_units=19, duration_s=90.0, rate_hz=9.0), spec=spec)
    with torch.no_grad():
        alone = model(collate_groups([small]))
        padded = model(collate_groups([large, small]))[3:, :7]
    torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_units_in_another_order_get_the_same_forecasts_in_that_order(design, waves):
    spec = spec_of(design)
    model = make_model(spec=spec, **DESIGNS[design])
    order = np.random.default_rng(1).permutation(7)
    known = np.arange(1, 8)
    with torch.no_grad():
        forecast = model(collate_groups([make_group(waves, known=known, spec=spec)]))
        other = make_group(waves.select_units(order), known=known[order], spec=spec)
        permuted = model(collate_groups([other]))
    torch.testing.assert_close(permuted, forecast[:, order], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("design", DESIGNS)
def test_the_future_changes_no_forecast(design, waves):
    """Everything after the origin is redrawn: spikes, and behaviour."""
    spec = spec_of(design)
    model = make_model(spec=spec, **DESIGNS[design])
    origin = 65.0
    other = waving_recording(num_units=7, duration_s=90.0, seed=9)
    past, future = waves.spike_times < origin, other.spike_times >= origin
    position = waves.series["position"]
    values = np.where(position.timestamps[:, None] < origin, position.values, 1e6)
    changed = replace(
        waves,
        spike_times=np.concatenate([waves.spike_times[past], other.spike_times[future]]),
        spike_unit_index=np.concatenate(
            [waves.spike_unit_index[past], other.spike_unit_index[future]]
        ),
        series={"position": replace(position, values=values)},
    )
    first, second = (make_group(r, origins=(origin,), spec=spec) for r in (waves, changed))
    assert not np.array_equal(first.windows.counts, second.windows.counts)
    with torch.no_grad():
        forecasts = [model(collate_groups([group])) for group in (first, second)]
    torch.testing.assert_close(forecasts[0], forecasts[1], rtol=0, atol=0)


def test_later_bins_of_causal_bins_do_not_reach_back():
    batch = collate_groups([make_group(waving_recording(num_units=7, duration_s=90.0))])
    for causal in (True, False):
        model = make_model(**DESIGNS["original"], causal=causal)
        with torch.no_grad():
            before = model(batch)
            # Not by a constant, which layer norms take out again.
            model.decoder.bin_query[20:] += torch.randn_like(model.decoder.bin_query[20:])
            after = model(batch)
        assert torch.allclose(before[:, :, :20], after[:, :, :20], atol=1e-5) == causal
        assert not torch.allclose(before[:, :, 20:], after[:, :, 20:])


@pytest.mark.parametrize("mode", get_args(IdentityMode))
def test_every_identity_is_trained_through(mode, waves):
    """Random vectors learn nothing: all other layers do."""
    spec = replace(SPEC, samples=SAMPLES.get(mode, SampleSpec()))
    model = HorizonForecaster(spec=spec, identity=mode, num_known_units=30)
    batch = collate_groups([make_group(waves, known=np.arange(1, 8), spec=spec)])
    identities = model.identities(batch)
    assert identities.shape == (1, 7, 64)
    assert len(torch.unique(identities[0], dim=0)) == 7
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ForecastModule(model, num_steps=2).loss(batch).backward()
    learnt = [p.grad is not None for p in model.identity.parameters()]
    assert all(learnt)
    assert bool(learnt) == (mode != "random")


@pytest.mark.parametrize("design", ["default", "original", "autoregressive", "coarse to fine"])
def test_asking_for_some_units_gives_their_forecasts(design, waves):
    model = make_model(**DESIGNS[design])
    batch = collate_groups([make_group(waves)])
    queries = torch.tensor([[3, 0], [6, 1], [2, 5]])
    with torch.no_grad():
        every = model(batch)
        some = model(batch, queries)
    torch.testing.assert_close(some, torch.stack([every[i, q] for i, q in enumerate(queries)]))


def test_keys_and_values_projected_once_a_unit_equal_those_projected_for_each_spike(waves):
    model = make_model()
    batch = collate_groups([make_group(waves)])
    with torch.no_grad():
        identity = model.identity(batch.statistics_SNF, batch.functional_SNF, batch.known_unit_SN)
        attention, kind = model.encoder.read.attention, model.encoder.token_type[0]
        once = attention.project(identity + kind)[0][batch.event_unit_WE]
        each = attention.project(identity[0][batch.event_unit_WE] + kind)
    torch.testing.assert_close(once, each)


def test_events_matter_by_unit_and_by_time(waves):
    model = make_model(use_unit_tokens=False, use_population_tokens=False)
    batch = collate_groups([make_group(waves)])
    with torch.no_grad():
        plain = model(batch)
        moved = model(replace(batch, event_time_WE=batch.event_time_WE * 0.5))
        relabelled = model(replace(batch, event_unit_WE=(batch.event_unit_WE + 1) % 7))
    assert (moved - plain).abs().max() > 1e-4
    assert (relabelled - plain).abs().max() > 1e-4


def test_a_withheld_adapter_is_not_read(waves):
    model = make_model()
    batch = collate_groups([make_group(waves)])
    everywhere = torch.ones(len(batch), dtype=torch.bool)
    noisy = replace(batch, adapter_WNGM=torch.randn_like(batch.adapter_WNGM))
    with torch.no_grad():
        first = model(batch.without_adapter(everywhere))
        second = model(noisy.without_adapter(everywhere))
        assert not torch.allclose(model(batch), first)
    torch.testing.assert_close(first, second)


def test_bfloat16_stays_close_to_float32(waves):
    model = make_model()
    batch = collate_groups([make_group(waves)])
    with torch.no_grad():
        full = model(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(batch)
    assert half.dtype == torch.float32
    assert (half - full).abs().max() < 0.05


@pytest.mark.parametrize(
    "design",
    [
        "default",
        "original",
        "negative binomial",
        "categorical",
        "autoregressive",
        "coarse to fine",
        "windows identity",
        "events identity",
    ],
)
def test_one_batch_is_overfitted(design):
    """With its adapter, identity and events, a model can learn one batch by heart."""
    torch.manual_seed(0)
    recording = waving_recording(num_units=5, duration_s=90.0)
    spec = spec_of(design)
    batch = collate_groups([make_group(recording, origins=np.arange(62.0, 88.0, 4.0), spec=spec)])
    settings = DESIGNS[design] | {"num_known_units": 5}
    model = HorizonForecaster(spec=spec, width=64, **settings)
    module = ForecastModule(model, num_steps=200, adapter_dropout=0.0)
    with torch.no_grad():
        start = float(module.loss(batch))
        mean = batch.counts_WNB.mean(dim=(0, 2), keepdim=True).expand_as(batch.counts_WNB)
        by_mean = float((mean - torch.xlogy(batch.counts_WNB, mean)).mean())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = module.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert float(loss.detach()) < by_mean - 0.02
    assert float(loss.detach()) < start - 0.03


@pytest.mark.parametrize(("size", "width", "layers"), [("small", 256, (4, 2))])
def test_larger_sizes_build_and_take_a_step(size, width, layers, waves):
    model = HorizonForecaster(
        spec=SPEC, width=width, num_encoder_layers=layers[0], num_decoder_layers=layers[1]
    )
    loss = ForecastModule(model, num_steps=1).loss(collate_groups([make_group(waves)]))
    loss.backward()
    assert all(p.grad is not None for n, p in model.head.named_parameters() if "from_" in n)


def test_batches_move_whole():
    batch = collate_groups([make_group(waving_recording(num_units=3, duration_s=90.0))])
    moved = batch.to("cpu")
    assert all(
        torch.equal(getattr(batch, f.name), getattr(moved, f.name)) for f in fields(ForecastBatch)
    )


def test_forecasts_through_the_short_python_way_equal_the_long_one(waves):
    model = make_model()
    forecaster = TrainedForecaster(model)
    reference = compute_reference(waves, np.array([[5.0, 60.0]]), spec=SPEC)
    forecast = forecaster.forecast(waves, [65.0, 70.0], reference=reference)
    windows = reference.read_windows(WindowReader(waves, SPEC), [65.0, 70.0])
    counts = forecaster.expected_counts(waves, reference, windows)
    np.testing.assert_allclose(forecast.rate_hz * SPEC.bin_s, counts, rtol=1e-6)
    assert forecast.rate_hz.shape == (2, 7, 50)
    assert forecast.unit_ids.tolist() == waves.units.id.tolist()
    np.testing.assert_allclose(forecast.bin_start_s[[0, -1]], [0.0, 0.98])


def test_what_was_not_recorded_is_no_silence_to_forecast_from(waves):
    """Before the first origin there is a gap shorter than the context."""
    gap = replace(waves, domain=np.array([[0.0, 64.7], [64.9, waves.domain[0, 1]]]))
    forecaster = TrainedForecaster(make_model())
    reference = compute_reference(gap, np.array([[5.0, 60.0]]), spec=SPEC)
    with pytest.raises(DataError, match=r"origin 65 s lacks .* from 0 to 64.7 s and from 64.9"):
        forecaster.forecast(gap, [65.0, 70.0], reference=reference)
    assert forecaster.forecast(gap, [70.0], reference=reference).rate_hz.shape == (1, 7, 50)


@pytest.mark.parametrize("design", ["default", "negative binomial", "categorical"])
def test_samples_have_the_expected_counts_as_their_mean(design, waves):
    forecaster = TrainedForecaster(make_model(**DESIGNS[design]))
    reference = compute_reference(waves, np.array([[5.0, 60.0]]), spec=SPEC)
    windows = reference.read_windows(WindowReader(waves, SPEC), [65.0, 70.0])
    expected = forecaster.expected_counts(waves, reference, windows)
    first, again = (
        forecaster.sampled_counts(waves, reference, windows, num_samples=400, seed=2)
        for _ in range(2)
    )
    assert first.shape == (400, *expected.shape)
    np.testing.assert_array_equal(first, again)
    near = 5 * first.std(axis=0) / np.sqrt(400) + 5e-3
    assert np.mean(np.abs(first.mean(axis=0) - expected) < near) > 0.99
