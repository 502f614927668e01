"""``neurohorizon demo decode``, cut to the shortest."""

from neurohorizon.cli.app import main


def test_the_demo_of_decoding_goes_the_whole_way(tmp_path, capsys):
    run = tmp_path / "run"
    small = [
        f"data.folder={tmp_path / 'simulated'}",
        "data.num_sessions=1",
        "data.num_held_out=1",
        "data.minutes=2.5",
        "data.units=[8, 10]",
        "training.max_epochs=1",
        "training.steps_per_epoch=3",
        "training.tokens_per_batch=1500",
        "evaluation.rows=[mean, Wiener]",
        "evaluation.minutes=[0.5]",
    ]
    command = ["demo", "decode", *small, "--max-steps", "10", "--out", str(run)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "Kalman smoother, 0.5 min" in printed
    assert "open the report" in printed
    page = (run / "report" / "index.html").read_text()
    assert "New sessions" in page
    done = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert main(command) == 0
    again = {path for path in done if path.stat().st_mtime_ns != done[path]}
    pages = {path for path in again if "report" in path.relative_to(run).parts}
    assert again == pages, "what is done is skipped, but for the pages"
