"""What behaviour and pictures are worth, on a world in which that is planted: some two hours.

    python benchmarks/conditions.py

runs ``neurohorizon sweep contributions`` below ``sweeps/bench-contributions`` (finished runs are
skipped, so it can be stopped and started again; with ``--now`` it takes what is there) and writes
``benchmarks/results/conditions.md`` and ``.json``: what each condition is worth by training without
it and by permuting it, to the units that it drives and to all others, and how well those are told
apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from writing import write_results

from neurohorizon.configs.records import load_run
from neurohorizon.configs.run_sweep import run_sweep
from neurohorizon.configs.sweep_plan import plan_sweep
from neurohorizon.evaluation.bootstrap import Interval, bootstrap
from neurohorizon.evaluation.contributions import Contributions, unit_contributions
from neurohorizon.evaluation.run_results import RESULTS_FOLDER, SetResults, load_run_results
from neurohorizon.evaluation.summary import difference, pooled
from neurohorizon.simulate.drives import SimulatedDrives
from neurohorizon.simulate.truth import load_truth

FOLDER = Path("sweeps/bench-contributions")
WHOLE = "driven"
#: What each condition is called by a member trained without it, and in tables.
RETRAINED = {"behavior": "no behaviour", "images": "no pictures"}
WORDS = {"behavior": "running", "images": "pictures"}


def main() -> None:
    """Sweep, and write what was found."""
    parser = argparse.ArgumentParser(description="What conditions are worth, where it is known.")
    parser.add_argument("--sweep", type=Path, default=FOLDER, help="folder of the sweep")
    parser.add_argument("--now", action="store_true", help="train nothing: what is there")
    arguments = parser.parse_args()
    plan = plan_sweep("contributions", folder=arguments.sweep)
    if not arguments.now:
        run_sweep(plan, command_line=sys.argv)
    sets: dict[str, SetResults] = {}
    for run in plan.runs:
        if (run.folder / RESULTS_FOLDER / "held-out.contributions.npz").exists() or (
            run.member == "neither" and (run.folder / RESULTS_FOLDER / "held-out").exists()
        ):
            sets[run.member] = load_run_results(run.folder / RESULTS_FOLDER).sets["held-out"]
    whole = sets[WHOLE]
    first = next(run for run in plan.runs if run.member == WHOLE)
    folder = load_run(first.folder).recordings_folder
    drives = {
        each.recording: load_truth(folder / f"{each.recording}.h5").drives
        for each in whole.contributions
    }
    found = {
        "horizons_s": whole.rows.protocol.horizons_s,
        "scores": score_rows(sets),
        "worth": [*retrained(sets, drives), *by_permutation(whole.contributions, drives)],
        "recovery": recovery(whole.contributions, drives),
    }
    title = "What behaviour and pictures are worth, where it is known"
    write_results("conditions", title, write_markdown(found), found)


def planted(drives: SimulatedDrives, modality: str) -> NDArray[np.bool_]:
    """Tell which units a condition drives, (N,)."""
    if modality == "behavior":
        return drives.running_weight != 0
    return (drives.picture_weight != 0).any(axis=1)


def score_rows(sets: Mapping[str, SetResults]) -> list[dict[str, Any]]:
    """Return bits per spike of every member, and of the ladder's two stacks."""
    rows = [(name, of_set, of_set.model) for name, of_set in sets.items()]
    whole = sets[WHOLE]
    rows += [(name, whole, name) for name in ("stack", "stack + conditions")]
    table = [{"row": name} | as_numbers(pooled(s.rows, row)) for name, s, row in rows]
    step = difference(whole.rows, whole.model, "stack + conditions")
    return [*table, {"row": f"{WHOLE} minus stack + conditions"} | as_numbers(step)]


def retrained(
    sets: Mapping[str, SetResults], drives: Mapping[str, SimulatedDrives | None]
) -> list[dict[str, Any]]:
    """Return what models trained without a condition lack, for driven units and others."""
    rows, whole = [], sets[WHOLE]
    for modality, member in RETRAINED.items():
        if member not in sets:
            continue
        other = sets[member]
        for driven in (True, False):
            gains, spikes = [], []
            for recording, drive in drives.items():
                assert drive is not None
                chosen = planted(drive, modality) == driven
                mine = whole.rows.scores[whole.model, recording]
                theirs = other.rows.scores[other.model, recording]
                gain = mine.at_horizons(mine.log_likelihood - theirs.log_likelihood)
                gains.append(gain[:, chosen].sum(axis=1))
                spikes.append(mine.at_horizons(mine.spikes)[:, chosen].sum(axis=1))
            rows.append(as_row(modality, "retrained", driven, bootstrap(gains, spikes)))
    return rows


def by_permutation(
    found: Sequence[Contributions], drives: Mapping[str, SimulatedDrives | None]
) -> list[dict[str, Any]]:
    """Return what permuting and withholding cost driven units and others."""
    rows = []
    for place, (modality, way) in enumerate(zip(found[0].modality, found[0].way, strict=True)):
        for driven in (True, False):
            gains, spikes = [], []
            for each in found:
                drive = drives[each.recording]
                assert drive is not None
                chosen = planted(drive, modality) == driven
                gains.append(each.gain[place, :, 0][:, chosen].sum(axis=1))
                spikes.append(each.spikes[:, 0][:, chosen].sum(axis=1))
            rows.append(as_row(str(modality), str(way), driven, bootstrap(gains, spikes)))
    return rows


def recovery(
    found: Sequence[Contributions], drives: Mapping[str, SimulatedDrives | None]
) -> list[dict[str, Any]]:
    """Say how well driven units are told from others by what permuting costs them."""
    table, rows = unit_contributions(found), []
    for modality, word in WORDS.items():
        mine = [r for r in table if r["modality"] == modality and r["way"] == "permuted"]
        truth = np.concatenate([planted(drives[e.recording], modality) for e in found])  # type: ignore[arg-type]
        worth = np.array([row["bits_per_spike"] for row in mine])
        driven = np.array([row["driven"] for row in mine])
        rows.append(
            {
                "condition": word,
                "units": len(truth),
                "driven": int(truth.sum()),
                "found": int((driven & truth).sum()),
                "falsely_found": int((driven & ~truth).sum()),
                "auc": round(float(roc_auc_score(truth, worth)), 3),
            }
        )
    return rows


def as_row(modality: str, way: str, driven: bool, interval: Interval) -> dict[str, Any]:
    """Name a difference."""
    units = "driven" if driven else "others"
    return {"condition": WORDS[modality], "way": way, "units": units} | as_numbers(interval)


def as_numbers(interval: Interval) -> dict[str, list[float]]:
    """Return values and ends of intervals, rounded."""
    return {
        "bits_per_spike": np.round(interval.value, 4).tolist(),
        "low": np.round(interval.low, 4).tolist(),
        "high": np.round(interval.high, 4).tolist(),
    }


def write_markdown(found: Mapping[str, Any]) -> list[str]:
    """Write the results for people."""
    headings = " | ".join(f"{seconds * 1000:g} ms" for seconds in found["horizons_s"])
    dashes = "---:|" * len(found["horizons_s"])

    def cells(row: Mapping[str, Any]) -> str:
        values = zip(row["bits_per_spike"], row["low"], row["high"], strict=True)
        return " | ".join(f"{value:+.4f} [{low:+.4f}, {high:+.4f}]" for value, low, high in values)

    return [
        "The simulated world with drives: running moves some units, pictures others, drawn "
        "independently. Held-out sessions, bits per spike with 95 % intervals. One seed.",
        "",
        f"| row | {headings} |",
        f"|---|{dashes}",
        *(f"| {row['row']} | {cells(row)} |" for row in found["scores"]),
        "",
        "What the whole model has over the one that was trained without a condition (retrained), "
        "was given another moment's (permuted), or none (withheld):",
        "",
        f"| condition | way | units | {headings} |",
        f"|---|---|---|{dashes}",
        *(
            f"| {row['condition']} | {row['way']} | {row['units']} | {cells(row)} |"
            for row in found["worth"]
        ),
        "",
        "Units that gain for sure when a condition is not permuted (false discovery rate 5 %), "
        "against those that it drives:",
        "",
        "| condition | units | driven | of them found | falsely found | AUC |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {r['condition']} | {r['units']} | {r['driven']} | {r['found']} | "
            f"{r['falsely_found']} | {r['auc']:.3f} |"
            for r in found["recovery"]
        ),
    ]


if __name__ == "__main__":
    main()
