"""POYO against torch_brain's: same weights, same inputs, same outputs and gradients."""

import pickle

import pytest
import torch
from torch_brain.batching import collate
from torch_brain.datasets import DatasetIndex
from torch_brain.models import POYO as TheirPOYO
from torch_brain.models.poyo import create_linspace_latent_tokens

from decoder_batches import CHOICE, POSITION, random_batch, unit_words
from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.poyo import POYO
from neurohorizon.models.poyo_conversion import (
    from_torch_brain,
    load_torch_brain,
    rename_to_ours,
    save_torch_brain,
    to_torch_brain,
)
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.collate import collate_decode
from neurohorizon.recordings.decoding.sessions import unit_words as unit_words_of
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.speed.decoding_loader import make_recordings, torch_brain_loader
from neurohorizon.training.speed.plan import SpeedPlan

SETTINGS = {
    "sequence_length": 1.0,
    "latent_step": 0.125,
    "num_latents_per_step": 4,
    "dim": 32,
    "depth": 2,
    "dim_head": 16,
    "cross_heads": 2,
    "self_heads": 4,
    "ffn_dropout": 0.2,
    "lin_dropout": 0.4,
    "atn_dropout": 0.1,
    "emb_init_scale": 0.02,
    "t_min": 1e-4,
    "t_max": 2.0627,
}
SESSIONS = ["session0", "session1"]


def their_poyo(**changed) -> TheirPOYO:
    torch.manual_seed(5)
    poyo = TheirPOYO(**(SETTINGS | changed), dim_out=2)
    poyo.unit_emb.initialize_vocab(unit_words())
    poyo.session_emb.initialize_vocab(SESSIONS)
    with torch.no_grad():
        for parameter in poyo.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for table in (poyo.unit_emb, poyo.session_emb):
            table.weight[0] = 0.0
    return poyo.eval()


def ours_of(poyo: TheirPOYO, **changed) -> POYO:
    return from_torch_brain(SETTINGS | changed, poyo.state_dict(), task=POSITION)


def their_inputs(batch: DecodeBatch, **changed) -> dict[str, torch.Tensor]:
    settings = SETTINGS | changed
    latent_index, latent_times = create_linspace_latent_tokens(
        0.0,
        settings["sequence_length"],
        step=settings["latent_step"],
        num_latents_per_step=settings["num_latents_per_step"],
    )
    num_windows = len(batch)
    return {
        "input_unit_index": batch.unit_row_U[batch.token_unit_WE],
        "input_timestamps": batch.token_time_WE.double(),
        "input_token_type": batch.token_type_WE,
        "input_mask": batch.token_mask_WE,
        "latent_index": torch.as_tensor(latent_index).expand(num_windows, -1),
        "latent_timestamps": torch.as_tensor(latent_times).expand(num_windows, -1),
        "session_index": batch.session_row_W,
        "output_timestamps": batch.query_time_WQ.double(),
    }


def flat(outputs: torch.Tensor, batch: DecodeBatch) -> torch.Tensor:
    return outputs[batch.query_mask_WQ]


@pytest.mark.parametrize(
    "changed",
    [{}, {"latent_step": 0.3, "dim": 20, "cross_heads": 1, "dim_head": 64, "depth": 1}],
    ids=["grid divides the window", "it does not"],
)
def test_outputs_and_gradients_are_torch_brains(changed):
    poyo = their_poyo(**changed)
    model = ours_of(poyo, **changed)
    batch = random_batch(num_spikes=(300, 450, 120), num_queries=20)
    theirs = flat(poyo(**their_inputs(batch, **changed)), batch)
    ours = model(batch)["position"]
    assert theirs.abs().max() > 0.5
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    drawn = torch.randn_like(theirs)
    (theirs * drawn).sum().backward()
    (ours * drawn).sum().backward()
    gradients = {name: p.grad for name, p in poyo.named_parameters()}
    for name, expected in rename_to_ours(gradients, model).items():
        found = model.get_parameter(name).grad
        largest = expected.abs().max().item()
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * max(largest, 1.0))


def test_windows_of_files_that_each_reads_by_itself(tmp_path):
    """Its Dataset, tokeniser and collation with float64 times, and our reader and collation."""
    plan = SpeedPlan(num_recordings=2, num_spikes=20_000, num_units=12, duration_s=200.0)
    recordings = make_recordings(plan, tmp_path)
    dataset = torch_brain_loader(tmp_path, num_workers=0).dataset
    spec = TaskSpec(name="velocity", series="velocity", standardise=False)
    data = DecodeData(recordings=recordings, tasks=[spec])
    # As many latents as that tokeniser lays out.
    settings = SETTINGS | {"num_latents_per_step": 64}
    torch.manual_seed(6)
    poyo = TheirPOYO(**settings, dim_out=2).eval()
    poyo.unit_emb.initialize_vocab([word for each in recordings for word in unit_words_of(each)])
    poyo.session_emb.initialize_vocab([each.id for each in recordings])
    model = from_torch_brain(settings, poyo.state_dict(), task=data.tasks[0])
    assert dict(data.unit_rows) == {word: row for row, word in enumerate(model.units.words, 1)}
    asked = [(0, 10.0), (0, 57.256), (1, 33.3), (1, 120.0)]
    samples, groups = [], []
    for index, start in asked:
        name = recordings[index].id
        samples.append(dataset[DatasetIndex(name, start, start + 1.0)])
        session = data.recordings[index].views[0].session
        groups.append(session.group(session.reader.read([start])))
    inputs = collate(samples)
    mask = inputs.pop("output_mask")
    target = inputs.pop("target")[mask]
    batch = collate_decode(groups, data.tasks)
    with torch.no_grad():
        theirs = poyo(**inputs)[mask]
        ours = model(batch)["velocity"]
    torch.testing.assert_close(batch.targets["velocity"], target)
    # Times are rounded to float32 here, of which the shortest period, 0.1 ms, takes notice.
    torch.testing.assert_close(ours.double(), theirs.double(), rtol=0, atol=1e-4)


def test_there_and_back_is_bit_equal():
    poyo = their_poyo()
    settings, state = to_torch_brain(ours_of(poyo))
    assert settings == SETTINGS
    before = poyo.state_dict()
    assert state.keys() == before.keys()
    before["token_type_emb.weight"][3] = 0.0  # a type that nothing uses
    for name, value in before.items():
        if name.endswith("vocab"):
            assert list(state[name].items()) == list(value.items())
        else:
            assert torch.equal(state[name], value), name
    again = from_torch_brain(settings, state, task=POSITION)
    for name, tensor in ours_of(poyo).state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_torch_brain_opens_what_is_written_here(tmp_path):
    torch.manual_seed(2)
    model = POYO(tasks=(POSITION,), width=32, num_layers=2, num_latents_per_step=4, dropout=0.1)
    model.units.extend(unit_words())
    model.sessions.extend(SESSIONS)
    with torch.no_grad():
        for parameter in model.readouts.parameters():
            parameter.normal_()
    save_torch_brain(model, tmp_path / "poyo.ckpt")
    poyo = TheirPOYO.load_pretrained(tmp_path / "poyo.ckpt").eval()
    assert poyo.unit_emb.tokenizer("session1/unit0") == 5
    batch = random_batch(num_spikes=(60, 80, 10))
    with torch.no_grad():
        theirs = flat(poyo(**their_inputs(batch)), batch)
        ours = model.eval()(batch)["position"]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
        again = load_torch_brain(tmp_path / "poyo.ckpt", task=POSITION)
        torch.testing.assert_close(again(batch)["position"], ours, rtol=0, atol=0)
    assert again.settings == model.settings


def published(path, poyo, **changed):
    """Write a checkpoint as torch_brain's training does, the Lightning parts too."""
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.4.0",
        "hyper_parameters": {
            "model": {"_target_": "torch_brain.models.POYO"} | SETTINGS,
            "optim": {"base_lr": 1e-4},
        },
        "state_dict": {f"model.{name}": value for name, value in poyo.state_dict().items()},
    }
    torch.save(content | changed, path)
    return path


def test_the_published_layout_is_read_with_its_vocabularies(tmp_path):
    poyo = their_poyo()
    path = published(tmp_path / "published.ckpt", poyo)
    model = load_torch_brain(path)
    assert model.units.words == tuple(unit_words())
    assert model.sessions.words == tuple(SESSIONS)
    assert model.tasks[0].name == "output"
    batch = random_batch(tasks=model.tasks)
    with torch.no_grad():
        theirs = flat(poyo(**their_inputs(batch)), batch)
        torch.testing.assert_close(model(batch)["output"], theirs, rtol=0, atol=1e-5)
    extended = model.units.extend(["new/unit0"])
    assert extended
    with torch.no_grad():
        torch.testing.assert_close(model(batch)["output"], theirs, rtol=0, atol=1e-5)


def test_files_that_need_code_or_are_foreign_are_refused_in_one_line(tmp_path):
    poyo, touched = their_poyo(), tmp_path / "opened"

    class Bomb:
        def __reduce__(self):
            return (touched.touch, ())

    cases = {
        "no checkpoint there": tmp_path / "absent.ckpt",
        "would run code": published(tmp_path / "bomb.ckpt", poyo, callbacks=Bomb()),
        "not of torch_brain's layout": published(tmp_path / "bare.ckpt", poyo, state_dict=None),
    }
    pickled = tmp_path / "pickle.ckpt"
    pickled.write_bytes(pickle.dumps(Bomb(), protocol=2))
    cases["would run code that it brings along, which"] = pickled
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(published(tmp_path / "whole.ckpt", poyo).read_bytes()[:5000])
    cases["damaged or foreign"] = damaged
    for told, path in cases.items():
        with pytest.raises(CheckpointError, match=told) as caught:
            load_torch_brain(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    assert not touched.exists()


def test_what_does_not_belong_together_is_named(tmp_path):
    poyo = their_poyo()
    state = poyo.state_dict()

    def without(name):
        return {key: value for key, value in state.items() if key != name}

    cases = [
        (SETTINGS, without("enc_atn.to_q.weight"), "lacks the weights enc_atn.to_q.weight"),
        (SETTINGS, without("unit_emb.vocab"), "lacks the words of unit_emb"),
        (SETTINGS, without("readout.weight"), "lacks 'readout.weight'"),
        (SETTINGS, state | {"unit_emb.vocab": {"NA": 0, "a": 1}}, "not those of its 10 rows"),
        (SETTINGS | {"dim": 16}, state, "do not fit its settings: size mismatch"),
        (SETTINGS | {"t_min": 2e-4}, state, "not those of its t_min and t_max"),
    ]
    for settings, weights, told in cases:
        with pytest.raises(CheckpointError, match=told) as caught:
            from_torch_brain(settings, weights)
        assert "\n" not in str(caught.value)
    three = Task(TaskSpec(name="speed", series="x"), (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(CheckpointError, match="2 outputs, the task speed 3"):
        from_torch_brain(SETTINGS, state, task=three)
    with pytest.raises(ConfigError, match="vocabularies only"):
        save_torch_brain(POYO(tasks=(CHOICE,), units="identity", width=16), tmp_path / "a.ckpt")
    assert list(tmp_path.iterdir()) == []
