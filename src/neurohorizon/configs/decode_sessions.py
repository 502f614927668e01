"""Whether a recording can be decoded from, and how a decoder's run splits it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from neurohorizon.configs.decode_schema import BlockSplit, CapoyoModel, DecodeConfig, TrialSplit
from neurohorizon.configs.split_rules import split_recording, table_of
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.splits import PARTS
from neurohorizon.recordings.trial_splits import split_by_trials


def prepare_for_decoding(recording: Recording, config: DecodeConfig, path: Path) -> Recording:
    """Check that a recording can be decoded from, and split it as a configuration says.

    Raises
    ------
    ConfigError, DataError
        If it lacks what the model reads, or a part of its split holds no window.
    """
    model, rule = config.model, config.data.split
    if isinstance(model, CapoyoModel):
        signal_of(recording, model.signal, path)
    elif len(recording.spike_times) == 0:
        held = f"signals ({', '.join(recording.signals)})" if recording.signals else "no signals"
        raise DataError(
            f"{path}: holds no spikes and {held}: decode signals with model.name=capoyo, or leave "
            "it out with data.leave_out"
        )
    if model.name == "forecaster" and recording.num_units < 2:
        raise DataError(
            f"{path}: one unit: a forecaster reads populations of 2 or more; leave it out with "
            "data.leave_out"
        )
    try:
        if isinstance(rule, TrialSplit):
            split = split_by_trials(
                recording.domain,
                table_of(recording, rule.table),
                fractions=rule.fractions,
                stratify=rule.stratify_by or "",
                seed=rule.seed,
            )
        else:
            guard_s = rule.guard_s if isinstance(rule, BlockSplit) else config.window.length_s
            split = split_recording(recording, rule, guard_s=guard_s)
    except ConfigError as error:
        raise ConfigError(f"data.split: {error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    length_s = config.window.length_s
    for part in PARTS:
        stretches = split.domain(part)
        if len(stretches) and (stretches[:, 1] - stretches[:, 0]).max() < length_s:
            raise DataError(
                f"{path}: no stretch of its {part} part is as long as a window "
                f"(window.length_s={length_s:g}): choose longer blocks or a shorter window"
            )
    return replace(recording, split=split)


def signal_of(recording: Recording, name: str | None, path: Path) -> str:
    """Return the name of the signal that is read.

    Raises
    ------
    DataError
        If the recording has not got it or, where none is named, not exactly one.
    """
    has = ", ".join(recording.signals) or "none"
    if name is not None and name not in recording.signals:
        raise DataError(f"{path}: no signal {name}, there are: {has}")
    if name is None and len(recording.signals) != 1:
        raise DataError(f"{path}: expected one signal, there are: {has}; name one: model.signal")
    return name if name is not None else next(iter(recording.signals))
