"""Checkpoints carry everything, and nothing that can run."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from neurohorizon import __version__
from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.checkpoint import load_forecaster, save_forecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.reference_samples import SampleSpec
from neurohorizon.recordings.window_spec import WindowSpec


def make_model() -> HorizonForecaster:
    torch.manual_seed(3)
    model = HorizonForecaster(
        spec=WindowSpec(context_s=0.4, horizon_s=0.5),
        width=32,
        identity="learned",
        num_known_units=4,
    )
    model.identity.standardise_statistics.set(
        log=np.arange(33) % 2 == 0, mean=np.arange(33.0), scale=np.full(33, 2.0)
    )
    return model


def test_a_checkpoint_gives_back_weights_settings_and_standardisation(tmp_path):
    model = make_model()
    save_forecaster(model, tmp_path / "model.safetensors", known_units={"a/unit_0000": 1})
    loaded, known = load_forecaster(tmp_path)
    assert loaded.settings == model.settings
    assert loaded.spec == model.spec
    assert known == {"a/unit_0000": 1}
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)
    assert loaded.identity.standardise_statistics.mean[5] == 5.0


@pytest.mark.parametrize(
    ("identity", "samples"),
    [("windows", SampleSpec(num_windows=9, window_s=0.5)), ("events", SampleSpec(num_spikes=32))],
)
def test_a_checkpoint_knows_what_its_identity_reads(identity, samples, tmp_path):
    spec = WindowSpec(samples=samples)
    model = HorizonForecaster(spec=spec, width=32, identity=identity)
    save_forecaster(model, tmp_path / "model.safetensors")
    loaded, _ = load_forecaster(tmp_path)
    assert loaded.spec == spec
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)
    with pytest.raises(ConfigError, match=r"set spec\.samples"):
        HorizonForecaster(spec=WindowSpec(), identity=identity)


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "model.safetensors"

    class Bomb:
        def __reduce__(self):
            return (path.with_name("opened").touch, ())

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="a pickle, which is never opened"):
        load_forecaster(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="a pickle, which is never opened"):
        load_forecaster(path)
    assert not path.with_name("opened").exists()


def test_missing_foreign_damaged_and_other_checkpoints_are_refused_in_one_line(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        load_forecaster(tmp_path)
    save_file({"weight": torch.zeros(2)}, path, metadata={"system": "poyo"})
    with pytest.raises(CheckpointError, match="a checkpoint of 'poyo', expected 'horizon'"):
        load_forecaster(path)
    # A header whose length begins like a pickle does not make one.
    path.write_bytes((0x0280).to_bytes(8, "little") + b'{"weight"')
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        load_forecaster(path)
    save_forecaster(make_model(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged or foreign") as caught:
        load_forecaster(path)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_forecaster(make_model(), path)
    before = path.read_bytes()

    def full_disk(target, content):
        with target.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match=r"No space left.*model\.safetensors"):
        save_forecaster(make_model(), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def rewritten(path: Path, change) -> str:
    """Return how a checkpoint is refused after its weights and header were changed."""
    save_forecaster(make_model(), path)
    with safe_open(path, framework="pt") as file:
        header = dict(file.metadata())
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(weights, header)
    save_file(weights, path, metadata=header)
    with pytest.raises(CheckpointError) as caught:
        load_forecaster(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    first = min(make_model().state_dict())
    shape = tuple(make_model().state_dict()[first].shape)
    cases = {
        f"it lacks the weights {first};": lambda w, h: w.pop(first),
        "it has besides the weights aa and 1 more;": lambda w, h: w.update(
            aa=torch.zeros(1), ab=torch.zeros(1)
        ),
        f"its weights {first} have shape (1, 2, 3), expected {shape};": lambda w, h: w.update(
            {first: torch.zeros(1, 2, 3)}
        ),
        "its header lacks 'settings';": lambda w, h: h.pop("settings"),
        "its settings make no model: ": lambda w, h: h.update(
            settings=json.dumps(json.loads(h["settings"]) | {"colour": 1})
        ),
    }
    for told, change in cases.items():
        message = rewritten(path, change)
        assert told in message
        assert message.endswith(f"this version, {__version__}, wrote it, so train again")


def test_another_version_is_named_only_if_it_is_another(tmp_path):
    def change(weights, header):
        weights.pop(min(weights))
        header["version"] = "0.0.1"

    message = rewritten(tmp_path / "model.safetensors", change)
    assert message.endswith(
        f"it was written by 0.0.1, this is {__version__}: load it there, or train again"
    )
