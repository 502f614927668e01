"""Tables of a study: rows by horizon, paired differences, wins, lengths of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import difference, pooled, strongest_by_horizon, wins
from neurohorizon.report.reference_length import compute_reference_curves

Results = dict[str, dict[int, dict[str, SetResults]]]
"""By design, seed and set of windows."""
Untrained = dict[str, list[float]]
"""By set of windows: distance of the untrained model from the reference rate, by horizon."""


def study_tables(results: Results, untrained: Untrained) -> tuple[dict[str, Any], list[str]]:
    """Return the tables of all sets of windows, as data and as lines of Markdown."""
    data, lines = {}, []
    for set_name in next(iter(next(iter(results.values())).values())):
        entry, said = set_tables(set_name, results, untrained.get(set_name))
        data[set_name] = entry
        lines += said
    return data, lines


def set_tables(
    set_name: str, results: Results, untrained: list[float] | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the tables of one set of windows."""
    runs = {
        (design, seed): sets[set_name]
        for design, seeds in results.items()
        for seed, sets in seeds.items()
    }
    lead = next(iter(runs.values()))
    horizons = lead.rows.protocol.horizons_s
    rows = [row for row in table(lead.rows) if row["role"] != "model"]
    for (design, seed), of_set in runs.items():
        label = f"{design} (seed {seed})" if len(results[design]) > 1 else design
        rows.append(table(of_set.rows)[0] | {"row": label})
    if lead.ablations is not None:
        rows += [row | {"row": f"{lead.model}, {row['row']}"} for row in table(lead.ablations)]
    differences = {
        f"{design} (seed {seed})": paired(of_set.rows, of_set.model)
        for (design, seed), of_set in runs.items()
    }
    entry: dict[str, Any] = {"horizons_s": list(horizons), "rows": rows, "paired": differences}
    lines = [f"## {lead.rows.title} ({len(lead.rows.scored_cases())} scored)", ""]
    lines += markdown(rows, horizons)
    if lead.observer is not None:
        entry["with_observer"] = table(lead.observer)
        ours, *others = entry["with_observer"]
        ceilings = [row for row in others if row["role"] == "ceiling"]
        share = np.array(ours["bits_per_spike"]) / np.array(ceilings[0]["bits_per_spike"])
        entry["fraction_of_reachable"] = np.round(share, 3).tolist()
        lines += ["With the ideal observer, on its windows:", ""]
        lines += markdown([ours, *ceilings], horizons)
        lines += [
            f"Share of the reachable bits: {' / '.join(f'{each:.0%}' for each in share)}.",
            "",
        ]
    if untrained is not None:
        entry["untrained_to_reference_rate"] = untrained
        lines += [
            f"The untrained default model is within {max(untrained):.0e} bits per spike of the row "
            "reference rate at every horizon.",
            "",
        ]
    lines += ["Paired difference to the strongest row of the ladder:", ""]
    lines += difference_lines(differences)
    if curves := by_reference_length(lead):
        entry["by_reference_length"] = curves
        lines += ["Seconds of reference, the same windows and null (bits per spike):", ""]
        lines += reference_lines(curves)
    return entry, lines


def table(result: EvaluationResult) -> list[dict[str, Any]]:
    """Return every row's bits per spike and interval by horizon."""
    rows = []
    for row in result.rows:
        interval = pooled(result, row.name)
        rows.append(
            {
                "row": row.name,
                "role": row.role,
                "bits_per_spike": [round(float(value), 4) for value in interval.value],
                "low": [round(float(value), 4) for value in interval.low],
                "high": [round(float(value), 4) for value in interval.high],
            }
        )
    return rows


def paired(result: EvaluationResult, model: str) -> list[dict[str, Any]]:
    """Return the model's paired difference to the strongest row at each horizon."""
    rows = []
    for index, name in enumerate(strongest_by_horizon(result)):
        interval, won = difference(result, model, name), wins(result, model, name)
        rows.append(
            {
                "horizon_s": result.protocol.horizons_s[index],
                "strongest": name,
                "difference": round(float(interval.value[index]), 4),
                "low": round(float(interval.low[index]), 4),
                "high": round(float(interval.high[index]), 4),
                "over": interval.over,
                "wins": int(won[index]),
                "recordings": len(result.scored_cases()),
            }
        )
    return rows


def difference_lines(differences: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Format paired differences as a Markdown table."""
    lines = ["| design | horizon | strongest | difference | 95 % interval | wins |"]
    lines += ["|---|---|---|---|---|---|"]
    for design, by_horizon in differences.items():
        for each in by_horizon:
            lines.append(
                f"| {design} | {each['horizon_s'] * 1000:.0f} ms | {each['strongest']} "
                f"| {each['difference']:+.4f} | {each['low']:+.4f} to {each['high']:+.4f} "
                f"| {each['wins']} of {each['recordings']} |"
            )
    return [*lines, ""]


def by_reference_length(of_set: SetResults) -> list[dict[str, Any]]:
    """Return scores by horizon and seconds of reference; none if only one length was scored."""
    horizons = range(len(of_set.rows.protocol.horizons_s))
    curves = [compute_reference_curves(of_set.by_reference, horizon=each) for each in horizons]
    return [record for each in curves if each is not None for record in each.table()]


def reference_lines(records: list[dict[str, Any]]) -> list[str]:
    """Format scores by horizon and seconds of reference as a Markdown table."""
    lengths = sorted({each["reference_s"] for each in records})
    lines = ["| horizon | row | " + " | ".join(f"{each:g} s" for each in lengths) + " |"]
    lines += ["|---" * (len(lengths) + 2) + "|"]
    for row in dict.fromkeys((each["horizon_s"], each["row"]) for each in records):
        cells = [
            f"{each['bits_per_spike']:.4f}"
            for length in lengths
            for each in records
            if (each["horizon_s"], each["row"], each["reference_s"]) == (*row, length)
        ]
        lines.append(f"| {row[0] * 1000:.0f} ms | {row[1]} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def markdown(rows: list[dict[str, Any]], horizons: tuple[float, ...]) -> list[str]:
    """Format rows as a Markdown table, with half-widths of the intervals."""
    lines = ["| row | " + " | ".join(f"{horizon * 1000:.0f} ms" for horizon in horizons) + " |"]
    lines += ["|---" * (len(horizons) + 1) + "|"]
    for row in rows:
        cells = [
            f"{value:.4f} ({low:.3f} to {high:.3f})"
            for value, low, high in zip(row["bits_per_spike"], row["low"], row["high"], strict=True)
        ]
        lines.append(f"| {row['row']} | " + " | ".join(cells) + " |")
    return [*lines, ""]
