"""A training that was stopped within an epoch goes on to the very same end."""

import csv
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from loops import fit
from neurohorizon.errors import ConfigError
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.data import ForecastData
from worlds import waving_recording

SPEC = WindowSpec(horizon_s=0.2)
#: 8 batches an epoch, 2 a step: 4 steps an epoch, 12 in all.
SETTINGS = {"max_epochs": 3, "accumulate_batches": 2, "ema_decay": 0.5}


@pytest.fixture(scope="module")
def data():
    recordings = [
        waving_recording(num_units=5 + index, duration_s=100.0, seed=index, name=f"w{index}")
        for index in range(2)
    ]
    return ForecastData(
        recordings=recordings,
        spec=SPEC,
        num_references=2,
        steps_per_epoch=8,
        tokens_per_batch=1200,
        valid_origin_step_s=1.0,
    )


def train(folder, data, **settings):
    torch.manual_seed(0)
    model = HorizonForecaster(spec=SPEC, width=16, num_heads=2, num_latents=4, dropout=0.2)
    return fit(model, data, folder, **(SETTINGS | settings))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("whole")
    train(folder, data)
    return folder


def assert_same_end(folder, expected):
    rows = []
    for each in (folder, expected):
        with (each / "metrics.csv").open() as file:
            rows.append([row | {"seconds": ""} for row in csv.DictReader(file)])
    assert rows[0] == rows[1]
    assert len(rows[0]) == SETTINGS["max_epochs"]
    weights, others = (load_file(each / "model.safetensors") for each in (folder, expected))
    assert all(torch.equal(weights[name], others[name]) for name in others)
    last, other = (torch.load(each / "last.ckpt") for each in (folder, expected))
    for name, tensor in other["state_dict"].items():
        assert torch.equal(last["state_dict"][name], tensor), name


class Killed(Exception):
    pass


@pytest.mark.parametrize(("killed_at", "saved_at"), [(3, 3), (6, 6), (7, 6), (9, 9)])
def test_a_killed_training_goes_on_in_the_middle_of_an_epoch(
    uninterrupted, data, tmp_path, killed_at, saved_at
):
    def kill(step, num_steps):
        if step == killed_at:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path, data, save_every_steps=3, on_step=kill)
    assert torch.load(tmp_path / "last.ckpt")["global_step"] == saved_at
    steps = []
    train(tmp_path, data, resume=True, on_step=lambda step, _: steps.append(step))
    assert len(steps) == 24 - 2 * saved_at, "a report for each batch that was left"
    assert_same_end(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    ("told_at", "saved_at"), [(1, 2), (4, 4), (7, 8)], ids=["within", "after", "before the end"]
)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_stop_signal_is_obeyed_after_the_step_at_hand(
    uninterrupted, data, tmp_path, name, told_at, saved_at
):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1)]
    at_interrupt = signal.getsignal(signal.SIGINT)

    def tell(step, num_steps):
        if step == told_at:
            os.kill(os.getpid(), getattr(signal, name))

    try:
        # Lightning answers an interruption by an exit.
        with pytest.raises(SystemExit):
            train(tmp_path, data, on_step=tell)
    finally:
        signal.signal(signal.SIGINT, at_interrupt)
    assert torch.load(tmp_path / "last.ckpt")["global_step"] == saved_at
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1)] == before
    train(tmp_path, data, resume=True)
    assert_same_end(tmp_path, uninterrupted)


def test_what_a_step_cannot_be_made_of_is_refused(data, tmp_path):
    with pytest.raises(ConfigError, match="a divisor of the 8 batches of an epoch"):
        train(tmp_path, data, accumulate_batches=3)
    with pytest.raises(ConfigError, match="2 processes share the batches of a step"):
        train(tmp_path, data, accumulate_batches=1, devices=2)
    with pytest.raises(ConfigError, match=r"set training\.ema_decay=0"):
        train(tmp_path, data, strategy="fsdp")
    with pytest.raises(ConfigError, match=r"training\.accelerator"):
        train(tmp_path, data, accelerator="quantum")


def test_gradients_are_the_same_where_activations_are_computed_again(data):
    batch = next(iter(data.train_loader()))
    for decoder in ("unit_queries", "causal_bins"):
        gradients, kept = [], []
        for again in (False, True):
            torch.manual_seed(0)
            model = HorizonForecaster(
                spec=SPEC, width=16, num_heads=2, num_latents=4, dropout=0.2, decoder=decoder
            )
            torch.nn.init.normal_(next(iter(model.head.parameters())))
            if again:
                model.checkpoint_activations()
            numbers = []
            with torch.autograd.graph.saved_tensors_hooks(
                lambda t, to=numbers: (to.append(t.numel()), t)[1], lambda t: t
            ):
                torch.manual_seed(1)
                model(batch).square().mean().backward()
            kept.append(sum(numbers))
            gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        assert len(gradients[0]) == len(gradients[1])
        assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
        assert any(bool(gradient.abs().sum() > 0) for gradient in gradients[0])
        assert kept[1] < 0.8 * kept[0]
