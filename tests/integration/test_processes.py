"""Several processes train as one would, and one goes on with what several began.

Equal means equal up to the order in which two processes' gradients are added: weights within
1e-6 after eight steps (bit for bit where the sums are of two numbers, as here with DDP).
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from processes_world import make_data, tell_at, train

TESTS = Path(__file__).parents[1]
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]


def torchrun(*words: str | Path) -> subprocess.CompletedProcess[str]:
    import neurohorizon

    source = Path(neurohorizon.__file__).parents[1]
    path = os.pathsep.join([str(source), str(TESTS)])
    return subprocess.run(
        [sys.executable, *TORCHRUN, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes made, some of it after one had begun."""
    folder = tmp_path_factory.mktemp("runs")
    data = make_data()
    train(folder / "one", data)
    train(folder / "one_again", data, ema_decay=0.5)
    at_interrupt = signal.getsignal(signal.SIGINT)
    for strategy in ("ddp", "fsdp"):
        with pytest.raises(SystemExit):
            train(folder / f"gone_on_{strategy}", data, on_step=tell_at(6))
        signal.signal(signal.SIGINT, at_interrupt)
    done = torchrun(TESTS / "processes_world.py", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    for strategy in ("ddp", "fsdp"):
        train(folder / f"stopped_{strategy}", data, resume=True)
    return folder


def metrics(run: Path) -> np.ndarray:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "seconds"]
    return np.array([[float(row[name]) for name in names] for row in rows])


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("ddp", "one"),
        ("ddp_again", "one_again"),
        ("fsdp", "one"),
        ("gone_on_ddp", "one"),
        ("gone_on_fsdp", "one"),
        ("stopped_ddp", "one"),
        ("stopped_fsdp", "one"),
    ],
)
def test_two_processes_train_as_one_does(folder, name, reference):
    run, other = folder / name, folder / reference
    np.testing.assert_allclose(metrics(run), metrics(other), atol=1e-6, rtol=1e-6)
    weights, others = (load_file(each / "model.safetensors") for each in (run, other))
    assert weights.keys() == others.keys()
    for key, tensor in others.items():
        torch.testing.assert_close(weights[key], tensor, atol=1e-6, rtol=0)
    assert json.loads((run / "training.json").read_text())["steps"] == 8
    last = torch.load(run / "last.ckpt")
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"] == 16


def test_weights_move_further_than_the_tolerance(folder):
    trained, untrained = (
        load_file(folder / name / "model.safetensors") for name in ("one", "patience")
    )
    moved = [(trained[name].double() - untrained[name].double()).abs().max() for name in trained]
    assert max(moved).item() > 1e-2


def test_all_processes_stop_together(folder):
    for strategy in ("ddp", "fsdp"):
        told = {path.name for path in (folder / f"stopped_{strategy}").glob("rank*")}
        assert told == {"rank0", "rank1"}
    epochs = {path.read_text() for path in (folder / "patience").glob("rank*")}
    assert len(epochs) == 1
    assert int(epochs.pop()) < 5


def test_the_command_is_the_same_under_torchrun_and_one_process_speaks(tmp_path):
    settings = [
        *("data.num_sessions=2", "data.num_held_out=0", "data.minutes=0.8", "data.units=[4, 6]"),
        *("reference.num_references=2", "training.steps_per_epoch=2", "model.width=16"),
        *("training.tokens_per_batch=800", "training.max_epochs=1", "training.accelerator=cpu"),
        *("evaluation.observer=null", f"data.folder={tmp_path / 'world'}"),
    ]
    words = ["-m", "neurohorizon", "train", "default", *settings]
    done = torchrun(*words, "training.accumulate_batches=2", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("trained, 1 epochs") == 1
    assert done.stderr.count("epoch 1/1") == 1
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "metrics.csv", "model.safetensors", "training.json"} <= names
    assert not [name for name in names if ".part" in name]
