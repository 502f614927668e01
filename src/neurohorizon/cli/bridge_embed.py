"""``neurohorizon bridge embed``: the embeddings that responses speak for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress


def embed(
    run: Path,
    /,
    *,
    row: list[str] | None = None,
    by: Literal["regression", "retrieval"] = "regression",
) -> None:
    """Write the embeddings that responses speak for, as banks: out of fold, and of the test.

    What a generator of pictures is fed with, and learns from. Predictions for training pictures
    are of bridges that were not fitted to them. RUN/results/embeddings holds a bank for each
    recording and row, and scores.json, how near predictions are to the pictures' own embeddings.

    Parameters
    ----------
    run
        A folder that `neurohorizon bridge align` wrote.
    row
        A row of the run, such as ridge; may be given several times. All rows unless told.
    by
        regression: what the bridge itself answers. retrieval: the mean of the training pictures'
        own embeddings, weighted by how well each fits the response.
    """
    from neurohorizon.configs.run_embeddings import EMBEDDINGS, predict_embeddings
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER
    from neurohorizon.report.prediction_table import format_predictions

    with StageProgress() as progress:
        banks = predict_embeddings(run, row or (), reading=by, progress=progress)
    print(format_predictions([(each.recording, each.row, each.part, each.score) for each in banks]))
    print(f"written to {run / RESULTS_FOLDER / EMBEDDINGS}")
