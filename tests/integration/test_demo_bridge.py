"""``neurohorizon demo bridge``, cut to the shortest."""

import pytest
from PIL import Image

from neurohorizon.cli.app import main
from neurohorizon.evaluation.pictures import gate
from neurohorizon.evaluation.pictures.result_files import load_reconstruction

SMALL = {
    "--num-categories": 30,
    "--images-per-category": 6,
    "--test-images": 24,
    "--encoder-steps": 4,
    "--judge-steps": 80,
    "--decoder-steps": 70,
    "--batch-size": 16,
}
OVERRIDES = ["model.rows=[whitened ridge]", "training.budget=1", "training.num_folds=2"]


def demo(out, *overrides, **changed):
    words = [str(each) for pair in {**SMALL, **changed}.items() for each in pair]
    return main(["demo", "bridge", *overrides, *words, "--out", str(out)])


def test_the_demo_of_seeing_goes_the_whole_way(tmp_path, capsys, monkeypatch):
    # Seventy steps are too few for the bar that decoders must pass; chance is 0.5.
    monkeypatch.setattr(gate, "FAR_ABOVE", 0.7)
    out = tmp_path / "demo"
    assert demo(out, *OVERRIDES) == 0
    printed, told = capsys.readouterr()
    steps = [line for line in told.splitlines() if line[1:4] == "/7 "]
    assert [line[0] for line in steps] == list("1234567")
    into = out / "what" / "results" / "reconstruction" / "decoder"
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
    # What is simulated, trained and drawn is kept; it is scored and reported anew.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert demo(out, *OVERRIDES) == 0
    again = {path for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert page in again
    assert all(path.is_relative_to(into) for path in again)
    assert not again & set(drawn)
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
