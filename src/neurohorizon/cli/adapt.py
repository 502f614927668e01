"""``neurohorizon adapt``: adapt a run's model to a session with some minutes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress


def adapt(
    run: Path,
    recording: Path,
    /,
    *,
    minutes: float,
    mode: Literal["offsets", "low_rank", "full"] = "offsets",
    out: Path | None = None,
    max_steps: int = 200,
) -> None:
    """Adapt a run's model to a session with some minutes of it.

    The minutes are the last ones before the session's test part, in the split that the run's
    configuration gives it. Their last fifth says when to stop; what is kept may be the model as
    it was.

    Parameters
    ----------
    run
        Run folder.
    recording
        A recording (.h5) of the session.
    minutes
        How many to read.
    mode
        What is adapted: a vector and a rate for each unit (offsets), a low-rank change of
        attention and feed-forward layers (low_rank), or all weights (full).
    out
        Folder for the adapted model; RUN/adapted/RECORDING-MODE-MINUTESmin by default.
    max_steps
        Steps at most.
    """
    from neurohorizon.configs.run_adaptation import adapt_run

    with StageProgress() as progress:
        folder, told = adapt_run(
            run,
            recording,
            minutes=minutes,
            mode=mode,
            out=out,
            max_steps=max_steps,
            progress=lambda done, total: progress("adapting", done, total),
        )
    before, after = told.valid_loss[0], min(told.valid_loss)
    print(f"{folder}: {told.num_trained:,} numbers adapted in {told.steps} steps")
    if told.best_step == 0:
        print("nothing was better than zero-shot on the validation minutes: the model is as it was")
    else:
        print(f"validation loss {before:.5f} zero-shot, {after:.5f} after {told.best_step} steps")
    print(f"next: neurohorizon forecast {folder} {recording} --out forecast.npz")
