"""The page of several runs says which is better, by how much, and what differs."""

import csv
import re
from dataclasses import replace

import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.constant import Mean, ReferenceRate
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.summary import difference
from neurohorizon.report.comparison_page import (
    describe_pair,
    setting_rows,
    write_comparison,
)
from neurohorizon.report.page_parts import typeset_minus
from neurohorizon.report.run_notes import RunNotes

CONFIG = "run:\n  name: {name}\nmodel:\n  width: {width}\n  size: tiny\n"
NOTES = {
    "big": RunNotes("big", config=CONFIG.format(name="big", width=64)),
    "a/<small>": RunNotes("small", config=CONFIG.format(name="small", width=16)),
}


@pytest.fixture(scope="module")
def joined(cases, peek):
    rows = [peek("big", 0.2), peek("a/<small>", 0.1), Mean(), ReferenceRate()]
    return {"held-out": evaluate(rows, cases, title="held-out waves")}


@pytest.fixture(scope="module")
def written(joined, tmp_path_factory):
    page = write_comparison(joined, NOTES, tmp_path_factory.mktemp("compared"))
    return page, page.read_text()


def test_the_page_needs_nothing_else_and_trusts_no_name(written):
    _, text = written
    assert not re.search(r"https?://", text)
    sources = re.findall(r'<img src="([^"]{30})', text)
    assert len(sources) == 3
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "<small>" not in text
    assert "<h1>a/&lt;small&gt; against big</h1>" in text


def test_the_verdict_has_the_paired_difference_and_the_wins(joined, written):
    result = joined["held-out"]
    step = difference(result, "a/<small>", "big")
    told = describe_pair(result, "a/<small>", "big")
    assert told == (
        f"a/<small> is surely below big at every horizon: {step.value[0]:+.4f} "
        f"[{step.low[0]:+.4f}, {step.high[0]:+.4f}] bits/spike at 100 ms, where it wins 0 of "
        "3 recordings."
    )
    assert typeset_minus(told).replace("<", "&lt;").replace(">", "&gt;") in written[1]
    assert "surely above a/<small>" in describe_pair(result, "big", "a/<small>")


def test_a_difference_without_interval_is_not_called_sure(cases, peek):
    few = [case.thin(20) for case in cases[:1]]
    result = evaluate([peek("one", 0.2), peek("two", 0.1), Mean()], few)
    assert "too few minutes for an interval" in describe_pair(result, "two", "one")


def test_figures_lie_beside_with_their_numbers(joined, written):
    page, _ = written
    folder = page.parent / "figures"
    assert {path.stem for path in folder.glob("*.svg")} == {
        "horizon_held-out",
        "differences_held-out_a-small-",
        "unit_pairs_held-out_a-small-",
    }
    with (folder / "differences_held-out_a-small-.csv").open() as file:
        pooled = [row for row in csv.DictReader(file) if row["recording"] == "all recordings"]
    step = difference(joined["held-out"], "a/<small>", "big")
    assert [float(row["difference"]) for row in pooled] == pytest.approx(list(step.value))


def test_settings_that_differ_are_listed_and_no_others(written):
    assert setting_rows(NOTES) == [("model.width", ["64", "16"])]
    assert "<tr><td>model.width</td><td>64</td><td>16</td></tr>" in written[1]
    assert "model.size" not in written[1]
    with pytest.raises(DataError, match=r"big: its config\.yaml is damaged"):
        setting_rows({"big": RunNotes("big", config="a: [")})


def test_a_comparison_without_scores_still_says_so(joined, tmp_path):
    result = joined["held-out"]
    cases = [replace(case, why_not_scored="too few") for case in result.cases]
    page = write_comparison({"held-out": replace(result, cases=cases)}, NOTES, tmp_path)
    assert "Nothing was scored" in page.read_text()
