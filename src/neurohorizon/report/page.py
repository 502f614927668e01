"""The report: one HTML page that holds everything it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurohorizon import __version__
from neurohorizon.evaluation.run_results import RunResults
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.schema import Recording
from neurohorizon.report.figures import Progress, make_figures
from neurohorizon.report.page_figure import PageFigure
from neurohorizon.report.page_parts import page_environment, page_path
from neurohorizon.report.page_sets import page_set
from neurohorizon.report.rows import style_of, style_rows
from neurohorizon.report.run_notes import RunNotes, provenance_rows
from neurohorizon.report.tables import count

FIGURES_FOLDER = "figures"


def write_report(
    results: RunResults,
    notes: RunNotes,
    out: Path | str,
    *,
    metrics_file: Path | None = None,
    recordings: Sequence[Recording] = (),
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
    recordings : sequence of Recording
        Those to draw session cards of, the most telling first.
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
    out = page_path(out)
    figures = make_figures(
        results,
        out.parent / FIGURES_FOLDER,
        metrics_file=metrics_file,
        recordings=recordings,
        progress=progress,
    )
    page = render_page(results, notes, figures)
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def render_page(
    results: RunResults, notes: RunNotes, figures: Mapping[str, Sequence[PageFigure]]
) -> str:
    """Fill the template."""
    sets = [page_set(each) for each in results.sets.values()]
    also = [name for each in results.sets.values() for name in [each.lead, *each.rivals]]
    styles = style_rows([each.rows for each in results.sets.values()], also=also)
    colours = {name: style_of(styles, name).text_colour for name in styles}
    return (
        page_environment()
        .get_template("page.html.j2")
        .render(
            name=notes.name,
            alone=not results.first.has_model,
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
    )


def _what_was_done(results: RunResults, notes: RunNotes) -> list[str]:
    """Say in some lines what was trained, what was scored, and against what."""
    first = results.first
    protocol, training = first.rows.protocol, notes.training
    num_baselines = len(first.rows.names("baseline"))
    trained_on = sum(not session["held_out"] for session in results.sessions)
    size = f" ({training['num_parameters']:,} parameters)" if training else ""
    reference = "all that may be read"
    if protocol.reference_s is not None:
        reference = f"{protocol.reference_s:g} s"
    sessions = f", trained on {count(trained_on, 'session')}," if trained_on else ""
    who = f"{first.lead}{size}{sessions} and {num_baselines} baselines"
    if not first.has_model:
        who = f"{num_baselines} baselines, fitted on {count(trained_on, 'session')},"
    scored = []
    for each in results.sets.values():
        cases = each.rows.scored_cases()
        stage = "training" if first.has_model else "fitting"
        seen = f"of the {stage}, on time that it did not read"
        what = f"that {stage} never saw" if each.name == "held-out" else seen
        scored.append(
            f"{count(len(cases), 'session')} {what} "
            f"({count(sum(case.num_units for case in cases), 'unit')}, "
            f"{count(sum(case.num_spikes for case in cases), 'spike')})"
        )
    lines = [
        f"{who} forecast every unit's spike counts in {protocol.spec.bin_s * 1000:g} ms bins up "
        f"to {protocol.spec.horizon_s:g} s ahead, every {protocol.origin_step_s:g} s.",
        f"Scored: {'; and '.join(scored)}. Of each session all rows read the same reference "
        f"({reference}) to know its units; no gradient step is taken.",
        "One null a session for every row: each unit's mean rate over the part of the session "
        "that is not scored. Baselines are fitted on the training sessions and tuned on "
        "validation time.",
    ]
    warned = sum(
        any(finding["severity"] != "note" for finding in session["findings"])
        for session in results.sessions
    )
    if warned:
        lines.append(
            f"Validation warns of {warned} of {count(len(results.sessions), 'recording')}: read "
            "what it found, under Sessions, before the numbers."
        )
    return lines


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
