"""The page says what was found, holds all it shows, and trusts no text that it prints."""

import csv
import re
from dataclasses import replace

import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.answer import answer
from neurohorizon.evaluation.baselines.constant import Mean, ReferenceRate
from neurohorizon.evaluation.describe import describe_session
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.identities import gather_identities
from neurohorizon.evaluation.predictability import describe_predictability
from neurohorizon.evaluation.run_results import RunResults, SetResults
from neurohorizon.evaluation.summary import pooled
from neurohorizon.report.figures import make_figures
from neurohorizon.report.page import render_page, write_report
from neurohorizon.report.page_parts import typeset_minus
from neurohorizon.report.run_notes import RunNotes, provenance_rows, read_run_notes

NOTES = RunNotes(
    name="waves",
    config="run:\n  seed: 7\n",
    provenance={
        "seed": 7,
        "recipe": "default",
        "commit": "abc123",
        "libraries": {"torch": "2.13.0"},
        "command_line": ["neurohorizon", "train", "default"],
        "data_sha256": "f" * 64,
    },
    data={"training": [], "held_out": [{"file": "s0.h5", "sha256": "0" * 64}]},
    training={"num_parameters": 1234, "epochs": 3, "steps": 30, "seconds": 75.0},
)


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    metrics = folder / "metrics.csv"
    metrics.write_text("step,train_loss,valid_bits_per_spike_1000ms\n1,0.3,0.1\n2,0.2,0.2\n")
    page = write_report(results, NOTES, folder / "index.html", metrics_file=metrics)
    return page, page.read_text()


def test_the_page_needs_nothing_else(written):
    _, text = written
    assert not re.search(r"https?://", text)
    sources = re.findall(r'<img src="([^"]{30})', text)
    assert len(sources) >= 10
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "<script" not in text


def test_the_headline_is_the_answer_with_its_size(written, results):
    _, text = written
    told, _, margin = answer(results.first.rows).partition(": ")
    assert f"<h1>{told}</h1>" in text
    assert typeset_minus(margin) in text
    rows = results.first.rows
    share = pooled(rows, "model").value / pooled(rows, "glm").value - 1
    assert f"{min(share):+.1%} to {max(share):+.1%} of the strongest baseline" in text
    assert "the model wins 3 of 3 recordings at 100 ms" in text


def test_what_was_done_and_left_out_is_said(written, results):
    _, text = written
    num_units = sum(case.num_units for case in results.first.rows.cases)
    assert f"3 sessions that training never saw ({num_units} units" in text
    assert "the same reference (20 s)" in text
    assert "Validation warns" not in text, "it has notes alone"
    assert "quality &#39;unsorted&#39;" in text
    assert "windows: it is drawn at the score of model" in text


def test_warnings_of_validation_are_not_passed_over(results):
    warned = {
        **results.sessions[0],
        "findings": [{"severity": "warning", "what": "2 pairs of units are nearly the same"}],
    }
    text = render_page(replace(results, sessions=[warned, *results.sessions[1:]]), NOTES, {})
    assert "Validation warns of 1 of 3 recordings" in text


def test_provenance_is_complete(written):
    _, text = written
    for part in ("abc123", "torch 2.13.0", "neurohorizon train default", "seed 7", "1 min 15 s"):
        assert part in text
    assert "0" * 64 in text
    assert "seed: 7" in text


def test_figures_come_with_their_numbers(written, results):
    page, _ = written
    folder = page.parent / "figures"
    names = {path.stem for path in folder.glob("*.svg")}
    assert {"horizon_held-out", "differences_held-out", "raster", "psth", "training"} <= names
    assert "ablations_held-out" in names
    for name in names:
        assert (folder / f"{name}.png").is_file()
        assert (folder / f"{name}.csv").read_text().count("\n") > 1
    with (folder / "horizon_held-out.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["row"] == "model"]
    values = pooled(results.first.rows, "model").value
    assert [float(row["bits_per_spike"]) for row in rows] == pytest.approx(list(values))


def test_names_from_files_are_escaped(results, written):
    del written  # figures are drawn already; the page alone is what matters here
    session = {**results.sessions[0], "recording": "<script>alert(1)</script>"}
    text = render_page(replace(results, sessions=[session]), NOTES, {})
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_a_page_without_scored_recordings_still_says_so(results):
    of_set = results.first
    cases = [
        replace(case, why_not_scored="12 test spikes, fewer than 2000")
        for case in of_set.rows.cases
    ]
    empty = replace(of_set, rows=replace(of_set.rows, cases=cases), observer=None, ablations=None)
    nothing = replace(results, sets={"held-out": empty})
    text = render_page(nothing, RunNotes("empty"), {})
    assert "Nothing was scored" in text
    assert "12 test spikes, fewer than 2000: shown, not pooled" in text


def test_no_figure_is_asked_of_nothing(results, tmp_path):
    of_set = results.first
    cases = [replace(case, why_not_scored="too few") for case in of_set.rows.cases]
    empty = replace(of_set, rows=replace(of_set.rows, cases=cases), observer=None, ablations=None)
    assert make_figures(replace(results, sets={"held-out": empty}), tmp_path) == {}


def test_the_page_has_an_html_name(results, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        write_report(results, NOTES, tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_baselines_alone_says_how_predictable_it_is(cases, peek, tmp_path):
    ladder = [Mean(), ReferenceRate(), peek("traces", 0.1, "baseline")]
    rows = evaluate([*ladder, peek("stack", 0.2, "baseline")], cases, title="held-out waves")
    of_set = SetResults("held-out", rows, identities=gather_identities(cases))
    sessions = [describe_session(case.recording, held_out=True) for case in cases]
    alone = RunResults({"held-out": of_set}, sessions, made_from={})
    page = write_report(alone, RunNotes("alone"), tmp_path / "index.html")
    text = page.read_text()
    verdict, _, rest = describe_predictability(rows).partition(": ")
    assert f"<h1>{verdict}</h1>" in text
    assert typeset_minus(rest) in text.replace("&#39;", "'")
    assert "Baselines alone · alone" in text
    assert "what the population adds, paired" in text
    assert "stack minus each row" in text
    names = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert {"horizon_held-out", "differences_held-out", "identity_map"} <= names
    assert not {"ablations_held-out", "training"} & names
    with (tmp_path / "figures/differences_held-out.csv").open() as file:
        assert {(row["row"], row["to"]) for row in csv.DictReader(file)} == {("stack", "traces")}


def test_notes_of_a_bare_folder_are_empty(tmp_path):
    notes = read_run_notes(tmp_path)
    assert notes.name == tmp_path.name
    assert provenance_rows(notes, {}) == []


def test_only_numbers_get_a_true_minus():
    assert typeset_minus("-0.1 [-0.2, +0.3]") == "−0.1 [−0.2, +0.3]"
    assert typeset_minus("reduced-rank") == "reduced-rank"
