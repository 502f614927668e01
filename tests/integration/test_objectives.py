"""Beyond forecasts: one checkpoint tells hidden units, and is adapted to a session."""

import json
import re

from neurohorizon.cli.app import main
from neurohorizon.evaluation.run_results import load_run_results
from overrides import SMALL_RUN


def test_one_checkpoint_forecasts_tells_hidden_units_and_is_adapted(tmp_path, capsys, only_error):
    run = tmp_path / "run"
    data = f"data.folder={tmp_path / 'simulated'}"
    share = "training.cosmoothing_share=0.5"
    assert main(["train", "default", *SMALL_RUN, data, share, "--out", str(run)]) == 0
    assert main(["evaluate", str(run), "--set", "held-out", "--no-observer"]) == 0
    printed = capsys.readouterr().out
    assert "bits per spike over the null" in printed
    assert re.search(r"co-smoothing, 2 of \d+ units hidden", printed)
    assert "ridge on smoothed spikes" in printed
    (path,) = tmp_path.glob("simulated/*/*session1000.h5")
    command = ["adapt", str(run), str(path), "--minutes", "1", "--max-steps", "10"]
    assert main([*command, "--mode", "low_rank"]) == 0
    printed = capsys.readouterr().out
    folder = run / "adapted" / f"{path.stem}-low_rank-1min"
    told = json.loads((folder / "adaptation.json").read_text())
    assert told["steps"] == 10
    assert f"{told['num_trained']:,} numbers adapted in 10 steps" in printed
    out = tmp_path / "forecast.npz"
    assert main(["forecast", str(folder), str(path), "--out", str(out), "--reference-s", "30"]) == 0
    assert main([*command, "--out", str(tmp_path / "simulated")]) == 2
    assert "holds something else" in only_error()
    assert main([*command[:4], "60"]) == 2
    assert "give fewer" in only_error()
    (each,) = load_run_results(run / "results").sets["held-out"].cosmoothing
    assert set(each.co_bps()) > {"NeuroHorizon", "smoothed dynamics"}
    few = ["evaluate", str(run), "--set", "held-out", "--no-observer", "--few-shot"]
    assert main([*few, "1.2"]) == 0
    printed = capsys.readouterr().out
    assert "low_rank, 1.2 min" in printed
    assert "computed held-out.few-shot" in printed
    assert main([*few, "1.2"]) == 0
    assert "all was there already" in capsys.readouterr().out
    assert main([*few, "99"]) == 2
    assert "none of 99 fits" in only_error()
    assert main([*few, "0"]) == 2
    assert "--few-shot 0: expected minutes above 0" in only_error()
    assert main(["report", str(run)]) == 0
    page = (run / "report" / "index.html").read_text()
    assert "Units told from others" in page
    assert "Minutes of a session" in page
