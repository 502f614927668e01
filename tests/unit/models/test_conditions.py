"""A forecaster with conditions: what they change, and what they must not change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.models.checkpoint import load_forecaster, save_forecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.conditions import MODALITIES, ConditionSpec
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.recordings import to_recording
from neurohorizon.simulate.world import PopulationWorld
from neurohorizon.training.module import ForecastModule

CONDITIONS = ConditionSpec(behavior=("running", "velocity"), images="pictures")
SPEC = WindowSpec(conditions=CONDITIONS)
ORIGINS = (65.0, 70.0, 77.3, 81.1)
DESIGNS = {
    "layers": {},
    "every second layer": {"inject_every": 2},
    "input": {"inject": "input"},
    "input alone": {
        "inject": "input",
        "use_events": False,
        "use_unit_tokens": False,
        "use_population_tokens": True,
    },
    "bins": {"decoder": "causal_bins", "identity": "statistics"},
    "no encoder": {"num_encoder_layers": 0},
}


def simulate(seed, *, num_units, driven=True):
    session = simulate_session(
        PopulationWorld(), num_units=num_units, duration_s=90.0, seed=seed, driven=driven
    )
    return to_recording(session, id=f"session{seed}", subject="a")


@pytest.fixture(scope="module")
def driven():
    return simulate(1, num_units=7)


def make_group(recording, *, spec=SPEC, origins=ORIGINS) -> WindowGroup:
    reference = compute_reference(recording, np.array([[5.0, 60.0]]), spec=spec)
    windows = reference.read_windows(WindowReader(recording, spec), origins)
    return WindowGroup(reference, windows, np.zeros(recording.num_units, dtype=np.int64))


@pytest.fixture(scope="module")
def group(driven):
    return make_group(driven)


@pytest.fixture(scope="module")
def batch(group):
    return collate_groups([group])


@pytest.fixture(scope="module")
def three_groups(group):
    """Sessions with both conditions, with the velocity alone, and with neither."""
    plain = simulate(2, num_units=13, driven=False)
    bare = replace(plain, series={}, tables={})
    return [group, make_group(plain), make_group(bare)]


@pytest.fixture(scope="module")
def two_futures(driven):
    changed = change_the_future(driven, 65.0)
    return [make_group(each, origins=(65.0,)) for each in (driven, changed)]


def make_model(spec=SPEC, **settings) -> HorizonForecaster:
    torch.manual_seed(0)
    model = HorizonForecaster(
        spec=spec,
        width=32,
        num_heads=2,
        num_latents=8,
        behavior_columns=(1, 2),
        picture_dimensions=32,
        **settings,
    ).eval()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("design", DESIGNS)
def test_an_untrained_model_forecasts_the_reference_rate(design, group):
    model = HorizonForecaster(
        spec=SPEC, behavior_columns=(1, 2), picture_dimensions=32, **DESIGNS[design]
    ).eval()
    with torch.no_grad():
        forecast = model.expected_counts(collate_groups([group])).numpy()
    expected = (group.reference.rate_hz * SPEC.bin_s)[None, :, None]
    np.testing.assert_allclose(forecast, np.broadcast_to(expected, forecast.shape), rtol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_each_condition_is_read(design, modality, batch):
    model = make_model(**DESIGNS[design])
    without = batch.without(modality, torch.ones(len(batch), dtype=torch.bool))
    with torch.no_grad():
        assert (model(batch) - model(without)).abs().max() > 1e-4


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_what_is_missing_is_without_effect(design, modality, batch):
    """Whatever stands where a condition is missing: nothing of it is read."""
    model = make_model(**DESIGNS[design])
    other = replace(
        batch,
        behavior_WROF=torch.randn_like(batch.behavior_WROF),
        picture_WID=torch.randn_like(batch.picture_WID),
        picture_time_WI=torch.randn_like(batch.picture_time_WI),
        tuning_WNGC=torch.randn_like(batch.tuning_WNGC),
        tuning_skill_SNC=torch.rand_like(batch.tuning_skill_SNC),
    )
    missing = torch.tensor([True, False, True, False])
    one, two = batch.without(modality, missing), other.without(modality, missing)
    for each in MODALITIES:
        if each != modality:
            gone = torch.ones(4, dtype=torch.bool)
            one, two = one.without(each, gone), two.without(each, gone)
    with torch.no_grad():
        first, second = model(one), model(two)
    torch.testing.assert_close(first[missing], second[missing], rtol=0, atol=0)
    assert (first - second)[~missing].abs().max() > 1e-4


@pytest.mark.parametrize("design", DESIGNS)
def test_sessions_with_and_without_conditions_share_a_batch(design, three_groups):
    model = make_model(**DESIGNS[design])
    with torch.no_grad():
        together = model(collate_groups(three_groups))
        for place, group in enumerate(three_groups):
            alone = model(collate_groups([group]))
            rows = slice(4 * place, 4 * place + 4)
            torch.testing.assert_close(
                together[rows, : group.windows.num_units], alone, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("design", ["layers", "input"])
def test_units_in_another_order_get_the_same_forecasts_in_that_order(design, driven, batch):
    model, order = make_model(**DESIGNS[design]), np.random.default_rng(1).permutation(7)
    with torch.no_grad():
        forecast = model(batch)
        permuted = model(collate_groups([make_group(driven.select_units(order))]))
    torch.testing.assert_close(permuted, forecast[:, order], rtol=1e-3, atol=1e-4)


def change_the_future(recording, origin_s):
    """Redraw all that follows an origin: spikes, behaviour, pictures and their times."""
    other = simulate(9, num_units=7)
    past, future = recording.spike_times < origin_s, other.spike_times >= origin_s
    series = {
        name: replace(
            values, values=np.where(values.timestamps[:, None] < origin_s, values.values, 1e6)
        )
        for name, values in recording.series.items()
    }
    mine, theirs = recording.embeddings["pictures"], other.embeddings["pictures"]
    before, after = mine.start < origin_s, theirs.start >= origin_s
    shown = replace(
        mine,
        **{
            name: np.concatenate([getattr(mine, name)[before], getattr(theirs, name)[after]])
            for name in ("start", "end", "row")
        },
    )
    return replace(
        recording,
        spike_times=np.concatenate([recording.spike_times[past], other.spike_times[future]]),
        spike_unit_index=np.concatenate(
            [recording.spike_unit_index[past], other.spike_unit_index[future]]
        ),
        series=series,
        embeddings={"pictures": shown},
    )


@pytest.mark.parametrize("design", DESIGNS)
def test_the_future_changes_no_forecast(design, two_futures):
    model, (first, second) = make_model(**DESIGNS[design]), two_futures
    assert not np.array_equal(first.windows.counts, second.windows.counts)
    with torch.no_grad():
        forecasts = [model(collate_groups([group])) for group in (first, second)]
    torch.testing.assert_close(forecasts[0], forecasts[1], rtol=0, atol=0)


def test_under_a_known_schedule_only_pictures_reach_back(driven):
    spec = WindowSpec(conditions=replace(CONDITIONS, known_schedule=True))
    model = make_model(spec)
    changed = change_the_future(driven, 65.0)
    same_pictures = replace(changed, embeddings=driven.embeddings)
    with torch.no_grad():
        plain, same, other = (
            model(collate_groups([make_group(each, spec=spec, origins=(65.0,))]))
            for each in (driven, same_pictures, changed)
        )
    torch.testing.assert_close(plain, same, rtol=0, atol=0)
    assert (plain - other).abs().max() > 1e-4


def test_tuning_can_be_left_out(batch):
    model = make_model(use_tuning=False, num_encoder_layers=0)
    with torch.no_grad():
        torch.testing.assert_close(
            model(batch), model(replace(batch, tuning_WNGC=batch.tuning_WNGC + 1.0))
        )


def test_checkpoints_keep_conditions_and_the_scale_of_pictures(driven, tmp_path):
    spec = WindowSpec(conditions=replace(CONDITIONS, known_schedule=True, step_s=0.2))
    model = make_model(spec)
    vectors = driven.embeddings["pictures"].vectors
    model.set_pictures(vectors.mean(axis=0), float(vectors.std()))
    path = tmp_path / "model.safetensors"
    save_forecaster(model, path, known_units={})
    again, _ = load_forecaster(path)
    assert again.spec == spec
    batch = collate_groups([make_group(driven, spec=spec)])
    with torch.no_grad():
        torch.testing.assert_close(again(batch), model(batch), rtol=0, atol=0)


def test_dropping_conditions_in_training_is_a_function_of_the_seed(batch):
    module = ForecastModule(make_model(), num_steps=3, condition_dropout=0.5)
    module.log = lambda *args, **kwargs: None
    losses = []
    for seed in (1, 1, 2, 3):
        torch.manual_seed(seed)
        losses.append(float(module.training_step(batch, 0).detach()))
    assert losses[0] == losses[1]
    assert len(set(losses)) > 1
