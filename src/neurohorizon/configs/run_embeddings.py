"""Embeddings that the responses of a run's recordings speak for, as banks.

A run folder holds, besides what `align` wrote::

    results/embeddings/RECORDING/ROW/out_of_fold.npz   of training pictures, none by a bridge that
                                                       was fitted to it
    results/embeddings/RECORDING/ROW/test.npz          of test pictures, the mean of all seeds
    results/embeddings/scores.json                     how near they are to the pictures' own
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.configs.run_bridges import (
    Part,
    bank_of,
    load_part,
    open_finished,
    parts_of,
    require_rows,
)
from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.retrieval.predicted import PredictionScore, score_predictions
from neurohorizon.evaluation.run_results import RESULTS_FOLDER
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.checkpoints import hash_weights
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.ops.files import write_json
from neurohorizon.training.bridge.soft_retrieval import fit_soft_retrieval

EMBEDDINGS, SCORES_FILE = "embeddings", "scores.json"
ENCODER = "responses"
Progress = Callable[[str, int, int], None]
Predicted = Literal["out_of_fold", "test"]
Reading = Literal["regression", "retrieval"]
"""By the bridge's own answer, or by a mean of training pictures, weighted by how they fit."""


@dataclass(frozen=True, eq=False)
class PredictedBank:
    """Embeddings that one row predicts from a recording.

    Parameters
    ----------
    recording, row : str
    folder : str
        What the row's folder is called.
    reading : {"regression", "retrieval"}
    part : {"out_of_fold", "test"}
    bank : EmbeddingBank
        Its fingerprint says that responses made it, and which bank's space it is in.
    score : PredictionScore
    """

    recording: str
    row: str
    folder: str
    reading: Reading
    part: Predicted
    bank: EmbeddingBank
    score: PredictionScore


def predict_embeddings(
    folder: Path,
    rows: Sequence[str] = (),
    *,
    reading: Reading = "regression",
    progress: Progress | None = None,
) -> list[PredictedBank]:
    """Predict embeddings by the rows of a run, score them, and write ``results/embeddings``.

    Parameters
    ----------
    folder : path
        A finished run.
    rows : sequence of str
        All of the run's that see colour unless told.
    reading : {"regression", "retrieval"}
    progress : callable, optional

    Raises
    ------
    ConfigError, CheckpointError, DataError
        If the run has no such row, is not finished, or its recordings or banks have changed.
    """
    every = predict_rows(folder, rows, readings=[reading], progress=progress)
    into = folder / RESULTS_FOLDER / EMBEDDINGS
    for each in every:
        each.bank.save(into / each.recording / each.folder / each.part)
    content = [
        {
            "recording": each.recording,
            "row": each.row,
            "reading": each.reading,
            "part": each.part,
            **asdict(each.score),
        }
        for each in every
    ]
    write_json(into / SCORES_FILE, plain({"rows": content}))
    return every


def predict_rows(
    folder: Path,
    rows: Sequence[str] = (),
    *,
    readings: Sequence[Reading] = ("regression",),
    num_trials: int | None = None,
    progress: Progress | None = None,
) -> list[PredictedBank]:
    """Predict embeddings and score them, as :func:`predict_embeddings`, and write nothing.

    With `num_trials`, those of test pictures from so many trials of each.
    """
    run, found = open_finished(folder)
    require_rows(run.config, folder, rows)
    parts = [
        part
        for part in parts_of(run.config, folder, found)
        if not part.grey and part.row in (rows or run.config.model.rows)
    ]
    every = []
    for number, part in enumerate(parts):
        for reading in readings:
            every += _predict(part, bank_of(part, found), reading, num_trials)
        if progress:
            progress("rows read", number + 1, len(parts))
    return every


def _predict(
    part: Part, true: EmbeddingBank, reading: Reading, num_trials: int | None
) -> list[PredictedBank]:
    """Predict what one row says of the pictures of one recording."""
    pairs = part.session.pairs
    train = pairs.only("train").mean_over_trials()
    test = part.session.test_responses(num_trials=num_trials)
    fold_of = dict(zip(pairs.hashes.tolist(), part.session.fold.tolist(), strict=True))
    fold = np.array([fold_of[one] for one in train.hashes.tolist()])
    held = np.flatnonzero(fold >= 0)
    known = true.select(train.hashes.tolist())
    centre = known.mean(axis=0)
    folds, seeds = load_part(part, kind="fold"), load_part(part, kind="seed")
    out_of_fold = np.empty((len(train.hashes), true.num_dimensions), dtype=np.float32)
    if reading == "regression":
        for number, bridge in enumerate(folds):
            out_of_fold[fold == number] = bridge.predict(train.values[fold == number])
        together = np.mean([bridge.predict(test.values) for bridge in seeds], axis=0)
    else:
        mine = [fold == number for number in range(len(folds))]
        fits = [
            bridge.similarity(train.values[own], known[~own])
            for bridge, own in zip(folds, mine, strict=True)
        ]
        retrieval = fit_soft_retrieval(
            fits, [known[~own] for own in mine], [known[own] for own in mine]
        )
        for own, fit in zip(mine, fits, strict=True):
            out_of_fold[own] = retrieval(fit, known[~own])
        every = np.mean([bridge.similarity(test.values, known) for bridge in seeds], axis=0)
        together = retrieval(every, known)

    def make(
        which: Predicted, hashes: NDArray[np.str_], predicted: NDArray[np.float32]
    ) -> PredictedBank:
        chosen = hashes.tolist()
        name_of = dict(zip(true.hashes, true.names, strict=True))
        bank = EmbeddingBank(
            embeddings=predicted,
            hashes=chosen,
            names=[name_of[one] for one in chosen],
            fingerprint=_fingerprint(part, which, reading, true),
        )
        score = score_predictions(predicted, true.select(chosen), centre=centre)
        into = part.folder.name + ("-by-retrieval" if reading == "retrieval" else "")
        return PredictedBank(pairs.id, part.name, into, reading, which, bank, score)

    return [
        make("out_of_fold", train.hashes[held], out_of_fold[held]),
        make("test", test.hashes, together.astype(np.float32)),
    ]


def _fingerprint(
    part: Part, which: Predicted, reading: Reading, true: EmbeddingBank
) -> Fingerprint:
    kind = "fold" if which == "out_of_fold" else "seed"
    return Fingerprint(
        encoder=ENCODER,
        weights=hash_weights(sorted(part.folder.glob(f"{kind}*.safetensors"))),
        settings={
            "recording": part.session.pairs.id,
            "row": part.name,
            "reading": reading,
            "space": true.fingerprint.to_json(),
        },
    )
