"""Trainings that several processes do together: run by torchrun, or imported by a test.

Eight batches an epoch, two a step: one process sums both, two take one each.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from loops import fit
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.data import ForecastData
from neurohorizon.training.fit import FitSummary
from worlds import waving_recording

SPEC = WindowSpec(horizon_s=0.2)


def make_data() -> ForecastData:
    """Two recordings, of two data sets."""
    recordings = [
        waving_recording(num_units=5 + index, duration_s=90.0, seed=index, name=f"w{index}")
        for index in range(2)
    ]
    return ForecastData(
        recordings=recordings,
        spec=SPEC,
        num_references=2,
        steps_per_epoch=8,
        tokens_per_batch=1000,
        valid_origin_step_s=1.0,
    )


def train(folder: Path, data: ForecastData, **settings: Any) -> FitSummary:
    """Train two epochs of four steps with dropout."""
    torch.manual_seed(0)
    model = HorizonForecaster(spec=SPEC, width=16, num_heads=2, num_latents=4, dropout=0.2)
    given: dict[str, Any] = {"max_epochs": 2, "accumulate_batches": 2}
    return fit(model, data, folder, **(given | settings))


def tell_at(step: int):
    """Return a report that sends this process a stop signal at a step."""

    def report(done: int, num_steps: int) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return report


def main(folder: Path) -> None:
    """Train in all ways that the test looks at."""
    data = make_data()
    train(folder / "ddp", data)
    train(folder / "ddp_again", data, ema_decay=0.5, checkpoint_activations=True)
    train(folder / "fsdp", data, strategy="fsdp", checkpoint_activations=True)
    # Begun by one process; stopped within the second epoch.
    for strategy in ("ddp", "fsdp"):
        train(folder / f"gone_on_{strategy}", data, strategy=strategy, resume=True)
    for strategy in ("ddp", "fsdp"):
        try:
            # The first process alone is told.
            train(folder / f"stopped_{strategy}", data, strategy=strategy, on_step=tell_at(6))
        except SystemExit:
            (folder / f"stopped_{strategy}" / f"rank{os.environ['RANK']}").touch()
    summary = train(folder / "patience", data, max_epochs=5, learning_rate=1e-12, patience=2)
    (folder / "patience" / f"rank{os.environ['RANK']}").write_text(str(summary.epochs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
