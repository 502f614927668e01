"""The report: one HTML page that holds everything it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from neurohorizon import __version__
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.run_results import RunResults, SetResults
from neurohorizon.evaluation.summary import (
    answer,
    difference,
    pooled,
    strongest_by_horizon,
    wins,
)
from neurohorizon.ops.files import atomic_path
from neurohorizon.report.figures import Progress, make_figures, observer_note
from neurohorizon.report.page_figure import PageFigure
from neurohorizon.report.rows import style_of, style_rows
from neurohorizon.report.run_notes import RunNotes, provenance_rows
from neurohorizon.report.tables import (
    SMALLEST_LEVEL,
    TableRow,
    ablation_rows,
    count,
    difference_rows,
    glance_table,
    score_rows,
    variant_rows,
)

FIGURES_FOLDER = "figures"
VARIANT_NAMES = {
    "nlb": "nlb",
    "mtm": "mtm",
    "d2": "D²",
    "correlation": "correlation",
    "r2": "R²",
    "psth_r2": "PSTH R²",
}


@dataclass(frozen=True)
class PageTable:
    """A table as the page prints it.

    Parameters
    ----------
    title, note : str
    headings : list of str
        Of the columns after the first.
    rows : list of TableRow
    """

    title: str
    note: str
    headings: list[str]
    rows: list[TableRow]


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


def write_report(
    results: RunResults,
    notes: RunNotes,
    out: Path | str,
    *,
    metrics_file: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page, and its figures with their numbers into a folder beside it.

    Parameters
    ----------
    results : RunResults
    notes : RunNotes
    out : path
        The page, a ``.html`` file; ``figures/`` beside it receives SVG, PNG and CSV. The
        page itself needs none of them.
    metrics_file : Path, optional
        ``metrics.csv`` of the training.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ConfigError
        If `out` is no ``.html`` file.
    """
    out = Path(out)
    if out.suffix != ".html":
        raise ConfigError(f"{out}: the report is one HTML page: give a name that ends in .html")
    figures = make_figures(
        results, out.parent / FIGURES_FOLDER, metrics_file=metrics_file, progress=progress
    )
    page = render_page(results, notes, figures)
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def render_page(
    results: RunResults, notes: RunNotes, figures: Mapping[str, Sequence[PageFigure]]
) -> str:
    """Fill the template."""
    environment = Environment(
        loader=PackageLoader("neurohorizon.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = typeset_minus
    sets = [_page_set(each) for each in results.sets.values()]
    styles = style_rows([each.rows for each in results.sets.values()])
    colours = {name: style_of(styles, name).text_colour for name in styles}
    return environment.get_template("page.html.j2").render(
        name=notes.name,
        version=__version__,
        sets=sets,
        done=_what_was_done(results, notes),
        figures=figures,
        colours=colours,
        sessions=results.sessions,
        left_out=_left_out(results),
        provenance=provenance_rows(notes, results.made_from),
        files=[
            {"side": side, **entry}
            for side in ("training", "held_out")
            for entry in notes.data.get(side, [])
        ],
        config=notes.config,
    )


def typeset_minus(text: str) -> str:
    """Write a true minus before digits, as tables of numbers want it."""
    return text.replace("-", "−") if any(letter.isdigit() for letter in text) else text


def _page_set(of_set: SetResults) -> PageSet:
    result = of_set.rows
    told, _, margin = answer(result).partition(": ")
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
            f"{of_set.model} minus each row",
            "Paired differences in bits per spike. Blue: the interval lies above 0; orange-red: "
            "below.",
            headings,
            difference_rows(result, of_set.model),
        ),
    ]
    if ablations := ablation_rows(of_set):
        tables.append(
            PageTable(
                f"What {of_set.model} leans on",
                "The same weights with one part withheld, minus the whole model. Adapter withheld: "
                "without the closed-form population forecast. Labels shuffled: each window's spike "
                "events given to random units, so only who fired is lost.",
                headings,
                ablations,
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
    keys, rows = variant_rows(result)
    ends = list(dict.fromkeys([headings[0], headings[-1]]))
    tables.append(
        PageTable(
            "The same forecasts by other names",
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
    result, model = of_set.rows, of_set.model
    shares = []
    for index, name in enumerate(strongest_by_horizon(result)):
        level = pooled(result, name).value[index]
        if level >= SMALLEST_LEVEL:
            shares.append(difference(result, model, name).value[index] / level)
    if not shares:
        return ""
    low, high = min(shares), max(shares)
    span = f"{low:+.1%}" if round(low, 3) == round(high, 3) else f"{low:+.1%} to {high:+.1%}"
    first = strongest_by_horizon(result)[0]
    won, total = wins(result, model, first)[0], len(result.scored_cases())
    return (
        f"That is {span} of the strongest baseline's bits, depending on the horizon; the model "
        f"wins {won} of {count(total, 'recording')} at "
        f"{result.protocol.horizons_s[0] * 1000:g} ms."
    )


def _what_was_done(results: RunResults, notes: RunNotes) -> list[str]:
    """Say in three lines what was trained, what was scored, and against what."""
    first = results.first
    protocol, training = first.rows.protocol, notes.training
    num_baselines = len(first.rows.names("baseline"))
    trained_on = sum(not session["held_out"] for session in results.sessions)
    size = f" ({training['num_parameters']:,} parameters)" if training else ""
    reference = (
        f"{protocol.reference_s:g} s of reference"
        if protocol.reference_s is not None
        else "all that precedes"
    )
    sessions = f", trained on {count(trained_on, 'session')}," if trained_on else ""
    scored = []
    for each in results.sets.values():
        cases = each.rows.scored_cases()
        what = "that training never saw" if each.name == "held-out" else "of the training, later on"
        scored.append(
            f"{count(len(cases), 'session')} {what} "
            f"({count(sum(case.num_units for case in cases), 'unit')}, "
            f"{count(sum(case.num_spikes for case in cases), 'spike')})"
        )
    return [
        f"{first.model}{size}{sessions} and {num_baselines} baselines forecast every unit's spike "
        f"counts in {protocol.spec.bin_s * 1000:g} ms bins up to {protocol.spec.horizon_s:g} s "
        f"ahead, every {protocol.origin_step_s:g} s.",
        f"Scored: {'; and '.join(scored)}. Of each session all rows read the same {reference} to "
        "know its units; no gradient step is taken.",
        "One null a session for every row: each unit's mean rate over the part of the session "
        "that is not scored. Baselines are fitted on the training sessions and tuned on "
        "validation time.",
    ]


def _left_out(results: RunResults) -> list[dict[str, Any]]:
    """List recordings and units that no pooled number counts, and why."""
    rows = []
    for each in results.sets.values():
        for case in each.rows.cases:
            if case.why_not_scored:
                why = f"{case.why_not_scored}: shown, not pooled"
                rows.append({"recording": case.recording, "what": "the recording", "why": why})
            reasons: dict[str, list[str]] = {}
            for unit, why in case.left_out.items():
                reasons.setdefault(why, []).append(unit)
            for why, units in reasons.items():
                named = ", ".join(units[:4]) + (f" and {len(units) - 4} more" * (len(units) > 4))
                rows.append({"recording": case.recording, "what": named, "why": why})
            if case.num_silent:
                rows.append(
                    {
                        "recording": case.recording,
                        "what": count(case.num_silent, "unit"),
                        "why": "scored, though silent in what the null was computed from",
                    }
                )
    return rows
