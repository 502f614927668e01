"""Fit the rows of the ladder for every recording of a run, and score them on its test pictures.

A run folder holds, besides its records::

    bridges/RECORDING/ROW/fold0.safetensors ...   fitted without a fold: what is out of fold
    bridges/RECORDING/ROW/seed0.safetensors ...   fitted to all training pictures
    bridges/RECORDING/ROW/tuning.json             what was tried; the last, so that it says: done
    results/retrieval/...                         scores (`bridge retrieve`)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.bridge_sessions import (
    BridgeSession,
    BridgeSessions,
    describe_bridge_data,
    open_bridge_sessions,
    require_names,
)
from neurohorizon.configs.load import LoadedConfig
from neurohorizon.configs.records import DONE_FILE, Run, State, load_bridge_run, write_records
from neurohorizon.configs.run_folders import alone_in_run, require_folder, require_same_data
from neurohorizon.configs.run_masked import describe_pretrained, open_pretrained
from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.evaluation.retrieval.row_names import GREY
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.files import load_bridge, save_bridge
from neurohorizon.ops.files import checksum, write_json
from neurohorizon.training.bridge.contrastive import ContrastiveSettings
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.bridge.rows import ROWS
from neurohorizon.training.bridge.tuning import Tuned, fit_tuned, require_folds, tune

Progress = Callable[[str, int, int], None]
TUNING_FILE = "tuning.json"
BRIDGES = "bridges"


@dataclass(frozen=True)
class Part:
    """One row of one recording: what is fitted as a whole.

    Parameters
    ----------
    session : BridgeSession
    row : str
    grey : bool
        Pictures without colour.
    folder : Path
    """

    session: BridgeSession
    row: RowName
    grey: bool
    folder: Path

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.row + GREY * self.grey

    @property
    def done(self) -> bool:
        """Whether it is fitted."""
        return (self.folder / TUNING_FILE).is_file()


def parts_of(config: BridgeConfig, folder: Path, found: BridgeSessions) -> Iterator[Part]:
    """Yield the rows of every recording, in the order of the tables."""
    for session in found.sessions:
        for rows, grey in ((config.model.rows, False), (config.model.grey_rows, True)):
            for row in rows:
                into = part_folder(folder, session.pairs.id, row + GREY * grey)
                yield Part(session, row, grey, into)


def parts_of_row(
    config: BridgeConfig, folder: Path, found: BridgeSessions, row: RowName
) -> list[Part]:
    """Return a row of every recording, to be fitted anew to a part of the responses.

    Raises
    ------
    ConfigError
        If the run has no such row, or it starts from a model of all electrodes.
    """
    require_fitted_anew(config, folder, [row])
    return [part for part in parts_of(config, folder, found) if part.row == row and not part.grey]


def require_rows(config: BridgeConfig, folder: Path, rows: Sequence[str]) -> None:
    """Refuse rows that a run has not.

    Raises
    ------
    ConfigError
    """
    for row in rows:
        if row not in config.model.rows:
            there = ", ".join(config.model.rows)
            raise ConfigError(f"{folder}: has no row {row!r}: there are {there}")


def require_fitted_anew(config: BridgeConfig, folder: Path, rows: Sequence[str]) -> None:
    """Refuse rows that a run has not, or that cannot be fitted anew to a part of the responses.

    Raises
    ------
    ConfigError
        If one starts from a model of all electrodes, too.
    """
    require_rows(config, folder, rows)
    for row in config.model.rows:
        if row in rows and ROWS[row].pretrained:
            raise ConfigError(
                f"{folder}: {row} starts from a model of all electrodes of a recording, and cannot "
                "be fitted to others: choose another row"
            )


def part_folder(folder: Path, recording: str, name: str) -> Path:
    """Return where a run keeps a row of a recording."""
    return folder / BRIDGES / recording / name.replace(",", "").replace(" ", "-")


def align_run(
    loaded: LoadedConfig[BridgeConfig],
    *,
    resume: bool = False,
    command_line: Sequence[str] = (),
    progress: Progress | None = None,
) -> Literal["fitted", "resumed", "skipped"]:
    """Tune and fit all rows on all recordings.

    Rows that are fitted are skipped, so an interrupted run goes on where it was.

    Raises
    ------
    ConfigError, DataError
        If something does not fit, or the folder holds a run of other settings.
    """
    config, folder = loaded.config, loaded.config.run.folder
    if require_folder(loaded, resume=resume) == "finished":
        return "skipped"
    found = open_bridge_sessions(config)
    parts = check_parts(config, folder, found)
    with alone_in_run(folder, busy="fitting"):
        state = require_folder(loaded, resume=resume)
        _begin(loaded, found, state, command_line)
        for number, part in enumerate(parts):
            if not part.done:
                _fit(part, found, config, progress)
            if progress:
                progress("rows fitted", number + 1, len(parts))
        write_json(folder / DONE_FILE, {"rows": len(parts)})
    return "fitted" if state == "new" else "resumed"


def _begin(
    loaded: LoadedConfig[BridgeConfig],
    found: BridgeSessions,
    state: State,
    command_line: Sequence[str],
) -> None:
    """Say in the run folder what is fitted to what, or make sure that it is the same."""
    config, folder = loaded.config, loaded.config.run.folder
    described = describe_bridge_data(found, config)
    if config.model.pretrained is not None:
        described["pretrained"] = describe_pretrained(config.model.pretrained, found)
    if state == "new":
        write_records(folder, loaded, described, command_line=command_line)
    else:
        require_same_data(folder, described)


def open_finished(folder: Path) -> tuple[Run[BridgeConfig], BridgeSessions]:
    """Open a finished run, and what it was fitted to.

    Raises
    ------
    CheckpointError
        If not all rows are fitted.
    DataError
        If a recording is missing or has changed since, or a bank was made in another way. A bank
        may have grown.
    """
    run = load_bridge_run(folder)
    if not (folder / DONE_FILE).is_file():
        raise CheckpointError(
            f"{folder}: not all rows are fitted: `neurohorizon bridge align` with --resume"
        )
    found = open_bridge_sessions(run.config)
    before = {entry["id"]: entry["sha256"] for entry in run.data["training"]}
    for session in found.sessions:
        if before.get(session.pairs.id) != checksum(session.path):
            raise DataError(
                f"{session.path}: is not what {run.folder} was fitted to: fit again, or bring the "
                "file back"
            )
    missing = sorted(before.keys() - {session.pairs.id for session in found.sessions})
    if missing:
        raise DataError(f"{run.folder}: the recording {missing[0]} is missing: bring it back")
    for name, bank in (("bank", found.bank), ("grey_bank", found.grey_bank)):
        if bank is not None:
            made = Fingerprint.from_json(run.data[name]["fingerprint"])
            difference = made.difference(bank.fingerprint)
            if difference:
                raise DataError(
                    f"{bank.where}: is not the bank that {run.folder} was fitted to "
                    f"({difference}): fit again, or bring it back"
                )
    return run, found


def load_part(part: Part, *, kind: Literal["fold", "seed"]) -> list[Bridge]:
    """Return the bridges of a row, by fold or by seed.

    Raises
    ------
    CheckpointError
        If it is not fitted.
    """
    files = sorted(
        part.folder.glob(f"{kind}*.safetensors"), key=lambda path: int(path.stem[len(kind) :])
    )
    if not part.done or not files:
        raise CheckpointError(
            f"{part.folder}: {part.name} is not fitted: `neurohorizon bridge align` with --resume"
        )
    return [load_bridge(file)[0] for file in files]


def load_tuned(part: Part) -> Tuned:
    """Return what tuning found of a row.

    Raises
    ------
    CheckpointError, DataError
        If it is not fitted, or its records are damaged.
    """
    folds = load_part(part, kind="fold")
    path = part.folder / TUNING_FILE
    kind = type(ROWS[part.row].start)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tried = [
            (kind(**{name: value for name, value in each.items() if name != "score"}), score)
            for each in content["tried"]
            for score in [float(each["score"])]
        ]
        return Tuned(kind(**content["settings"]), int(content["steps"]), tried, folds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: missing or damaged: `neurohorizon bridge align` with --resume"
        ) from error


def bank_of(part: Part, found: BridgeSessions) -> EmbeddingBank:
    """Return the bank that a row's pictures are from."""
    if part.grey:
        assert found.grey_bank is not None
        return found.grey_bank
    return found.bank


def _fit(
    part: Part,
    found: BridgeSessions,
    config: BridgeConfig,
    progress: Progress | None,
) -> None:
    training, bank = config.training, bank_of(part, found)
    started, started_processor = time.perf_counter(), time.process_time()
    told = f"{part.session.pairs.id}: {part.name}"
    samples = part.session.training(bank, single_trials=config.data.single_trials)
    row = ROWS[part.row]
    if isinstance(row.start, ContrastiveSettings):
        start = replace(row.start, max_steps=training.max_steps)
        if part.row == "Perceiver":
            start = replace(start, **config.model.perceiver.model_dump())
        row = replace(row, start=start)
    pretrained = None
    if row.pretrained:
        assert config.model.pretrained is not None
        pretrained = open_pretrained(config.model.pretrained, part.session)
        row = row.of_sizes(pretrained)
    tuned = tune(
        row,
        samples,
        budget=training.budget,
        pretrained=pretrained,
        seed=config.run.seed,
        device=training.device,
        progress=None if progress is None else lambda done, total: progress(told, done, total),
    )
    about = {"row": part.name, "bank": bank.fingerprint.to_json()}
    for number, bridge in enumerate(tuned.folds):
        save_bridge(bridge, part.folder / f"fold{number}.safetensors", about=about)
    for seed in range(training.num_seeds if row.trained else 1):
        bridge = fit_tuned(
            row,
            samples,
            tuned,
            pretrained=pretrained,
            seed=config.run.seed + seed,
            device=training.device,
        )
        save_bridge(bridge, part.folder / f"seed{seed}.safetensors", about=about)
    content = {
        "row": part.name,
        "settings": asdict(tuned.settings),
        "steps": tuned.steps,
        "score": tuned.score,
        "tried": [{"score": score, **asdict(settings)} for settings, score in tuned.tried],
        "took_s": {
            "wall": time.perf_counter() - started,
            "processor": time.process_time() - started_processor,
        },
    }
    write_json(part.folder / TUNING_FILE, content)


def check_parts(config: BridgeConfig, folder: Path, found: BridgeSessions) -> list[Part]:
    """Return all rows of all recordings; refuse those that the responses do not allow.

    Raises
    ------
    ConfigError, DataError
        If a row wants time bins that are not there, two recordings have one name, or there is
        nothing to tell apart.
    CheckpointError
        If pretrained models are of something else.
    """
    parts = list(parts_of(config, folder, found))
    for part in parts:
        if part.row == "temporal attention" and part.session.pairs.values.ndim < 3:
            raise ConfigError(
                f"model.rows: temporal attention reads time bins, and {part.session.path} has "
                "none: leave the row out, or prepare the responses with bins"
            )
    require_names(found)
    for session in found.sessions:
        folds = session.fold[(session.pairs.part == "train") & session.labelled]
        require_folds(np.bincount(folds[folds >= 0], minlength=config.training.num_folds))
        if config.model.pretrained is not None:
            open_pretrained(config.model.pretrained, session)
    fewest = min(int(np.sum(each.pairs.part == "test")) for each in found.sessions)
    if fewest < 2:
        raise DataError(f"a recording has {fewest} test picture: too few to tell it from another")
    return parts
