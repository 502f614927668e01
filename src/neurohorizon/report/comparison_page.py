"""Several runs on one page: paired differences, wins, and every row at every horizon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neurohorizon import __version__
from neurohorizon.errors import DataError
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.evaluation.summary import difference, strongest_by_horizon, wins
from neurohorizon.ops.files import atomic_path
from neurohorizon.report.comparison_figures import ComparisonFigures
from neurohorizon.report.figures import Progress
from neurohorizon.report.page_figure import PageFigure
from neurohorizon.report.page_parts import PageTable, page_environment
from neurohorizon.report.rows import style_of, style_rows
from neurohorizon.report.run_notes import RunNotes
from neurohorizon.report.tables import Cell, TableRow, count, named_cell, score_rows, step_cell

FIGURES_FOLDER = "figures"
PAGE_FILE = "index.html"
#: Settings that say where a run was computed, not what it is.
_NOT_COMPARED = ("run.name", "run.folder")


@dataclass(frozen=True)
class ComparedSet:
    """One set of windows as the page shows it.

    Parameters
    ----------
    name, title : str
    verdicts : list of str
        One for each run but the first.
    size : str
        How much was scored.
    glance : PageTable
        Differences to the first run.
    tables : list of PageTable
    """

    name: str
    title: str
    verdicts: list[str]
    size: str
    glance: PageTable
    tables: list[PageTable]


def write_comparison(
    joined: Mapping[SetName, EvaluationResult],
    notes: Mapping[str, RunNotes],
    folder: Path | str,
    *,
    progress: Progress | None = None,
) -> Path:
    """Write the page, and its figures with their numbers into a folder beside it.

    Parameters
    ----------
    joined : mapping of {"held-out", "later"} to EvaluationResult
        From :func:`~neurohorizon.evaluation.comparison.compare_runs`.
    notes : mapping of str to RunNotes
        By run, in the order of the rows; differences are to the first.
    folder : path
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    Path
        The page.
    """
    folder, names = Path(folder), list(notes)
    figures: dict[str, list[PageFigure]] = {}
    scored: dict[SetName, EvaluationResult] = {
        name: result for name, result in joined.items() if result.scored_cases()
    }
    styles = style_rows(list(joined.values()))
    makers = ComparisonFigures(folder / FIGURES_FOLDER, styles)
    for index, (of_set, result) in enumerate(scored.items()):
        if progress is not None:
            progress("drawing figures", index, len(scored))
        drawn = [
            makers.horizon(result, of_set, names),
            *(makers.unit_pairs(result, of_set, name, names[0]) for name in names[1:]),
            *(makers.differences(result, of_set, name, names[0]) for name in names[1:]),
        ]
        figures[of_set] = [figure for figure in drawn if figure is not None]
    if progress is not None:
        progress("drawing figures", len(scored), len(scored))
    page = (
        page_environment()
        .get_template("comparison.html.j2")
        .render(
            names=names,
            version=__version__,
            sets=[compared_set(of_set, result, names) for of_set, result in scored.items()],
            figures=figures,
            colours={name: style_of(styles, name).text_colour for name in styles},
            settings=setting_rows(notes),
            runs=[_about(name, each) for name, each in notes.items()],
        )
    )
    out = folder / PAGE_FILE
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def compared_set(name: SetName, result: EvaluationResult, names: Sequence[str]) -> ComparedSet:
    """Gather what the page says of a set."""
    first, others = names[0], names[1:]
    headings = [f"{horizon_s * 1000:g} ms" for horizon_s in result.protocol.horizons_s]
    cases, best = result.scored_cases(), strongest_by_horizon(result)
    rows = []
    for other in others:
        step, won = difference(result, other, first), wins(result, other, first)
        cells = [step_cell(step, index) for index in range(len(headings))]
        rows.append(TableRow(f"{other} minus {first}", "", cells))
        told = [Cell(f"{count} of {len(cases)}") for count in won]
        rows.append(TableRow(f"recordings won by {other}", "", told))
    against_best = [
        TableRow(
            each,
            "model",
            [
                named_cell(row, step_cell(difference(result, each, row), index))
                for index, row in enumerate(best)
            ],
        )
        for each in names
        if best
    ]
    return ComparedSet(
        name=name,
        title=result.title,
        verdicts=[describe_pair(result, other, first) for other in others],
        size=(
            f"{count(len(cases), 'recording')}, "
            f"{count(sum(case.num_units for case in cases), 'unit')}, "
            f"{count(sum(case.num_spikes for case in cases), 'spike')}, "
            f"{count(sum(case.num_windows for case in cases), 'window')}"
        ),
        glance=PageTable(f"Differences to {first}", "", headings, rows),
        tables=[
            PageTable(
                "Bits per spike over the null",
                "Cumulative to each horizon, all recordings together, with 95 % intervals. Bold: "
                f"the best of models and baselines. The baselines are {first}'s.",
                headings,
                score_rows(result),
            ),
            PageTable(
                "Each run minus the strongest baseline",
                "Paired differences in bits per spike to the baseline that is strongest at each "
                "horizon. Blue: the interval lies above 0; orange-red: below.",
                headings,
                against_best,
            ),
        ],
    )


def describe_pair(result: EvaluationResult, name: str, to: str) -> str:
    """Say at which horizons one row is surely above or below another, and who wins."""
    step = difference(result, name, to)
    total, won = len(result.scored_cases()), int(wins(result, name, to)[0])
    horizons = [f"{horizon_s * 1000:g}" for horizon_s in result.protocol.horizons_s]
    first = f"{step.value[0]:+.4f}"
    if np.isfinite(step.low[0]):
        first += f" [{step.low[0]:+.4f}, {step.high[0]:+.4f}]"
    parts = []
    for word, where in (("above", step.above), ("below", step.below)):
        if where.all():
            parts.append(f"surely {word} {to} at every horizon")
        elif where.any():
            at = ", ".join(h for h, yes in zip(horizons, where, strict=True) if yes)
            parts.append(f"surely {word} {to} at {at} ms")
    told = " and ".join(parts) or f"not surely above or below {to} at any horizon"
    if not np.isfinite(step.low).any():
        told = f"compared with {to} on too few minutes for an interval"
    return (
        f"{name} is {told}: {first} bits/spike at {horizons[0]} ms, where it wins {won} of "
        f"{count(total, 'recording')}."
    )


def setting_rows(notes: Mapping[str, RunNotes]) -> list[tuple[str, list[str]]]:
    """Return the settings in which the runs differ: key, and each run's value."""
    configs = [_settings(name, each) for name, each in notes.items()]
    keys = dict.fromkeys(key for config in configs for key in config if key not in _NOT_COMPARED)
    rows = [(key, [str(config.get(key, "–")) for config in configs]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _settings(name: str, notes: RunNotes) -> dict[str, Any]:
    try:
        return dict(_flatten(yaml.safe_load(notes.config) or {}))
    except (yaml.YAMLError, AttributeError) as error:
        raise DataError(f"{name}: its config.yaml is damaged: bring it back") from error


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _about(name: str, notes: RunNotes) -> dict[str, str]:
    """Return what is told of a run beside its settings."""
    training, provenance = notes.training, notes.provenance
    return {
        "run": name,
        "recipe": str(provenance.get("recipe", "–")),
        "parameters": f"{training['num_parameters']:,}" if training else "–",
        "epochs": str(training.get("epochs", "–")),
        "training": f"{training['seconds'] / 60:.1f} min" if training else "–",
        "version": str(provenance.get("neurohorizon", "–")),
        "commit": str(provenance.get("commit") or "–"),
    }
