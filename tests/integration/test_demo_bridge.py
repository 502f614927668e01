"""``neurohorizon demo bridge``, cut to the shortest."""

from functools import partial

import pytest
from PIL import Image

from neurohorizon.cli.app import main
from neurohorizon.configs import run_reconstruction
from neurohorizon.evaluation.pictures.gate import oracle_gate
from neurohorizon.evaluation.pictures.result_files import load_reconstruction

SMALL = {
    "--num-categories": 30,
    "--images-per-category": 6,
    "--test-images": 24,
    "--encoder-steps": 4,
    "--judge-steps": 60,
    "--decoder-steps": 50,
    "--batch-size": 16,
}
OVERRIDES = ["model.rows=[whitened ridge]", "training.budget=1", "training.num_folds=2"]


def demo(out, *overrides, **changed):
    words = [str(each) for pair in {**SMALL, **changed}.items() for each in pair]
    return main(["demo", "bridge", *overrides, *words, "--out", str(out)])


def test_the_demo_of_seeing_goes_the_whole_way(tmp_path, capsys, monkeypatch):
    out = tmp_path / "demo"
    into = out / "what" / "results" / "reconstruction" / "decoder"
    # A bar that nothing passes: all is simulated and trained, and nothing is reported.
    monkeypatch.setattr(run_reconstruction, "oracle_gate", partial(oracle_gate, threshold=2.0))
    assert demo(out, *OVERRIDES) == 2
    *steps, error = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in steps] == [f"{number}/7" for number in range(1, 8)]
    assert "no result is reported, the oracle gate failed" in error
    assert not (into / "scores").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    # Given again, it goes on from there. Fifty steps are too few for the bar that is.
    monkeypatch.setattr(run_reconstruction, "oracle_gate", partial(oracle_gate, threshold=0.6))
    assert demo(out, *OVERRIDES) == 0
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    printed = capsys.readouterr().out
    page = into / "index.html"
    assert printed.splitlines()[-1] == f"open the report: {page}"
    assert "drawn by decoder from what whitened ridge" in printed
    assert "Oracle gate, decoder: passed" in page.read_text(encoding="utf-8")
    result = load_reconstruction(into / "scores")
    assert len(result.cases[0].hashes) == SMALL["--test-images"]
    grid = Image.open(next((into / "figures").glob("reconstruction_grid_*.png")))
    assert grid.width > 500
    drawn = list((into / "pictures").rglob("decoder-from-responses/0/*.png"))
    assert len(drawn) == SMALL["--test-images"]
    # Another world in the same folder would mix two.
    assert demo(out, *OVERRIDES, **{"--noise": 2}) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert f"{out / 'world'}" in error


@pytest.mark.parametrize(
    ("overrides", "changed", "told"),
    [
        (["training.bugdet=1"], {}, "training.bugdet"),
        ([], {"--num-categories": 0}, "num_categories is 0: expected 1 to"),
        ([], {"--noise": -1}, "noise is -1.0: expected 0 or more"),
        ([], {"--batch-size": 1}, "batch_size is 1: expected 2 or more"),
        ([], {"--decoder-steps": 0}, "decoder-steps"),
        ([], {"--seed": -1}, "seed is -1: expected 0 or more"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(overrides, changed, told, tmp_path, capsys):
    assert demo(tmp_path / "demo", *overrides, **changed) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
