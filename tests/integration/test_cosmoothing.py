"""One checkpoint is scored on forecasts and on hidden units, as a user meets it."""

import re

from neurohorizon.cli.app import main
from neurohorizon.evaluation.run_results import load_run_results

SMALL = [
    "data.num_sessions=2",
    "data.num_held_out=1",
    "data.minutes=2.5",
    "data.units=[8, 10]",
    "model.width=16",
    "model.num_heads=2",
    "model.num_latents=4",
    "training.max_epochs=1",
    "training.steps_per_epoch=4",
    "training.tokens_per_batch=1500",
    "training.accelerator=cpu",
    "reference.num_references=1",
    "evaluation.reference_s=30",
    "evaluation.fewest_spikes=100",
    "evaluation.observer=null",
]


def test_evaluate_reports_forecasts_and_hidden_units(tmp_path, capsys):
    run = tmp_path / "run"
    data = f"data.folder={tmp_path / 'simulated'}"
    share = "training.cosmoothing_share=0.5"
    assert main(["train", "default", *SMALL, data, share, "--out", str(run)]) == 0
    assert main(["evaluate", str(run), "--set", "held-out"]) == 0
    printed = capsys.readouterr().out
    assert "bits per spike over the null" in printed
    assert re.search(r"co-smoothing, 2 of \d+ units hidden", printed)
    assert "ridge on smoothed spikes" in printed
    (each,) = load_run_results(run / "results").sets["held-out"].cosmoothing
    assert set(each.co_bps()) > {"NeuroHorizon", "smoothed dynamics"}
