"""What a sweep's page and LaTeX table say of members whose numbers are known."""

import re
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.sweep_results import SeedResult, SweepMember, SweepResults, sums_of
from neurohorizon.evaluation.sweep_table import recording_bits, sweep_rows
from neurohorizon.report.sweep_figures import (
    compute_scaling,
    compute_transfer,
    shown_horizons,
)
from neurohorizon.report.sweep_latex import latex_table
from neurohorizon.report.sweep_page import SweepFigures, describe_moves, swept_set

WIDTHS = {"narrow_1": 16, "width=32": 32, "width=64": 64}


@pytest.fixture(scope="module")
def results(cases, peek):
    shares = {"narrow_1": 0.1, "width=32": 0.15, "width=64": 0.2}
    found = evaluate([peek(name, share) for name, share in shares.items()], cases)
    members = []
    for name, width in WIDTHS.items():
        of_set = sums_of(found, [name] * len(found.protocol.horizons_s))
        seeds = {
            seed: SeedResult(
                seed, {"held-out": of_set}, {20.0: of_set}, {}, {}, {}, 100 * width, 90.0
            )
            for seed in (0, 1)
        }
        settings = {} if width == 16 else {"model.width": str(width)}
        members.append(SweepMember(name, [], settings, seeds, [], {"model.width": width}))
    record = {"name": "widths", "recipe": "tiny", "factors": {"model.width": []}, "each": None}
    return SweepResults(record, members)


@pytest.fixture(scope="module")
def rows(results):
    return sweep_rows(results, "held-out")


def test_the_verdict_names_what_moved(rows):
    told = describe_moves("held-out waves", rows)
    values = [row.step.interval.value[0] for row in rows[1:]]
    assert told == (
        "On held-out waves, of 2 members against narrow_1 at 100 ms, in bits/spike: none is surely "
        f"below; surely above: width=32 ({values[0]:+.4f}), width=64 ({values[1]:+.4f}); 0 not "
        "surely either."
    )


def test_tables_hold_differences_seeds_and_wins(results, rows):
    tables = swept_set("held-out", rows, results).tables
    cell = tables[0].rows[1].cells[0]
    assert cell.value == f"{rows[2].step.interval.value[0]:+.4f}"
    assert cell.interval.endswith("]\n2/2 seeds · won 3/3")
    assert cell.mark == "above"
    about = [each.value for each in tables[1].rows[2].cells]
    assert about[:3] == ["6,400", "1.5 min", "2"]
    assert about[3] == f"{rows[2].level.value[0]:.3f} ± 0.000"
    assert about[-1] == "–"  # one set: no gap


def test_scaling_is_told_by_parameters(results, rows):
    (curve,) = compute_scaling(results, "held-out")
    assert curve.label == "parameters"
    assert curve.x.tolist() == [1600, 3200, 6400]
    values = [record["bits_per_spike"] for record in curve.table() if record["horizon_s"] == 0.1]
    np.testing.assert_allclose(values, [row.level.value[0] for row in rows])
    assert compute_transfer(results) is None


def test_who_was_scored_after_training_on_whom(results):
    """Three recordings of two laboratories; a member that knows one of each by heart."""
    of_set = results.members[0].seeds[0].sets["held-out"]
    names = sorted(of_set.recordings)
    groups = {"B": names[1:], "A": names[:1]}
    members = []
    for lab, own in groups.items():
        parts = {
            name: replace(of_set, recordings={one: of_set.recordings[one] for one in chosen})
            for name, chosen in (("held-out", set(names) - set(own)), ("later", own))
        }
        seeds = {0: replace(results.members[0].seeds[0], sets=parts)}
        members.append(replace(results.members[0], name=f"trained on {lab}", seeds=seeds))
    record = {**results.record, "each": "laboratory", "groups": groups}
    matrix = compute_transfer(SweepResults(record, members))
    assert (matrix.trained_on, matrix.scored_on) == (["B", "A"], ["A", "B"])
    wanted = [recording_bits(of_set, groups[lab]) for lab in "AB"]
    np.testing.assert_allclose(matrix.value, [wanted, wanted])


def test_all_figures_are_drawn_with_their_numbers(results, rows, tmp_path):
    figures = SweepFigures(tmp_path, {}).all_of(results, "held-out", rows)
    names = ["differences_held-out", "scaling_model.width_held-out", "horizons_held-out"]
    assert [figure.name for figure in figures] == names
    for name in names:
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) > len(WIDTHS)


def test_the_latex_table_is_whole(results, rows):
    text = latex_table(rows, results, "held-out")
    assert r"narrow\_1 & 1,600 & $" in text
    assert len(re.findall(r"\\\\$", text, re.M)) == 1 + len(rows)
    step = rows[2].step.interval
    told = f"{step.value[0]:+.4f} [{step.low[0]:+.4f}, {step.high[0]:+.4f}]"
    assert rf"$\mathbf{{{told}}}$ \\" in text
    columns = {line.count("&") for line in text.splitlines() if line.endswith(r"\\")}
    assert columns == {2 + len(rows[0].horizons_s)}


def test_a_table_has_room_for_four_horizons():
    assert shown_horizons([0.1, 0.5]) == [0, 1]
    assert shown_horizons([0.1 * index for index in range(10)]) == [0, 3, 6, 9]
