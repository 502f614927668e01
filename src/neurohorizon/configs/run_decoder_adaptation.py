"""Take a decoder's run to a new session, into a folder of its own; what minutes of it are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from neurohorizon.configs import decode_build
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.records import Run, load_decode_run, open_run_sessions
from neurohorizon.configs.run_adaptation import require_adaptation_folder, write_adaptation
from neurohorizon.configs.run_decoding import load_decoder_of
from neurohorizon.configs.sessions import prepare_recording
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.decoding.result_files import HEAD, load_decoding, save_decoding
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.run_results import (
    FEW_SHOT_PART,
    RESULTS_FOLDER,
    part_path,
    results_of,
)
from neurohorizon.models.decoder_files import save_decoder
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.weights_file import MODEL_FILE, model_checksum
from neurohorizon.ops.files import write_json
from neurohorizon.recordings.store import open_recording
from neurohorizon.training.decoding.adapt import (
    DECODER_MODES,
    MAX_STEPS,
    TOKENS_PER_BATCH,
    DecoderAdaptation,
    DecoderMode,
    adapt_decoder,
    default_stages,
)
from neurohorizon.training.decoding.adapt_steps import Stage
from neurohorizon.training.decoding.few_shot import (
    BASELINES,
    Way,
    fitting_minutes,
    measure_decoding_few_shot,
    row_of,
)

ADAPTATIONS_FILE = "adaptations.json"
FROM_SCRATCH = "from scratch"


def usual_mode(decoder: TrainedDecoder) -> DecoderMode:
    """Return the mode that asks least of a decoder."""
    return "units" if decoder.model.identity is None else "none"


def adapt_decoder_run(
    run: Path,
    path: Path,
    *,
    minutes: float,
    mode: str | None = None,
    out: Path | None = None,
    max_steps: int = MAX_STEPS,
    rescale: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, DecoderAdaptation]:
    """Take a run's decoder to a recording, split as the run's configuration says.

    Parameters
    ----------
    run : Path
        Run folder.
    path : Path
        Recording.
    minutes : float
    mode : {"units", "full", "none"}, optional
        By default ``units``, or ``none`` where the model knows units by a reference.
    out : Path, optional
        Folder; RUN/adapted/RECORDING-MODE-MINUTESmin by default.
    max_steps : int
    rescale : bool
        Estimate mean and scale of continuous tasks anew from the minutes.
    progress : callable, optional
        Called with steps taken, and steps at most.

    Returns
    -------
    out : Path
        Holds ``model.safetensors`` (which :meth:`TrainedDecoder.load` reads) and, written last,
        ``adaptation.json``.
    adaptation : DecoderAdaptation

    Raises
    ------
    NeuroHorizonError
        If run, recording, mode or minutes cannot be used, or the folder holds something else.
    """
    record = load_decode_run(run)
    decoder = load_decoder_of(run)
    mode = usual_mode(decoder) if mode is None else mode
    if mode not in DECODER_MODES:
        raise ConfigError(
            f"{run} holds a decoder, and mode {mode} is of forecasters: choose among "
            f"{', '.join(DECODER_MODES)}"
        )
    mode = cast("DecoderMode", mode)
    recording = prepare_recording(open_recording(path), record.config, path=path)
    if recording.id in {entry["id"] for entry in record.data["training"]}:
        raise DataError(f"{path}: {run} was trained on it: decode it as it is")
    if out is None:
        out = run / "adapted" / f"{path.stem}-{mode}-{minutes:g}min"
    require_adaptation_folder(out)
    adapted, told = adapt_decoder(
        decoder,
        recording,
        minutes=minutes,
        mode=mode,
        stages=default_stages(mode, max_steps=max_steps),
        rescale=rescale,
        tokens_per_batch=_tokens_per_batch(record),
        seed=record.config.run.seed,
        progress=progress,
    )
    out.mkdir(parents=True, exist_ok=True)
    save_decoder(
        adapted.model, out / MODEL_FILE, signal=adapted.signal, references=adapted.references
    )
    write_adaptation(out, asdict(told), run=run, recording=path)
    return out, told


def score_decoder_few_shot(
    run: Path | str,
    *,
    minutes: Sequence[float] | None = None,
    modes: Sequence[DecoderMode] | None = None,
    identity_run: Path | str | None = None,
    from_scratch: bool = False,
    baselines: Sequence[str] = BASELINES,
    recordings: Path | str | None = None,
    max_steps: int = MAX_STEPS,
    again: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path | None:
    """Score what minutes of a run's held-out recordings buy, by each way to take it to them.

    Parameters
    ----------
    run : path
        Run folder of a decoder; its results are given the part ``held-out.few-shot``.
    minutes : sequence of float, optional
        Those of the run's configuration by default; what not every recording has is left out.
    modes : sequence of {"units", "full", "none"}, optional
        By default all that fit the run's model.
    identity_run : path, optional
        Run of the same tasks and recordings that knows units by a reference: its model is scored
        too, without a gradient.
    from_scratch : bool
        Train an untrained model on the minutes, too: what the other recordings are worth.
    baselines : sequence of str
        Simple decoders, fitted on the same minutes.
    recordings : path, optional
        Where the run's recordings lie now, if they were moved.
    max_steps : int
        Of each adaptation.
    again : bool
        Compute what is there already, too.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    Path or None
        The folder of results: those of :mod:`neurohorizon.evaluation.decoding.result_files`, and
        ``adaptations.json``, how each went. None if it was there.

    Raises
    ------
    NeuroHorizonError
        If runs, recordings or minutes cannot be used.
    """
    run = Path(run)
    folder = few_shot_folder(run)
    record = load_decode_run(run)
    require_held_out(record)
    with results_of(run / RESULTS_FOLDER, [model_checksum(run)]):
        if not again and minutes is None and (folder / HEAD).is_file():
            return None
        decoder = load_decoder_of(run)
        if modes is None:
            modes = ("units", "full") if decoder.model.identity is None else ("none", "full")
        ways = [
            Way(mode, decoder, mode, default_stages(mode, max_steps=max_steps)) for mode in modes
        ]
        if from_scratch:
            ways.append(_from_scratch(record, decoder, max_steps))
        if identity_run is not None:
            ways.append(_by_reference(Path(identity_run), record))
        sessions = open_run_sessions(record, recordings=recordings)
        held_out = [session.recording for session in sessions.held_out]
        config = record.config
        lengths = fitting_minutes(
            held_out, config.evaluation.minutes if minutes is None else sorted(set(minutes))
        )
        if not again and (found := load_few_shot(run)) is not None:
            there = {row.name for row in found.rows}
            if all(row_of(way.name, length) in there for way in ways for length in lengths):
                return None
        curve = measure_decoding_few_shot(
            ways,
            held_out,
            minutes=lengths,
            baselines=baselines,
            stride_s=config.evaluation.stride_share * config.window.length_s,
            tokens_per_batch=_tokens_per_batch(record),
            seed=config.run.seed,
            progress=progress,
        )
        save_decoding(curve.result, folder)
        told = [{"row": row, **asdict(each)} for (row, _), each in curve.adaptations.items()]
        write_json(folder / ADAPTATIONS_FILE, told)
        return folder


def few_shot_folder(run: Path) -> Path:
    """Return where the results of :func:`score_decoder_few_shot` lie."""
    return part_path(run / RESULTS_FOLDER, "held-out", FEW_SHOT_PART)


def load_few_shot(run: Path) -> DecodingResult | None:
    """Read what :func:`score_decoder_few_shot` found; None if it was not asked.

    Raises
    ------
    DataError
        If results are damaged.
    """
    folder = few_shot_folder(run)
    return load_decoding(folder) if (folder / HEAD).is_file() else None


def require_held_out(record: Run[DecodeConfig]) -> None:
    """Refuse a run that holds out no recording.

    Raises
    ------
    ConfigError
    """
    if not record.data["held_out"]:
        raise ConfigError(
            f"{record.folder}: holds out no recording to take the decoder to: train with "
            "data.hold_out (simulated: data.num_held_out), or use `neurohorizon adapt`"
        )


def _tokens_per_batch(record: Run[DecodeConfig]) -> int:
    return min(record.config.training.tokens_per_batch, TOKENS_PER_BATCH)


def _from_scratch(record: Run[DecodeConfig], decoder: TrainedDecoder, max_steps: int) -> Way:
    model = decode_build.decoder(
        record.config,
        decoder.model.tasks,
        num_features=decoder.model.settings["num_unit_features"],
    )
    untrained = TrainedDecoder(model, name=decoder.name, signal=decoder.signal)
    rate = record.config.training.learning_rate
    return Way(FROM_SCRATCH, untrained, "full", (Stage("all", max_steps, rate, rate),))


def _by_reference(run: Path, record: Run[DecodeConfig]) -> Way:
    other = load_decode_run(run)
    decoder = load_decoder_of(run)
    if decoder.model.identity is None:
        raise ConfigError(
            f"{run}: its model has learned a row for each unit: give a run that was trained with "
            "model.units=identity"
        )
    held_out = {entry["sha256"] for entry in record.data["held_out"]}
    if any(entry["sha256"] in held_out for entry in other.data["training"]):
        raise ConfigError(f"{run}: was trained on a recording that {record.folder} holds out")
    return Way("none", decoder, "none")
