"""The schema: cross-checks between settings, and agreement with what it configures."""

import dataclasses
import inspect
from typing import get_args

import pytest
from pydantic import ValidationError

from neurohorizon.configs.conditions_schema import ConditionsConfig
from neurohorizon.configs.load import load_config
from neurohorizon.configs.model_schema import SIZES, ModelConfig
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.configs.training_schema import LoopConfig, TrainingConfig
from neurohorizon.errors import ConfigError
from neurohorizon.models.encoder import Injection
from neurohorizon.recordings.conditions import ConditionSpec


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config("default", overrides)
    return str(caught.value)


def test_words_are_those_of_the_model():
    from neurohorizon.models.horizon import DecoderMode, HorizonForecaster
    from neurohorizon.nn.identity import IdentityMode

    fields = ModelConfig.model_fields
    assert set(get_args(fields["identity"].annotation)) == set(get_args(IdentityMode))
    assert set(get_args(fields["decoder"].annotation)) == set(get_args(DecoderMode))
    arguments = set(inspect.signature(HorizonForecaster.__init__).parameters)
    # Recordings tell these.
    arguments -= {"self", "spec", "num_known_units", "behavior_columns", "picture_dimensions"}
    arguments -= {"cosmoothing", "num_offsets"}
    drawn = {"identity_windows", "identity_window_s", "identity_spikes"}
    assert set(fields) - {"name", "size"} - drawn == arguments - {
        "inject",
        "inject_every",
        "use_tuning",
    }


def test_an_identity_says_what_it_reads_of_a_reference():
    assert not load_config("default", []).config.window_spec().samples
    read = {
        mode: load_config("default", [f"model.identity={mode}"]).config.window_spec().samples
        for mode in ("windows", "events")
    }
    assert (read["windows"].num_windows, read["windows"].num_spikes) == (60, 0)
    assert (read["events"].num_windows, read["events"].num_spikes) == (0, 128)
    for key in ("identity_windows=30", "identity_window_s=0.5", "identity_spikes=64"):
        message = refused(f"model.{key}")
        assert "has no effect with model.identity=functional" in message
    message = refused("model.identity=windows", "model.identity_window_s=0.33")
    assert "identity_window_s" in message
    assert "0.32 or 0.34" in message


def test_all_that_conditions_take_can_be_configured():
    settings = {each.name for each in dataclasses.fields(ConditionSpec)}
    assert settings < set(ConditionsConfig.model_fields)
    inject = ConditionsConfig.model_fields["inject"].annotation
    assert set(get_args(inject)) == set(get_args(Injection))


def test_all_that_training_takes_can_be_configured():
    from neurohorizon.training.data import ForecastData
    from neurohorizon.training.fit import fit_forecaster
    from neurohorizon.training.loop import LoopSettings

    arguments = set(inspect.signature(ForecastData.__init__).parameters)
    arguments -= {"self", "recordings", "spec", "seed", "progress"}
    arguments -= {"num_references", "shortest_reference_s", "longest_reference_s"}
    # The model's settings tell whether labels are shuffled.
    arguments -= {"valid_reference_s", "shuffle_labels"}
    assert arguments <= set(TrainingConfig.model_fields)
    arguments = set(inspect.signature(fit_forecaster).parameters)
    arguments -= {"model", "data", "run_folder", "resume", "on_epoch", "on_step", "settings"}
    arguments -= {"horizons_s", "stop_after_epochs", "condition_dropout"}
    assert arguments <= set(TrainingConfig.model_fields)
    arguments = {each.name for each in dataclasses.fields(LoopSettings)} - {"seed"}
    assert arguments <= set(LoopConfig.model_fields)


def test_sizes_grow_and_their_heads_divide_them():
    widths = [size["width"] for size in SIZES.values()]
    assert widths == sorted(widths)
    for size in SIZES:
        assert ModelConfig(size=size).model_dump().items() >= SIZES[size].items()


def test_nothing_changes_after_the_check():
    config = ForecastConfig()
    with pytest.raises(ValidationError):
        config.model.width = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["window.horizon_s=0.25"], "window.horizon_s: a horizon of 0.25 s is no whole number"),
        (["window.horizon_s=0.25"], "choose 0.24 or 0.26 s"),
        (["window.bin_s=0.00001"], "window.bin_s: expected at least 0.001"),
        (["evaluation.left_out_qualities=[mua]"], "did you mean data.left_out_qualities?"),
        (["data.left_out_qualities=[mua]"], "it belongs to data.name=files"),
        (["evaluation.horizons_s=[0.1, 0.25]"], "evaluation.horizons_s: a horizon of 0.25 s"),
        (["evaluation.horizons_s=[0.5, 0.1]"], "expected rising horizons up to window.horizon_s"),
        (["window.horizon_s=0.5"], "expected rising horizons up to window.horizon_s, 0.5 s"),
        (["model.num_heads=5"], "does not divide model.width 64: choose 4 or 8"),
        (["model.num_heads=3"], "choose 2 or 4"),
        (["model.num_encoder_layers=0", "model.decoder=causal_bins"], "use unit_queries"),
        (["model.num_encoder_layers=0", "model.decoder=autoregressive"], "use unit_queries"),
        (
            ["model.decoder=coarse_to_fine", "window.bin_s=0.1", "evaluation.horizons_s=[0.1]"],
            "nothing to divide",
        ),
        (["reference.shortest_s=50", "reference.longest_s=40"], "at least reference.shortest_s"),
        (["window.context_s=20"], "reference.shortest_s is 20 s: expected at least 22 s"),
        (["evaluation.reference_s=5"], "evaluation.reference_s: expected at least 10"),
        (["training.accumulate_batches=7"], "expected a divisor of the 100 batches of an epoch"),
        (["training.save_every_steps=100"], "beside the point at the end of each epoch"),
        (
            ["training.strategy=fsdp", "training.ema_decay=0.9"],
            "set training.ema_decay=0 or training.strategy=ddp",
        ),
        (["training.strategy=deepspeed"], "expected 'auto', 'ddp' or 'fsdp'"),
        (["model.identity=learned", "model.standardise=false"], "model.standardise has no effect"),
        (["model.causal=false"], "model.causal has no effect with model.decoder=unit_queries"),
        (["model.use_events=false", "model.use_labels=false"], "model.use_labels has no effect"),
        (
            ["training.objective=squared_error", "model.likelihood=negative_binomial"],
            "use poisson",
        ),
        (
            ["training.cosmoothing_share=0.3", "model.use_labels=false"],
            "set training.cosmoothing_share=0",
        ),
        (["conditions.images=x", "conditions.delay_s=0.1"], "without conditions.behavior"),
        (
            ["data.name=files", "data.recordings=x"],
            "evaluation.observer knows simulated worlds only",
        ),
    ],
)
def test_settings_that_do_not_fit_each_other(overrides, words):
    assert words in refused(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.num_encoder_layers=0", "model.use_events=false"],
        ["model.num_encoder_layers=0", "model.num_latents=8"],
        ["model.decoder=causal_bins", "model.num_basis=8"],
        ["model.feedback=sampled"],
        ["model.decoder=autoregressive", "model.num_paths=8"],
        ["training.teacher_forcing.floor=0.2"],
        [
            "model.decoder=autoregressive",
            "training.teacher_forcing.schedule=constant",
            "training.teacher_forcing.floor=0.2",
        ],
        ["model.identity=random", "model.identity_noise=0.1"],
        ["model.use_adapter=false", "training.adapter_dropout=0.3"],
        ["training.max_epochs=5", "training.patience=5"],
    ],
)
def test_a_setting_without_effect_is_refused(overrides):
    message = refused(*overrides)
    assert "has no effect" in message
    assert "leave it out" in message


def test_an_encoder_that_reads_nothing_is_refused():
    tokens = ("use_events", "use_unit_tokens", "use_population_tokens")
    message = refused(*(f"model.{token}=false" for token in tokens))
    assert "reads nothing" in message


def test_every_key_says_what_it_means():
    definitions = ForecastConfig.model_json_schema()["$defs"]
    for name, section in definitions.items():
        assert section["additionalProperties"] is False
        for key, field in section["properties"].items():
            assert key in ("name", "by") or field.get("description"), f"{name}.{key}"


def test_conditions_without_effect_are_refused():
    assert "conditions.dropout has no effect without" in refused("conditions.dropout=0.3")
    named = "conditions.behavior=[velocity]"
    assert "conditions.inject_every has no effect with conditions.inject=input" in refused(
        named, "conditions.inject=input", "conditions.inject_every=2"
    )
    assert "expected at most the 2 layers" in refused(named, "conditions.inject_every=3")
    assert "no whole number of slots" in refused(named, "conditions.step_s=0.3")
    assert "needs images" in refused(named, "conditions.known_schedule=true")
    assert "without an encoder" in refused(
        named, "conditions.inject=input", "model.num_encoder_layers=0"
    )


def test_a_driven_world_has_no_observer_yet():
    assert "set evaluation.observer=null" in refused("data.driven=true", "evaluation.observer={}")
