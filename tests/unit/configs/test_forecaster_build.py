"""A decoder around a forecaster's encoder, as it is configured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from decoder_batches import POSITION
from decoding_worlds import moving_recording
from forecaster_worlds import make_forecaster
from neurohorizon.configs import decode_build, trainings
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.forecaster_build import context_spec, latents_readouts, refuse_seen
from neurohorizon.configs.load import load_any
from neurohorizon.configs.records import describe_data, write_records
from neurohorizon.configs.sessions import open_sessions
from neurohorizon.errors import ConfigError
from neurohorizon.models.checkpoint import save_forecaster
from neurohorizon.models.forecaster_decoder import ForecasterDecoder
from neurohorizon.recordings.schema import Table
from neurohorizon.recordings.store import write_recording


def configured(*overrides: str, recipe: str = "reaching-forecaster") -> DecodeConfig:
    config = load_any(recipe, overrides).config
    assert isinstance(config, DecodeConfig)
    return config


def made(config: DecodeConfig) -> ForecasterDecoder:
    model = decode_build.decoder(config, (POSITION,), num_features=0)
    assert isinstance(model, ForecasterDecoder)
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Return a folder that holds a forecaster of half a second, with dropout."""
    folder = tmp_path_factory.mktemp("run")
    forecaster = make_forecaster(dropout=0.2, identity_noise=0.5)
    save_forecaster(forecaster, folder / "model.safetensors")
    return folder


def same_encoder(model: ForecasterDecoder) -> bool:
    expected = make_forecaster(dropout=0.2, identity_noise=0.5).state_dict()
    own = model.forecaster.state_dict()
    return all(torch.equal(values, expected[name]) for name, values in own.items())


def test_a_run_brings_its_architecture_and_its_weights(run):
    with_run = (f"model.run={run}", "window.length_s=0.5")
    tuned = made(configured(*with_run))
    assert same_encoder(tuned)
    assert tuned.pretrained
    assert tuned.settings["dropout"] == 0.2
    assert tuned.forecaster.settings["identity_noise"] == 0.5
    random = made(configured(*with_run, "model.weights=random"))
    assert not same_encoder(random)
    assert not random.pretrained
    assert random.forecaster.settings == tuned.forecaster.settings
    calm = made(configured(*with_run, "model.dropout=0.1", "model.identity_noise=0.0"))
    assert same_encoder(calm)
    assert (calm.settings["dropout"], calm.forecaster.settings["identity_noise"]) == (0.1, 0.0)
    assert calm.forecaster.encoder.layers[0].feed_forward.layers[-1].p == 0.1


def test_without_a_run_the_encoder_has_the_size_that_is_asked_for():
    model = made(configured("model.size=tiny", "model.num_latents=8", "model.dropout=0.3"))
    assert model.forecaster.settings["num_latents"] == 8
    assert model.forecaster.settings["width"] == 64
    assert model.length_s == 1.0
    assert model.forecaster.settings["dropout"] == 0.3
    again = made(configured("model.size=tiny", "model.num_latents=8", "model.dropout=0.3"))
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), "weights are a function of the seed"


def test_what_is_tuned_slowly_is_what_a_run_brought(run):
    with_run = (f"model.run={run}", "window.length_s=0.5")
    shares = [
        decode_build.fit_arguments(configured(*overrides))["encoder_rate_share"]
        for overrides in (
            with_run,
            (*with_run, "model.encoder_rate_share=0.3"),
            (*with_run, "model.weights=random"),
            (),
        )
    ]
    assert shares == [0.1, 0.3, 1.0, 1.0]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("model.run=RUN", "model.size=small"), "model.size has no effect with model.run"),
        (("model.run=RUN", "model.num_latents=8"), "model.num_latents has no effect"),
        (("model.weights=random",), "model.weights has no effect without model.run"),
        (("model.encoder_rate_share=0.5",), "without the weights of model.run"),
        (
            ("model.run=RUN", "model.frozen=true", "model.encoder_rate_share=0.5"),
            "no effect with model.frozen=true",
        ),
        (("model.frozen=true", "model.identity_noise=0.5"), "with model.frozen=true"),
        (("model.num_heads=5",), "expected a divisor of model.width, 64"),
        (("training.unit_dropout={}",), "its encoder reads all units"),
        (("model.latent_step_s=0.5",), "unknown key 'model.latent_step_s'"),
    ],
)
def test_settings_without_effect_are_refused(overrides, told):
    with pytest.raises(ConfigError, match=told) as caught:
        configured(*overrides)
    assert "\n" not in str(caught.value)


def test_a_run_that_does_not_fit_is_refused_before_anything_is_read(run, tmp_path):
    with pytest.raises(ConfigError, match=r"window\.length_s is 1 s and the forecaster of"):
        trainings.check(configured(f"model.run={run}"))
    trainings.check(configured(f"model.run={run}", "window.length_s=0.5"))
    spec = context_spec(configured(f"model.run={run / 'model.safetensors'}", "window.length_s=0.5"))
    assert spec == make_forecaster().spec
    with pytest.raises(ConfigError, match=r"model\.run: .*no checkpoint there"):
        trainings.check(configured(f"model.run={tmp_path}"))
    save_forecaster(make_forecaster(use_labels=False), tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"model\.run: the forecaster does not read which unit"):
        trainings.check(configured(f"model.run={tmp_path}", "window.length_s=0.5"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Return a folder with a recording that has a maze for most of its time."""
    folder = tmp_path_factory.mktemp("recordings")
    recording = moving_recording(duration_s=200.0, name="rat")
    maze = Table(np.array([20.0, 110.0]), np.array([100.0, 190.0]))
    tables = recording.tables | {"on_maze": maze}
    write_recording(replace(recording, tables=tables), folder / "rat.h5")
    return folder


def forecaster_run(folder: Path, *overrides: str) -> Path:
    loaded = load_any("ca1-in-session", overrides)
    folder.mkdir()
    save_forecaster(make_forecaster(), folder / "model.safetensors")
    data = describe_data(open_sessions(loaded.config), folder)
    write_records(folder, loaded, data, command_line=[])
    return folder


def test_latents_are_read_out_where_a_forecaster_was_taken(run, tmp_path):
    window = "window.length_s=0.5"
    taken = latents_readouts(configured(f"model.run={run}", window))
    assert [each.name for each in taken] == ["latents, linear", "latents, linear, looking ahead"]
    assert latents_readouts(configured(f"model.run={run}", window, "model.weights=random")) == []
    assert latents_readouts(configured()) == []
    gone = configured(f"model.run={run}", window)
    gone = gone.model_copy(
        update={"model": gone.model.model_copy(update={"run": tmp_path / "gone"})}
    )
    assert latents_readouts(gone) == []


def test_a_forecaster_that_saw_what_is_tested_is_refused(recorded, tmp_path):
    files = (f"data.recordings={recorded}", "data.source=tests", "data.split.block_s=10.0")
    alike = forecaster_run(tmp_path / "alike", *files, "data.split.within=on_maze")
    other = forecaster_run(tmp_path / "other", *files)

    def decoding(run: Path) -> DecodeConfig:
        given = (*files, "window.length_s=0.5", f"model.run={run}")
        return configured(*given, recipe="ca1-position-forecaster")

    recordings = [each.recording for each in open_sessions(decoding(alike)).training]
    maze = np.array([[20.0, 100.0], [110.0, 190.0]])
    for part in ("train", "valid", "test"):
        for start, end in recordings[0].require_split().domain(part):
            assert np.any((start >= maze[:, 0]) & (end <= maze[:, 1]))
    refuse_seen(decoding(alike), recordings)
    with pytest.raises(ConfigError, match=r"was trained on \d+ s of rat that are tested here"):
        refuse_seen(decoding(other), recordings)
    # Without weights nothing was learned there; a model file without its run tells nothing.
    config = decoding(other)
    refuse_seen(
        config.model_copy(update={"model": config.model.model_copy(update={"weights": "random"})}),
        recordings,
    )
    refuse_seen(decoding(other / "model.safetensors"), recordings)
