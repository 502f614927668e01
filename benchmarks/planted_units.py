"""Does importance find the units that carry what is decoded, where it is known which they are?

    python benchmarks/planted_units.py           # a quarter of an hour

trains POYO on two simulated sessions in which three units of ten tell of movement (recipe
``reaching``, ``data.carrier_share=0.3``), takes every unit out of its time, and writes
``benchmarks/results/planted_units.md`` and ``.json``: how many of those units are found at a false
discovery rate of 5 %, how many others are, and how well the loss, and attention, tell them apart.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sklearn.metrics import roc_auc_score
from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.load import load_trained
from neurohorizon.configs.records import load_decode_run
from neurohorizon.configs.run_decoder_importance import measure_run_importance
from neurohorizon.configs.run_decoding import (
    evaluate_decoder,
    load_results,
    load_run_importance,
    load_run_views,
)
from neurohorizon.configs.runs import train_run
from neurohorizon.evaluation.decoding.summary import pooled
from neurohorizon.recordings.store import open_recording
from neurohorizon.simulate.truth import load_truth

RUN = Path("runs/bench-planted-units")
RECIPE = "reaching"
OVERRIDES = (
    "data.num_sessions=2",
    "data.num_held_out=0",
    "data.carrier_share=0.3",
    "training.max_epochs=15",
    "training.tokens_per_batch=16000",
    "evaluation.rows=[mean,Wiener,Kalman smoother]",
)


def main() -> None:
    """Train, measure, compare with the truth, and write the table."""
    loaded = load_trained(RECIPE, list(OVERRIDES), folder=RUN)
    with StageProgress() as progress:
        train_run(loaded, resume=True, command_line=sys.argv, progress=progress)
        evaluate_decoder(RUN, progress=progress)
        measure_run_importance(RUN, progress=progress)
    result, views = load_results(RUN)["later"], load_run_views(RUN)
    assert views is not None
    attention = {each.recording: each for each in views.attention}
    folder = load_decode_run(RUN).recordings_folder
    rows: list[dict[str, Any]] = []
    for found in load_run_importance(RUN):
        path = folder / f"{found.recording}.h5"
        truth, units = load_truth(path), open_recording(path).units.id.tolist()
        measured = [units.index(unit) for unit in found.unit_id.tolist()]
        carrier = truth.is_carrier[measured]
        share = attention[found.recording]
        rows.append(
            {
                "recording": found.recording,
                "units": len(carrier),
                "carriers": int(carrier.sum()),
                "found": int((found.read & carrier).sum()),
                "found_falsely": int((found.read & ~carrier).sum()),
                "auc_loss": roc_auc_score(carrier, found.loss),
                "auc_attention": roc_auc_score(carrier, share.attention[measured]),
                "auc_tokens": roc_auc_score(carrier, share.tokens[measured]),
                "r2": found.score,
            }
        )
    names = [row.name for row in result.rows]
    _write(rows, {name: pooled(result, name, "velocity").value[0] for name in names})


def _write(rows: list[dict[str, Any]], scores: dict[str, float]) -> None:
    told = " ".join(f"'{each}'" if " " in each else each for each in OVERRIDES)
    lines = [
        f"`neurohorizon train {RECIPE} {told}`. R² of velocity on test blocks: "
        + ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        + ".",
        "",
        "| recording | units | carriers | found | others found | AUC of the loss | of attention "
        "| of the number of tokens |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row['recording']} | {row['units']} | {row['carriers']} | {row['found']} | "
            f"{row['found_falsely']} | {row['auc_loss']:.3f} | {row['auc_attention']:.3f} | "
            f"{row['auc_tokens']:.3f} |"
        )
    title = "Units that carry what is decoded, found by importance"
    write_results("planted_units", title, lines, {"scores": scores, "rows": rows})


if __name__ == "__main__":
    main()
