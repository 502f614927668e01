"""Checkpoints of decoders carry tasks and words, and nothing that can run."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from decoder_batches import CHOICE, LEVEL, POSITION, random_batch, unit_words
from neurohorizon import __version__
from neurohorizon.errors import CheckpointError
from neurohorizon.models.capoyo import CaPOYO
from neurohorizon.models.checkpoint import load_forecaster, save_forecaster
from neurohorizon.models.decoder_files import load_decoder, save_decoder
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.models.poyo import POYO
from neurohorizon.models.poyo_plus import POYOPlus
from neurohorizon.recordings.window_spec import WindowSpec


def make_decoder(design=POYOPlus, tasks=(POSITION, CHOICE, LEVEL), **settings):
    torch.manual_seed(3)
    model = design(tasks=tasks, width=16, num_layers=1, head_width=8, **settings)
    if model.identity is None:
        model.units.extend([*unit_words()[:-1], "Größe/単位 9"])
        model.sessions.extend(["session0", "session1"])
    with torch.no_grad():
        for readout in model.readouts:
            readout.weight.normal_()
    return model.eval()


@pytest.mark.parametrize("design", [POYO, POYOPlus, CaPOYO])
@pytest.mark.parametrize("units", ["vocabulary", "identity"])
def test_a_decoder_comes_back_as_it_was(design, units, tmp_path):
    tasks = (POSITION,) if design is POYO else (POSITION, CHOICE, LEVEL)
    model = make_decoder(design, tasks, units=units, latent_step_s=0.25)
    if model.identity is not None:
        model.identity.standardise.mean.fill_(2.0)
    save_decoder(model, tmp_path / "model.safetensors")
    loaded = load_decoder(tmp_path)
    assert type(loaded) is design
    assert loaded.settings == model.settings
    assert loaded.tasks == model.tasks
    assert loaded.units.words == model.units.words
    assert loaded.sessions.words == model.sessions.words
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    batch = random_batch(tasks, values=design is CaPOYO)
    with torch.no_grad():
        for name, values in model(batch).items():
            assert torch.equal(loaded(batch)[name], values)


def test_a_loaded_vocabulary_grows_and_keeps_its_rows(tmp_path):
    model = make_decoder()
    save_decoder(model, tmp_path / "model.safetensors")
    loaded = load_decoder(tmp_path)
    loaded.units.extend(["new/unit0"])
    assert torch.equal(loaded.units.weight[:-1], model.units.weight)
    save_decoder(loaded, tmp_path / "larger.safetensors")
    assert load_decoder(tmp_path / "larger.safetensors").units.words[-1] == "new/unit0"


def test_a_pickle_is_never_opened(tmp_path):
    path, opened = tmp_path / "model.safetensors", tmp_path / "opened"

    class Bomb:
        def __reduce__(self):
            return (opened.touch, ())

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="a pickle, which is never opened"):
        load_decoder(path)
    assert not opened.exists()


def test_missing_damaged_and_other_checkpoints_are_refused_in_one_line(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        load_decoder(tmp_path)
    save_forecaster(HorizonForecaster(spec=WindowSpec(), width=16, num_heads=2), path)
    with pytest.raises(CheckpointError, match="of 'horizon', expected 'poyo' or 'poyo_plus' or"):
        load_decoder(path)
    save_decoder(make_decoder(), path)
    with pytest.raises(CheckpointError, match="a checkpoint of 'poyo_plus', expected 'horizon'"):
        load_forecaster(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged or foreign") as caught:
        load_decoder(path)
    assert "\n" not in str(caught.value)


def rewritten(path: Path, change) -> str:
    """Return how a checkpoint is refused after its weights and header were changed."""
    save_decoder(make_decoder(), path)
    with safe_open(path, framework="pt") as file:
        header = dict(file.metadata())
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(weights, header)
    save_file(weights, path, metadata=header)
    with pytest.raises(CheckpointError) as caught:
        load_decoder(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edited(key, edit):
    def change(weights, header):
        content = json.loads(header[key])
        header[key] = json.dumps(edit(content))

    return change


CASES = {
    "it lacks the weights readouts.0.bias;": lambda w, h: w.pop("readouts.0.bias"),
    "its weights units.weight have shape (11, 16), expected (10, 16);": edited(
        "units", lambda words: words[:-1]
    ),
    "its header lacks 'tasks';": lambda w, h: h.pop("tasks"),
    "its header lacks 'sessions';": lambda w, h: h.pop("sessions"),
    "its settings make no model: ": edited("settings", lambda s: s | {"colour": 1}),
    "its settings make no model: latent_step_s is 9": edited(
        "settings", lambda s: s | {"latent_step_s": 9.0}
    ),
    "its settings make no model: units: expected a name": edited("units", lambda words: [1]),
    "it has besides the weights readouts.2.bias and 1 more;": lambda w, h: (
        edited("tasks", lambda tasks: tasks[:-1])(w, h),
        w.update(task_embedding=w["task_embedding"][:-1].clone()),
    ),
}


@pytest.mark.parametrize("told", CASES)
def test_what_does_not_fit_is_named(told, tmp_path):
    message = rewritten(tmp_path / "model.safetensors", CASES[told])
    assert told in message
    assert message.endswith(f"this version, {__version__}, wrote it, so train again")
