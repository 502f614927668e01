"""Pretrain a model of hidden responses for every recording of a run.

A run folder holds, besides its records::

    masked/RECORDING/model.safetensors   the model, its electrodes and the pictures it learned from
    masked/RECORDING/score.json          what it says of hidden responses; the last, so: done
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neurohorizon.configs.bridge_sessions import (
    BridgeSession,
    BridgeSessions,
    describe_bridge_data,
    open_bridge_sessions,
    require_names,
)
from neurohorizon.configs.load import LoadedConfig
from neurohorizon.configs.masked_schema import MaskedConfig
from neurohorizon.configs.records import DONE_FILE, load_any_run, write_records
from neurohorizon.configs.run_folders import alone_in_run, require_folder, require_same_data
from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.bridge.files import load_masked, save_masked
from neurohorizon.models.bridge.masked import MaskedModel
from neurohorizon.models.bridge.masks import require_kind
from neurohorizon.models.weights_file import MODEL_FILE
from neurohorizon.ops.files import checksum, write_json
from neurohorizon.training.bridge.masked import (
    SCORED_FOLD,
    STOPPING_FOLD,
    FillingScore,
    known_categories,
    pretrain,
)
from neurohorizon.training.bridge.tuning import require_folds

Progress = Callable[[str, int, int], None]
MASKED, SCORE_FILE = "masked", "score.json"
#: What every score holds.
SCORED = {each.name for each in fields(FillingScore)}


def pretrain_run(
    loaded: LoadedConfig[MaskedConfig],
    *,
    resume: bool = False,
    command_line: Sequence[str] = (),
    progress: Progress | None = None,
) -> Literal["trained", "resumed", "skipped"]:
    """Pretrain a model for every recording; those that are done are kept.

    Raises
    ------
    ConfigError, DataError
        If something does not fit, or the folder holds a run of other settings.
    """
    config, folder = loaded.config, loaded.config.run.folder
    if require_folder(loaded, resume=resume) == "finished":
        return "skipped"
    found = open_bridge_sessions(config)
    described = describe_bridge_data(found, config)
    check_sessions(config, found)
    with alone_in_run(folder):
        state = require_folder(loaded, resume=resume)
        if state == "new":
            write_records(folder, loaded, described, command_line=command_line)
        else:
            require_same_data(folder, described)
        for session in found.sessions:
            into = model_folder(folder, session.pairs.id)
            if not (into / SCORE_FILE).is_file():
                _pretrain(session, found, config, into, progress)
        write_json(folder / DONE_FILE, {"recordings": len(found.sessions)})
    return "trained" if state == "new" else "resumed"


def model_folder(folder: Path, recording: str) -> Path:
    """Return where a run keeps what it pretrained on a recording."""
    return folder / MASKED / recording


def check_sessions(config: MaskedConfig, found: BridgeSessions) -> None:
    """Refuse settings that the recordings do not allow.

    Raises
    ------
    ConfigError, DataError
        If masks want areas or time bins that are not there, categories are unknown, two recordings
        have one name, or a fold holds too few pictures to stop or to score by.
    """
    require_names(found)
    for session in found.sessions:
        pairs = session.pairs
        try:
            require_kind(config.masks.kind, session.areas, int(np.prod(pairs.values.shape[2:])))
        except ConfigError as error:
            raise ConfigError(f"{session.path}: {error} (masks.kind)") from error
        folds = session.fold[pairs.part == "train"]
        counts = np.bincount(folds, minlength=config.training.num_folds)
        require_folds(counts[[SCORED_FOLD, STOPPING_FOLD]])
        categories = set(pairs.category[pairs.part == "train"].tolist()) - {""}
        if config.training.category_weight and len(categories) < 2:
            raise ConfigError(
                f"{session.path}: training.category_weight is "
                f"{config.training.category_weight:g}, and its pictures have no categories: leave "
                "it out"
            )


def read_scores(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what a run's models say of hidden responses, by recording.

    Raises
    ------
    CheckpointError
        If a score is missing or damaged.
    """
    scores = {}
    for entry in load_any_run(folder).data["training"]:
        path = model_folder(folder, entry["id"]) / SCORE_FILE
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
            whole = written["score"].keys() >= SCORED
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise CheckpointError(
                f"{path}: missing or damaged: pretrain into another folder with --out"
            )
        scores[entry["id"]] = written
    return scores


def open_pretrained(folder: Path, session: BridgeSession) -> MaskedModel:
    """Return what a run pretrained on a recording, for bridges of the same.

    Raises
    ------
    CheckpointError
        If it is no such run or unfinished, lacks the recording, or its model is of other
        electrodes, or learned from responses to pictures that are tested on here, or look like one.
    """
    if not isinstance(load_any_run(folder).config, MaskedConfig):
        raise CheckpointError(
            f"{folder}: holds no pretrained models: give a run of `neurohorizon bridge pretrain`"
        )
    if not (folder / DONE_FILE).is_file():
        raise CheckpointError(
            f"{folder}: is not finished: go on with `neurohorizon bridge pretrain` and --resume"
        )
    pairs = session.pairs
    path = model_folder(folder, pairs.id)
    if not path.is_dir():
        raise CheckpointError(
            f"{folder}: was not pretrained on the recording {pairs.id}: pretrain on the same "
            "recordings"
        )
    model, header = load_masked(path)
    if not {"units", "pictures"} <= header.keys():
        raise CheckpointError(f"{path}: does not say what it learned from: pretrain again")
    spec = model.spec
    same = json.loads(header["units"]) == [str(each) for each in pairs.units.id.tolist()]
    if not same or spec.areas != session.areas or spec.shape != pairs.values.shape[1:]:
        raise CheckpointError(
            f"{path}: was pretrained on responses of shape {spec.shape} a picture, of other "
            f"electrodes, areas or time bins than the {pairs.values.shape[1:]} here: pretrain with "
            "the same data.units"
        )
    # Also what is left out because it looks like a test picture.
    unseen = set(pairs.hashes[pairs.part != "train"].tolist())
    shared = unseen & set(header["pictures"].split())
    if shared:
        raise CheckpointError(
            f"{path}: learned from responses to {len(shared)} of the {len(unseen)} pictures that "
            "are tested on here or look like one: pretrain with the same data.split and data.alike"
        )
    return model


def describe_pretrained(folder: Path, found: BridgeSessions) -> dict[str, str]:
    """Return the checksum of each recording's pretrained model."""
    return {
        each.pairs.id: checksum(model_folder(folder, each.pairs.id) / MODEL_FILE)
        for each in found.sessions
    }


def _pretrain(
    session: BridgeSession,
    found: BridgeSessions,
    config: MaskedConfig,
    into: Path,
    progress: Progress | None,
) -> None:
    name = session.pairs.id
    samples = session.training(found.bank, single_trials=config.data.single_trials)
    done = pretrain(
        samples,
        config.settings(),
        seed=config.run.seed,
        device=config.training.device,
        progress=None if progress is None else lambda n, most: progress(name, n, most),
    )
    about = {
        "recording": name,
        "units": json.dumps([str(each) for each in session.pairs.units.id.tolist()]),
        # Also those that stopped or scored it: no response to them is unseen any more.
        "pictures": " ".join(session.pairs.only("train").hashes.tolist()),
    }
    save_masked(done.model, into / MODEL_FILE, about=about)
    content = {
        "steps": done.steps,
        "score": asdict(done.score),
        "categories": len(known_categories(samples)) if config.training.category_weight else 0,
        "curve": done.curve,
    }
    write_json(into / SCORE_FILE, content)
