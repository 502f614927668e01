"""POYO against torch_brain's: same weights, same inputs, same outputs and gradients."""

import pickle

import numpy as np
import pytest
import torch
from torch_brain.batching import collate
from torch_brain.data import ArrayDict, Data, IrregularTimeSeries, SessionDescription
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
from neurohorizon.recordings.decoding.batches import DecodeBatch, TokenType
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec

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


def test_windows_that_torch_brain_tokenises_itself():
    """Float64 times, its own padding: what a user's data loader would give its model."""
    poyo = their_poyo()
    model = ours_of(poyo)
    rng = np.random.default_rng(0)
    words = np.array(unit_words())
    samples, tokens = [], []
    asked = np.sort(rng.uniform(0, 1, (3, 7)), axis=1)
    for window, recording in enumerate((0, 1, 0)):
        units = words[:4] if recording == 0 else words[4:]
        count = (150, 260, 40)[window]
        times = np.sort(rng.integers(0, 30_000, count)) / 30_000
        index = rng.integers(0, len(units), count)
        data = Data(
            spikes=IrregularTimeSeries(timestamps=times, unit_index=index, domain="auto"),
            units=ArrayDict(id=units),
            session=SessionDescription(id=SESSIONS[recording]),
            domain="auto",
        )
        sample = poyo.tokenize(data)
        sample["output_timestamps"] = asked[window]
        samples.append(sample)
        ends = np.repeat(np.arange(len(units)), 2), np.tile([0.0, 1.0], len(units))
        kinds = np.tile([TokenType.START, TokenType.END], len(units))
        tokens.append(
            (
                np.concatenate([index, ends[0]]) + 4 * recording,
                np.concatenate([times, ends[1]]),
                np.concatenate([np.zeros(count, dtype=np.int64), kinds]),
            )
        )
    inputs = collate(samples)
    most = max(len(unit) for unit, _, _ in tokens)

    def padded(position: int, dtype: torch.dtype) -> torch.Tensor:
        rows = [torch.as_tensor(each[position], dtype=dtype) for each in tokens]
        return torch.stack([torch.nn.functional.pad(row, (0, most - len(row))) for row in rows])

    batch = random_batch(num_queries=7)
    batch = DecodeBatch(
        unit_row_U=model.units.rows(list(words)),
        unit_features_UF=batch.unit_features_UF,
        session_row_W=model.sessions.rows(["session0", "session1", "session0"]),
        token_unit_WE=padded(0, torch.int64),
        token_time_WE=padded(1, torch.float32),
        token_type_WE=padded(2, torch.int64),
        token_value_WE=torch.zeros(3, 0),
        token_mask_WE=torch.stack([torch.arange(most) < len(unit) for unit, _, _ in tokens]),
        query_time_WQ=torch.as_tensor(asked, dtype=torch.float32),
        query_task_WQ=torch.zeros(3, 7, dtype=torch.int64),
        query_mask_WQ=torch.ones(3, 7, dtype=torch.bool),
        targets={},
        weights={},
    )
    with torch.no_grad():
        theirs = poyo(**inputs).flatten(0, 1)
        ours = model(batch)["position"]
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
