"""Scheduled sampling: how the share of true counts falls, and what takes their place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.module import ForecastModule
from neurohorizon.training.teacher_forcing import TeacherForcing, mix_counts
from worlds import waving_recording

SPEC = WindowSpec(horizon_s=0.5)
FALLING = ["linear", "exponential", "inverse_sigmoid"]


@pytest.fixture(scope="module")
def batch() -> ForecastBatch:
    recording = waving_recording(num_units=6, duration_s=90.0)
    reference = compute_reference(recording, np.array([[5.0, 60.0]]), spec=SPEC)
    origins = np.arange(62.0, 88.0, 2.0)
    windows = reference.read_windows(WindowReader(recording, SPEC), origins)
    return collate_groups([WindowGroup(reference, windows, np.zeros(6, dtype=np.int64))])


def make_model(**settings) -> HorizonForecaster:
    torch.manual_seed(0)
    settings = {"decoder": "autoregressive", "width": 32, "num_heads": 2} | settings
    model = HorizonForecaster(spec=SPEC, num_latents=8, **settings)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("schedule", FALLING)
def test_the_share_falls_from_1_after_the_warm_up_to_the_floor(schedule):
    forcing = TeacherForcing(schedule=schedule, warmup_share=0.2, floor=0.1)
    shares = np.array([forcing.share(progress) for progress in np.linspace(0, 1, 101)])
    assert (shares[:21] == 1).all()
    assert (np.diff(shares[20:]) < 0).all()
    assert shares[-1] == pytest.approx(0.1)
    assert forcing.share(1.5) == pytest.approx(0.1), "a cycle that was cut short goes no further"


def test_schedules_are_the_curves_that_they_are_named_after():
    halfway = {name: TeacherForcing(name, 0.0, 0.1).share(0.5) for name in FALLING}
    assert halfway["linear"] == pytest.approx(0.55)
    assert halfway["exponential"] == pytest.approx(np.sqrt(0.1))
    assert halfway["inverse_sigmoid"] == pytest.approx(0.55)
    early, late = (
        {name: TeacherForcing(name, 0.0, 0.1).share(u) for name in FALLING} for u in (0.2, 0.8)
    )
    assert early["exponential"] < early["linear"] < early["inverse_sigmoid"]
    assert late["inverse_sigmoid"] < late["linear"]


def test_a_constant_share_is_teacher_forcing_throughout():
    assert {TeacherForcing("constant").share(p) for p in (0.0, 0.5, 1.0)} == {1.0}


@pytest.mark.parametrize("feedback", ["expected", "sampled"])
def test_a_bin_is_true_or_the_model_s_own_for_all_units(batch, feedback):
    model = make_model(feedback=feedback)
    # No whole numbers, so that a true count is told from any other.
    counts = batch.counts_WNB + 0.25
    with torch.no_grad():
        given = model.read(batch)
        direct = model.decoder.direct(given)
        mixed = mix_counts(model.decoder, given, direct, counts, share=0.6)
    is_true = mixed == counts
    assert (is_true == is_true[:, :1]).all()
    assert float(is_true.float().mean()) == pytest.approx(0.6, abs=0.1)
    assert is_true[:, 0].float().mean(dim=0).std() > 0, "windows differ in which bins are true"
    own = mixed[~is_true]
    assert (own >= 0).all()
    assert bool((own == own.round()).all()) == (feedback == "sampled")


def test_withheld_counts_leave_no_trace_in_what_takes_their_place(batch):
    """Counts of the bins that were not chosen are redrawn: the second pass is told the same."""
    model = make_model()
    other = torch.poisson(torch.ones_like(batch.counts_WNB))
    told = []
    with torch.no_grad():
        given = model.read(batch)
        direct = model.decoder.direct(given)
        torch.manual_seed(1)
        chosen = torch.rand_like(batch.counts_WNB[:, :1]) < 0.4
        for counts in (batch.counts_WNB, torch.where(chosen, batch.counts_WNB, other)):
            torch.manual_seed(1)
            told.append(mix_counts(model.decoder, given, direct, counts, share=0.4))
    assert torch.equal(told[0], told[1])


def test_full_teacher_forcing_is_the_exact_log_likelihood(batch):
    model = make_model()
    forcing = TeacherForcing("constant")
    module = ForecastModule(model, num_steps=10, queries_per_window=100, teacher_forcing=forcing)
    with torch.no_grad():
        parameters = model(batch, counts_WNB=batch.counts_WNB)
        exact = -model.likelihood.log_prob(parameters, batch.counts_WNB).mean()
        direct, forced = module._forecasts(batch, None)
        torch.testing.assert_close(forced, parameters)
        straight = -model.likelihood.log_prob(direct, batch.counts_WNB).mean()
        both = 0.5 * float(exact + straight)
        assert float(module.loss(batch)) == pytest.approx(both, rel=1e-5)


def test_a_loss_on_few_units_is_told_the_counts_of_all(batch, monkeypatch):
    """With one unit a window in the loss, another unit's counts still change it."""
    module = ForecastModule(
        make_model(),
        num_steps=10,
        queries_per_window=1,
        teacher_forcing=TeacherForcing("constant"),
    )
    first = torch.zeros(len(batch), 1, dtype=torch.long)
    monkeypatch.setattr("neurohorizon.training.module.draw_queries", lambda *_: first)
    counts = batch.counts_WNB.clone()
    counts[:, 3] += 2.0
    with torch.no_grad():
        before, after = (module.loss(each) for each in (batch, replace(batch, counts_WNB=counts)))
    assert abs(float(after - before)) > 1e-5


def test_gradients_reach_all_of_the_decoder_in_scheduled_sampling(batch, monkeypatch):
    model = make_model()
    module = ForecastModule(model, num_steps=10)
    monkeypatch.setattr(TeacherForcing, "share", lambda *_: 0.5)
    module.loss(batch).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.decoder.parameters())


def test_other_decoders_are_told_nothing(batch):
    model = make_model(decoder="coarse_to_fine").eval()
    with torch.no_grad():
        plain = model(batch)
        told = model(batch, counts_WNB=batch.counts_WNB)
    assert torch.equal(plain, told)
