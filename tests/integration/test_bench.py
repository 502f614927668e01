"""``neurohorizon bench`` as a user meets it: it runs, and writes down what it measured."""

import json

import pytest

from neurohorizon.cli.app import main


def test_speeds_are_printed_and_written_down(tmp_path, capsys):
    assert main(["bench", "--quick", "--out", str(tmp_path / "results")]) == 0
    printed = capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "speed.json",
        "speed.md",
    ]
    written = json.loads((tmp_path / "results" / "speed.json").read_text())
    speeds = {speed["name"]: speed["value"] for speed in written["speeds"]}
    assert min(speeds.values()) > 0
    assert 0 < speeds["padding_share"] < 1
    assert speeds["read_ratio"] == speeds["read_single"] / speeds["read_torch_brain"]
    assert {"torch", "torch_brain", "processor", "memory", "num_cpus"} <= set(written["machine"])
    page = (tmp_path / "results" / "speed.md").read_text()
    for speed in written["speeds"]:
        assert speed["what"] in printed
        assert f"| {speed['what']} |" in page
    assert written["date"] in page
    assert "## Encoders" in page
    for what in ("cache", "head", "reading", "encoder_events", "encoder"):
        assert f"{what}_ratio" in speeds
    for what in ("train_small", "infer_small", "train_large", "infer_large", "memory"):
        ratio = speeds[f"decode_{what}_ours"] / speeds[f"decode_{what}_torch_brain"]
        assert speeds[f"decode_{what}_ratio"] == pytest.approx(ratio)
    assert {"bridge_ridge", "bridge_mlp_infonce", "bridge_perceiver"} <= speeds.keys()
    for workers in (0, 2):
        ratio = speeds[f"load_{workers}_ours"] / speeds[f"load_{workers}_torch_brain"]
        assert speeds[f"load_{workers}_ratio"] == pytest.approx(ratio)
