"""One set of windows as the page shows it: the answer, and all tables."""

from __future__ import annotations

from dataclasses import dataclass

from neurohorizon.evaluation.answer import answer
from neurohorizon.evaluation.predictability import describe_predictability
from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import difference, pooled, wins
from neurohorizon.report.glance import SMALLEST_LEVEL, glance_table
from neurohorizon.report.page_parts import PageTable
from neurohorizon.report.set_figures import observer_note
from neurohorizon.report.tables import (
    ablation_rows,
    contribution_rows,
    cosmoothing_rows,
    count,
    difference_rows,
    reference_rows,
    score_rows,
    variant_rows,
)

VARIANT_NAMES = {
    "own": "own",
    "nlb": "nlb",
    "mtm": "mtm",
    "d2": "D²",
    "correlation": "correlation",
    "r2": "R²",
    "psth_r2": "PSTH R²",
}


OWN = (
    "own: bits per spike under the row's own distribution of counts, where the score takes its "
    "expected counts as Poisson's. "
)


@dataclass(frozen=True)
class PageSet:
    """One set of windows as the page shows it.

    Parameters
    ----------
    name, title : str
    answer, margin, size : str
        The answer to "is a GLM enough here?", the numbers behind it, and how much that is.
    glance : PageTable or None
    tables : list of PageTable
        Everything in numbers.
    """

    name: str
    title: str
    answer: str
    margin: str
    size: str
    glance: PageTable | None
    tables: list[PageTable]


def page_set(of_set: SetResults) -> PageSet:
    """Gather what the page says of a set."""
    result = of_set.rows
    say = answer if of_set.has_model else describe_predictability
    told, _, margin = say(result).partition(": ")
    headings = [f"{horizon_s * 1000:g} ms" for horizon_s in result.protocol.horizons_s]
    if not result.scored_cases():
        return PageSet(of_set.name, result.title, told, margin, "", None, [])
    note = ""
    if of_set.observer is not None:
        note = (
            "Shares of the ideal observer are shares of the bits that can be reached: of it and "
            "the row on the same windows, the strongest baseline's beneath. It knows how the "
            "world was simulated and sees only the spikes; " + observer_note(of_set)
        )
    tables = [
        PageTable(
            "Bits per spike over the null",
            "Cumulative to each horizon, all recordings together, with 95 % intervals. Bold: the "
            "best of model and baselines. Baselines from the null to the strongest; cheats and "
            "ceilings know more than a forecaster may.",
            headings,
            score_rows(result),
        ),
        PageTable(
            f"{of_set.lead} minus each row",
            "Paired differences in bits per spike. Blue: the interval lies above 0; orange-red: "
            "below.",
            headings,
            difference_rows(result, of_set.lead),
        ),
    ]
    if ablations := ablation_rows(of_set):
        tables.append(
            PageTable(
                f"What {of_set.lead} leans on",
                "The same weights with one part withheld, minus the whole model. Adapter withheld: "
                "without the closed-form population forecast. Labels shuffled: each window's spike "
                "events given to random units, so only who fired is lost.",
                headings,
                ablations,
            )
        )
    if worth := contribution_rows(of_set):
        tables.append(
            PageTable(
                f"What {of_set.lead} loses without each condition",
                "The whole model minus the same weights with a condition permuted (of another "
                "moment of the same session) or withheld, or minus a model that was trained "
                "without it (retrained): above 0, the condition helps. By area "
                "where there are several; by thirds of the movement before the origin (of the "
                "first series); and by whether a picture came on in the last 0.3 s.",
                headings,
                worth,
            )
        )
    if co_bps := cosmoothing_rows(of_set):
        hidden = sum(len(each.unit_id) for each in of_set.cosmoothing)
        seen = sum(each.num_seen for each in of_set.cosmoothing)
        tables.append(
            PageTable(
                "Units told from others",
                f"Co-smoothing: {hidden:,} of {count(hidden + seen, 'unit')} are hidden, and their "
                "counts told from those of all others at the same time. co-bps: bits per spike "
                "over each hidden unit's mean in what is evaluated (Neural Latents Benchmark).",
                ["co-bps", f"{of_set.lead} minus it"],
                co_bps,
            )
        )
    if of_set.observer is not None:
        tables.append(
            PageTable(
                "On the windows of the ideal observer",
                "Bits per spike; " + observer_note(of_set),
                headings,
                score_rows(result, observer=of_set.observer),
            )
        )
    lengths, rows = reference_rows(of_set)
    if rows:
        tables.append(
            PageTable(
                f"By seconds of reference, {headings[0]}",
                "Bits per spike when so many seconds are read of each session, by all rows alike; "
                "the null is the same for all. Below, paired differences to the baseline that is "
                "strongest with the same seconds.",
                lengths,
                rows,
            )
        )
    keys, rows = variant_rows(result)
    ends = list(dict.fromkeys([headings[0], headings[-1]]))
    tables.append(
        PageTable(
            "The same forecasts by other names",
            f"{OWN * ('own' in keys)}"
            "nlb: bits per spike against the mean of the evaluated data (Neural Latents "
            "Benchmark). mtm: the same per unit, then averaged (IBL-MtM). D²: deviance explained, "
            "a recording below 0 counted as 0 (BrainWideBench). Their nulls have seen what is "
            "scored; none of these can be compared with another. Correlation, R² and PSTH R² are "
            "means over units, the last of trial averages in the bins that end at the horizon.",
            [f"{VARIANT_NAMES[key]}\n{end}" for key in keys for end in ends],
            rows,
        )
    )
    return PageSet(
        name=of_set.name,
        title=result.title,
        answer=told,
        margin=margin,
        size=_size(of_set),
        glance=PageTable(result.title, note, headings, glance_table(of_set)),
        tables=tables,
    )


def _size(of_set: SetResults) -> str:
    """Say what share of the strongest baseline's bits the difference is, and who wins."""
    if not of_set.has_model:
        return "Whether a network finds more, training one on the same recordings tells."
    result, model = of_set.rows, of_set.lead
    shares = []
    for index, name in enumerate(of_set.rivals):
        level = pooled(result, name).value[index]
        if level >= SMALLEST_LEVEL:
            shares.append(difference(result, model, name).value[index] / level)
    if not shares:
        return ""
    low, high = min(shares), max(shares)
    span = f"{low:+.1%}" if round(low, 3) == round(high, 3) else f"{low:+.1%} to {high:+.1%}"
    won, total = wins(result, model, of_set.rivals[0])[0], len(result.scored_cases())
    return (
        f"That is {span} of the strongest baseline's bits, depending on the horizon; the model "
        f"wins {won} of {count(total, 'recording')} at "
        f"{result.protocol.horizons_s[0] * 1000:g} ms."
    )
