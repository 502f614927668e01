"""Read what a page shows of a run of bridges beside its scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.bridge_sessions import open_bridge_sessions
from neurohorizon.configs.records import CONFIG_FILE, Run, load_any_run, load_bridge_run
from neurohorizon.configs.run_bridges import TUNING_FILE, part_folder
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.retrieval.result_files import (
    REGIONS,
    RETRIEVAL,
    WINDOWS,
    load_other,
    load_places,
)
from neurohorizon.evaluation.retrieval.row_names import GREY
from neurohorizon.evaluation.retrieval.transfer_files import TRANSFER, load_transfer
from neurohorizon.evaluation.retrieval.views import RetrievalViews, SimilarityMatrix, Tried
from neurohorizon.evaluation.run_results import RESULTS_FOLDER, read_json
from neurohorizon.models.bridge.files import load_bridge
from neurohorizon.recordings.responses_store import open_responses


def is_bridges(run: Path) -> bool:
    """Tell whether a run folder holds bridges; False where it holds no run."""
    if not (run / CONFIG_FILE).is_file():
        return False
    return isinstance(load_any_run(run).config, BridgeConfig)


def load_retrieval_views(folder: Path) -> RetrievalViews:
    """Read the views of a run that was scored.

    What needs the recordings, areas of units and paths of pictures, is left out where they are
    not at hand any more.

    Raises
    ------
    CheckpointError, DataError
        If the folder holds no run of bridges, or its records are damaged.
    """
    run = load_bridge_run(folder)
    results = folder / RESULTS_FOLDER / RETRIEVAL

    def similarity(row: str, recording: str) -> SimilarityMatrix:
        places = load_places(results, recording)
        if row not in places.responses:
            raise DataError(
                f"{results}/{recording}.places.npz: has no places of {row}: "
                "`neurohorizon bridge retrieve` writes it anew"
            )
        bridge, _ = load_bridge(part_folder(folder, recording, row) / "seed0.safetensors")
        pictures = places.pictures[row]
        return SimilarityMatrix(
            row=row,
            recording=recording,
            hashes=places.hashes,
            values=bridge.compare(
                torch.from_numpy(places.responses[row]), torch.from_numpy(pictures)
            ).numpy(),
            places=pictures,
            measure=bridge.measure,
        )

    return RetrievalViews(
        similarity=similarity,
        tried=list(_tried(run)),
        areas=_areas(run.config),
        paths=_paths(run),
        regions=load_other(folder / RESULTS_FOLDER / REGIONS),
        windows=load_other(folder / RESULTS_FOLDER / WINDOWS),
        transfer=load_transfer(folder / RESULTS_FOLDER / TRANSFER),
    )


def _tried(run: Run[BridgeConfig]) -> Iterator[Tried]:
    model = run.config.model
    names = [*model.rows, *(row + GREY for row in model.grey_rows)]
    for entry in run.data["training"]:
        for name in names:
            path = part_folder(run.folder, entry["id"], name) / TUNING_FILE
            content = read_json(path, {"tried": [], "settings": {}})
            try:
                scores = tuple(float(each["score"]) for each in content["tried"])
                settings = ", ".join(
                    f"{key.replace('_', ' ')} {_short(value)}"
                    for key, value in content["settings"].items()
                )
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError(f"{path}: damaged: fit the row again") from error
            if scores:
                yield Tried(name, entry["id"], scores, settings)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _areas(config: BridgeConfig) -> dict[str, NDArray[np.str_]]:
    try:
        found = open_bridge_sessions(config)
    except (ConfigError, DataError):
        return {}
    return {each.pairs.id: each.pairs.units.area for each in found.sessions}


def _paths(run: Run[BridgeConfig]) -> dict[str, str]:
    paths: dict[str, str] = {}
    for entry in run.data["training"]:
        try:
            images = open_responses(run.recordings_folder / entry["file"]).images
        except DataError:
            continue
        paths |= dict(zip(images.sha256.tolist(), images.path.tolist(), strict=True))
    return paths
