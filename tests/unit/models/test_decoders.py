"""Decoders: what may be fed back when, that fast ways equal slow ones, and what adds up."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from neurohorizon.models.autoregressive import Autoregressive
from neurohorizon.models.checkpoint import load_forecaster, save_forecaster
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.nn.heads import FeedbackHead
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec()
NUM_UNITS = 7
LIKELIHOODS = ["poisson", "negative_binomial", "categorical"]


def make_group(recording, origins=(65.0, 70.0, 77.3)) -> WindowGroup:
    reference = compute_reference(recording, np.array([[5.0, 60.0]]), spec=SPEC)
    windows = reference.read_windows(WindowReader(recording, SPEC), origins)
    return WindowGroup(reference, windows, np.zeros(recording.num_units, dtype=np.int64))


def make_model(spec=SPEC, **settings) -> HorizonForecaster:
    """A model whose last layers are not zero: what is fed back changes much."""
    torch.manual_seed(0)
    settings = {"decoder": "autoregressive", "width": 32, "num_heads": 2} | settings
    model = HorizonForecaster(spec=spec, num_latents=8, **settings).eval()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture(scope="module")
def waves():
    return waving_recording(num_units=NUM_UNITS, duration_s=90.0)


@pytest.fixture(scope="module")
def batch(waves) -> ForecastBatch:
    return collate_groups([make_group(waves)])


def other_counts(batch: ForecastBatch) -> torch.Tensor:
    return torch.poisson(torch.full_like(batch.counts_WNB, 0.4), torch.Generator().manual_seed(1))


@pytest.mark.parametrize("settings", [{}, {"num_decoder_layers": 2}, {"likelihood": "categorical"}])
def test_a_roll_out_with_its_cache_equals_all_bins_in_one_pass(batch, settings):
    """Bin after bin, with keys and values kept, against teacher forcing on the same counts."""
    model = make_model(**settings)
    with torch.no_grad():
        given = model.read(batch)
        for paths in (None, 3):
            generator = torch.Generator().manual_seed(0)
            told = model.decoder.roll_out(given, num_paths=paths, generator=generator)
            for parameters, counts in zip(told.parameters_RWNBP, told.counts_RWNB, strict=True):
                at_once = model(batch, counts_WNB=counts)
                torch.testing.assert_close(parameters, at_once, rtol=0, atol=1e-5)


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
def test_expected_counts_fed_back_confirm_the_direct_forecast(batch, likelihood):
    """Nothing surprises: a roll-out cannot drift away from what was forecast at once."""
    model = make_model(likelihood=likelihood)
    with torch.no_grad():
        given = model.read(batch)
        direct = model.decoder.direct(given).parameters(given)
        torch.testing.assert_close(model(batch), direct, rtol=0, atol=1e-5)


def test_a_roll_out_with_its_cache_equals_one_without(batch):
    """The slow way: the whole horizon again for each bin, of which one bin is kept."""
    model = make_model()
    with torch.no_grad():
        counts, slow = torch.zeros_like(batch.counts_WNB), []
        for index in range(SPEC.num_bins):
            slow.append(model(batch, counts_WNB=counts)[:, :, index])
            counts[:, :, index] = model.likelihood.mean(slow[-1])
        torch.testing.assert_close(model(batch), torch.stack(slow, dim=2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_count_reaches_later_bins_of_all_units_and_no_earlier_one(batch, likelihood):
    model = make_model(likelihood=likelihood)
    changed = batch.counts_WNB.clone()
    changed[:, 2, 20] += 3.0
    with torch.no_grad():
        before, after = (model(batch, counts_WNB=counts) for counts in (batch.counts_WNB, changed))
    moved = (after - before).abs().amax(dim=(0, 3))
    assert moved[:, :21].max() == 0.0
    assert (moved[:, 21] > 1e-5).all(), "the population's next bin, through its token"
    assert (moved[:, 45:] > 1e-7).any(), "and far ones, through attention and traces"
    assert moved[2, 21] > 3 * np.median(moved[:, 21]), "most of all its own"


def test_every_bin_of_the_past_counts_as_its_trace_says():
    """The kernel of the one-pass traces is the impulse response of the step-by-step ones."""
    decoder = make_model().decoder
    trace, impulse = torch.zeros(4), torch.zeros(4, SPEC.num_bins)
    for index in range(1, SPEC.num_bins):
        trace = decoder.decay_K * trace + (1 - decoder.decay_K) * float(index == 1)
        impulse[:, index] = trace
    torch.testing.assert_close(decoder.kernel_KBB[:, :, 0], impulse)
    assert torch.triu(decoder.kernel_KBB).abs().max() == 0.0


def test_forecasts_never_read_what_followed(waves, batch):
    """The counts of the horizon are in the batch; only teacher forcing may look."""
    spoiled = replace(batch, counts_WNB=other_counts(batch))
    for feedback in ("expected", "sampled"):
        model = make_model(feedback=feedback, num_paths=4)
        with torch.no_grad():
            assert torch.equal(model.expected_counts(batch), model.expected_counts(spoiled))
            assert torch.equal(model(batch), model(spoiled))
    forecaster, group = TrainedForecaster(make_model()), make_group(waves)
    read = (waves, group.reference, group.windows)
    told, _ = forecaster.expected_counts_and_log_prob(*read)
    np.testing.assert_array_equal(told, forecaster.expected_counts(*read))
    forced, _ = forecaster.teacher_forced_counts_and_log_prob(*read)
    assert np.abs(forced - told).max() > 1e-3


def test_padding_and_queries_change_no_teacher_forced_forecast(waves, batch):
    model = make_model()
    large = make_group(poisson_recording(num_units=19, duration_s=90.0, rate_hz=9.0))
    padded = collate_groups([large, make_group(waves)])
    queries = torch.tensor([[3, 0], [6, 1], [2, 5]])
    with torch.no_grad():
        alone = model(batch, counts_WNB=batch.counts_WNB)
        # Whatever stands where there is no unit.
        counts = padded.counts_WNB + 9.0 * ~padded.unit_mask_WN.unsqueeze(-1)
        beside = model(padded, counts_WNB=counts)[3:, :NUM_UNITS]
        some = model(batch, queries, counts_WNB=batch.counts_WNB)
    torch.testing.assert_close(beside, alone, rtol=1e-4, atol=1e-5)
    expected = torch.stack([alone[i, q] for i, q in enumerate(queries)])
    torch.testing.assert_close(some, expected, rtol=1e-5, atol=1e-5)


def test_units_in_another_order_are_teacher_forced_alike(waves, batch):
    model, order = make_model(), np.random.default_rng(1).permutation(NUM_UNITS)
    permuted = collate_groups([make_group(waves.select_units(order))])
    with torch.no_grad():
        here = model(batch, counts_WNB=batch.counts_WNB)
        there = model(permuted, counts_WNB=permuted.counts_WNB)
    torch.testing.assert_close(there, here[:, order], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("feedback", ["expected", "sampled"])
def test_an_untrained_model_forecasts_the_reference_rate_whatever_is_fed_back(batch, feedback):
    torch.manual_seed(0)
    model = HorizonForecaster(
        spec=SPEC, decoder="autoregressive", feedback=feedback, num_paths=3
    ).eval()
    rate = (batch.rate_SN[batch.reference_W] * SPEC.bin_s).unsqueeze(-1)
    with torch.no_grad():
        for told in (
            model.expected_counts(batch),
            model.likelihood.mean(model(batch, counts_WNB=other_counts(batch))),
        ):
            torch.testing.assert_close(told, rate.expand_as(told), rtol=1e-6, atol=0)


def test_the_mean_of_sampled_paths_is_the_forecast_with_sampled_feedback(waves):
    """Two estimates of one number; and the forecast is the same each time it is made."""
    forecaster = TrainedForecaster(make_model(feedback="sampled", num_paths=64))
    group = make_group(waves, origins=(65.0, 70.0))
    read = (waves, group.reference, group.windows)
    expected = forecaster.expected_counts(*read)
    np.testing.assert_array_equal(expected, forecaster.expected_counts(*read))
    drawn = forecaster.sampled_counts(*read, num_samples=600, seed=2)
    near = 5 * drawn.std(axis=0) * np.sqrt(1 / 600 + 1 / 64) + 5e-3
    assert np.mean(np.abs(drawn.mean(axis=0) - expected) < near) > 0.99


def test_sampled_paths_depend_across_bins_and_units(waves):
    """Counts feed later ones: a population that excites itself varies more than Poisson."""
    model = make_model()
    with torch.no_grad():
        # Every unit follows its own recent counts, whoever it is.
        model.decoder.correction.to_history.bias += 0.8
    forecaster, group = TrainedForecaster(model), make_group(waves, origins=(65.0, 70.0))
    read = (waves, group.reference, group.windows)
    ends = [1, 5, SPEC.num_bins]
    totals = forecaster.sampled_totals(*read, ends=ends, num_samples=300)
    drawn = forecaster.sampled_counts(*read, num_samples=300)
    np.testing.assert_array_equal(totals, drawn.cumsum(axis=-1)[..., [end - 1 for end in ends]])
    variance, mean = totals.var(axis=0), totals.mean(axis=0)
    assert (variance / mean)[..., 0].mean() == pytest.approx(1.0, abs=0.1)
    assert (variance / mean)[..., 2].mean() > 1.3


def test_the_teacher_forced_log_probability_is_that_of_the_counts_together():
    """All counts of two bins are enumerated: as a chain, they add up to 1; marginals follow."""
    spec = WindowSpec(horizon_s=0.04)
    recording = poisson_recording(num_units=2, duration_s=90.0, rate_hz=12.0)
    reference = compute_reference(recording, np.array([[5.0, 60.0]]), spec=spec)
    windows = reference.read_windows(WindowReader(recording, spec), [65.0])
    batch = collate_groups([WindowGroup(reference, windows, np.zeros(2, dtype=np.int64))])
    # So short a horizon has no functional identity.
    model = make_model(spec, identity="statistics", feedback="sampled", num_paths=4000)
    most = 6
    every = torch.cartesian_prod(*[torch.arange(most, dtype=torch.float32)] * 4)
    with torch.no_grad():
        given = model.read(batch)
        # The same window again and again, each time with other counts.
        many = {
            field.name: value.expand(len(every), *value.shape[1:])
            for field in fields(given)
            if (value := getattr(given, field.name)) is not None
        }
        counts = every.reshape(-1, 2, 2)
        parameters = model.decoder(replace(given, **many), counts)
        log_prob = model.likelihood.log_prob(parameters, counts).sum(dim=(1, 2))
        prob = log_prob.exp().reshape(most, most, most, most)
        assert float(prob.sum()) == pytest.approx(1.0, abs=1e-3)
        # Axes: first unit's two bins, second unit's two bins. The mean of the second bin is that
        # of the sampled forecast.
        second = prob.sum(dim=(0, 2, 3)) @ torch.arange(most, dtype=torch.float32)
        expected = model.expected_counts(batch)[0, 0, 1]
    assert float(second) == pytest.approx(float(expected), rel=0.01)


def test_the_own_log_probability_of_sampled_feedback_is_that_of_the_mixture(waves):
    model = make_model(feedback="sampled", num_paths=8)
    group = make_group(waves)
    _, log_prob = TrainedForecaster(model).expected_counts_and_log_prob(
        waves, group.reference, group.windows
    )
    batch = collate_groups([group])
    with torch.no_grad():
        (parameters,) = model.components(batch)
        prob = model.likelihood.log_prob(parameters, batch.counts_WNB).exp().mean(dim=0)
    np.testing.assert_allclose(np.exp(log_prob), prob.numpy(), rtol=1e-4)


def test_what_is_fed_back_can_change_a_rate_only_so_far():
    head = FeedbackHead(width=8, num_own=2, limit=3.0)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=5.0)
    bins, unsurprised = torch.randn(2, 2, 5, 8)
    loadings = head.loadings(torch.randn(2, 3, 8))
    change = head(loadings, bins, unsurprised, torch.ones(2, 3, 5, 2))
    assert head(loadings, bins, bins, torch.zeros(2, 3, 5, 2)).abs().max() == 0.0
    assert change.shape == (2, 3, 5, 1)
    assert change.abs().max() <= 3.0


@pytest.mark.parametrize("decoder", ["autoregressive", "coarse_to_fine"])
def test_a_decoder_comes_back_from_its_checkpoint(batch, tmp_path, decoder):
    model = make_model(decoder=decoder)
    save_forecaster(model, tmp_path / "model.safetensors")
    again, _ = load_forecaster(tmp_path)
    assert isinstance(again.decoder, type(model.decoder))
    with torch.no_grad():
        assert torch.equal(model(batch), again(batch))


def test_settings_of_the_feedback_come_back_from_a_checkpoint(tmp_path):
    save_forecaster(make_model(feedback="sampled", num_paths=5), tmp_path / "model.safetensors")
    decoder = load_forecaster(tmp_path)[0].decoder
    assert isinstance(decoder, Autoregressive)
    assert (decoder.feedback, decoder.num_paths) == ("sampled", 5)


@pytest.mark.parametrize(("horizon_s", "bin_s"), [(1.0, 0.02), (0.26, 0.02), (0.24, 0.03)])
def test_fine_forecasts_of_coarse_to_fine_add_up_to_the_coarse_ones(waves, horizon_s, bin_s):
    """Moving the division moves no block's sum; moving a block moves all its bins alike."""
    spec = WindowSpec(horizon_s=horizon_s, bin_s=bin_s)
    reference = compute_reference(waves, np.array([[5.0, 60.0]]), spec=spec)
    windows = reference.read_windows(WindowReader(waves, spec), [65.0, 70.0])
    batch = collate_groups([WindowGroup(reference, windows, np.zeros(NUM_UNITS, dtype=np.int64))])
    model = make_model(spec, decoder="coarse_to_fine")
    size = spec.bins_per_block

    def sums(values):
        return torch.stack([part.sum(dim=-1) for part in values.split(size, dim=-1)], dim=-1)

    with torch.no_grad():
        before = model.expected_counts(batch)
        torch.nn.init.normal_(model.decoder.division.from_hidden.weight, std=0.3)
        after = model.expected_counts(batch)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(sums(after), sums(before), rtol=1e-5, atol=1e-6)
