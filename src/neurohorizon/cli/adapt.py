"""``neurohorizon adapt``: adapt a run's model to a session with some minutes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress
from neurohorizon.errors import ConfigError

Mode = Literal["offsets", "low_rank", "full", "units", "none"]


def adapt(
    run: Path,
    recording: Path,
    /,
    *,
    minutes: float,
    mode: Mode | None = None,
    out: Path | None = None,
    max_steps: int | None = None,
    rescale: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Adapt a run's model to a session with some minutes of it.

    The minutes are the last ones before the session's test part, in the split that the run's
    configuration gives it; a part of them says when to stop, and what is kept may be the model
    as it was. Of a decoder's run whose split is interleaved, they are the first ones of the
    training and validation part.

    Parameters
    ----------
    run
        Run folder.
    recording
        A recording (.h5) of the session.
    minutes
        How many to read.
    mode
        What is adapted. Of a forecaster: a vector and a rate for each unit (offsets, the default),
        a low-rank change of attention and feed-forward layers (low_rank), or all weights (full).
        Of a decoder: rows of the new units and the new session (units, the default); those first
        and then all weights (full); or nothing (none, the default of a model that knows units by
        a reference, which the minutes then are).
    out
        Folder for the adapted model; RUN/adapted/RECORDING-MODE-MINUTESmin by default.
    max_steps
        Steps at most; 200 of a forecaster and 400 of a decoder by default.
    rescale
        Of a decoder: estimate mean and scale of what is decoded from the minutes, for sessions in
        other units than the training's.
    """
    from neurohorizon.configs.decode_schema import DecodeConfig
    from neurohorizon.configs.records import load_trained_run

    if max_steps is not None and max_steps < 1:
        raise ConfigError(f"--max-steps {max_steps}: expected 1 or more")
    if isinstance(load_trained_run(run).config, DecodeConfig):
        _adapt_decoder(run, recording, minutes, mode, out, max_steps, rescale)
        return
    if mode in ("units", "none"):
        raise ConfigError(
            f"{run} holds a forecaster, and mode {mode} is of decoders: choose among offsets, "
            "low_rank, full"
        )
    if rescale:
        raise ConfigError(f"{run} holds a forecaster, and --rescale is about decoders")

    from neurohorizon.configs.run_adaptation import adapt_run

    with StageProgress() as progress:
        folder, told = adapt_run(
            run,
            recording,
            minutes=minutes,
            mode="offsets" if mode is None else mode,
            out=out,
            max_steps=200 if max_steps is None else max_steps,
            progress=lambda done, total: progress("adapting", done, total),
        )
    print(f"{folder}: {told.num_trained:,} numbers adapted in {told.steps} steps")
    _say_losses(told.valid_loss, told.best_step, "zero-shot")
    print(f"next: neurohorizon forecast {folder} {recording} --out forecast.npz")


def _adapt_decoder(
    run: Path,
    recording: Path,
    minutes: float,
    mode: Mode | None,
    out: Path | None,
    max_steps: int | None,
    rescale: bool,
) -> None:
    from neurohorizon.configs.run_decoder_adaptation import adapt_decoder_run
    from neurohorizon.training.decoding.adapt import MAX_STEPS

    with StageProgress() as progress:
        folder, told = adapt_decoder_run(
            run,
            recording,
            minutes=minutes,
            mode=mode,
            out=out,
            max_steps=MAX_STEPS if max_steps is None else max_steps,
            rescale=rescale,
            progress=lambda done, total: progress("adapting", done, total),
        )
    if told.mode == "none":
        print(f"{folder}: no number adapted: {minutes:g} minutes are the reference of its units")
    else:
        print(
            f"{folder}: {told.num_trained:,} numbers adapted in {told.steps} steps, "
            f"{told.seconds:.0f} s"
        )
        _say_losses(told.valid_loss, told.best_step, "at the start")
    print(f"next: neurohorizon decode {folder} {recording} --out decoded.npz")


def _say_losses(valid_loss: tuple[float, ...], best_step: int, start: str) -> None:
    if best_step == 0:
        print(f"nothing was better than {start} on the validation minutes: it is as it was")
    else:
        print(
            f"validation loss {valid_loss[0]:.5f} {start}, {min(valid_loss):.5f} after "
            f"{best_step} steps"
        )
