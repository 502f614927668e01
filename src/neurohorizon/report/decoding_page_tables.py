"""The tables of a decoder's page: what is printed, apart from how."""

from __future__ import annotations

import numpy as np

from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import Step, difference, pooled, strongest
from neurohorizon.evaluation.decoding.sums import LOWER_IS_BETTER
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.report.decoding_rows import metric_word
from neurohorizon.report.tables import Cell, TableRow


def shown_metrics(result: DecodingResult, task: Task) -> list[str]:
    """Return the metrics of a task in the order of columns, its own first."""
    own = task.spec.metric_used
    if task.spec.is_categorical:
        return [own, *(name for name in ("balanced_accuracy", "accuracy") if name != own)]
    more = ["r2", "correlation"] + (["median_error"] if task.num_outputs > 1 else [])
    return [own, *(name for name in more if name != own)]


def decoding_headings(result: DecodingResult, task: Task) -> list[str]:
    """Return the headings of a task's table."""
    units = {case.unit for case in result.cases if case.task == task.name and case.unit}
    unit = units.pop() if len(units) == 1 else ""
    words = [metric_word(name, unit) for name in shown_metrics(result, task)]
    best = strongest(result, task.name)
    return [*words, f"minus {best}" if best else "difference", "better on"]


def decoding_rows(result: DecodingResult, task: Task) -> list[TableRow]:
    """Return every row's scores of a task and its difference to the strongest simple decoder."""
    names, best = result.scored_rows(task.name), strongest(result, task.name)
    metrics = shown_metrics(result, task)
    found = {
        name: {metric: pooled(result, name, task.name, metric) for metric in metrics}
        for name in names
    }
    table = []
    for row in (row for row in result.rows if row.name in names):
        cells = []
        for metric in metrics:
            values = [found[name][metric].value[0] for name in names]
            top = np.nanmin(values) if metric in LOWER_IS_BETTER else np.nanmax(values)
            here = found[row.name][metric]
            mark = "best" if here.value[0] == top else ""
            cells.append(Cell(*_number(here, metric), mark))
        if row.name == best or not best:
            cells += [Cell(""), Cell("")]
        else:
            cells += _step(difference(result, row.name, best, task.name))
        table.append(TableRow(row.name, row.role, cells))
    return table


def decoding_answer(result: DecodingResult, task: Task) -> str:
    """Say in a sentence what the model decodes, beside the strongest simple decoder."""
    words = metric_word(task.spec.metric_used)
    best, models = strongest(result, task.name), result.names("model")
    scored = [name for name in models if name in result.scored_rows(task.name)]
    if not scored:
        level = pooled(result, best, task.name).value[0] if best else float("nan")
        return f"{task.name}: {best or 'nothing'} decodes it best, {words} {level:.3f}"
    model = scored[0]
    level = pooled(result, model, task.name).value[0]
    if not best:
        return f"{task.name}: {model} decodes it at {words} {level:.3f}"
    step = difference(result, model, best, task.name)
    gap, low, high = (float(each[0]) for each in _parts(step.interval))
    verdict = "above" if step.better else "below" if step.worse else "on a par with"
    return (
        f"{task.name}: {model} decodes it at {words} {level:.3f}, {verdict} the strongest simple "
        f"decoder, {best} ({gap:+.3f} [{low:+.3f}, {high:+.3f}])"
    )


def left_out(result: DecodingResult, task: Task) -> dict[str, str]:
    """Return why rows decoded a task on no recording."""
    scored = result.scored_rows(task.name)
    return {
        row: entry.left_out
        for (row, name, _), entry in result.entries.items()
        if name == task.name and row not in scored and entry.left_out
    }


def chosen_rows(result: DecodingResult, task: Task) -> list[tuple[str, str, str]]:
    """Return (row, recording, settings) of the simple decoders of a task."""
    return [
        (row, recording, f"{entry.chosen} (of {entry.chosen.num_tried})")
        for (row, name, recording), entry in result.entries.items()
        if name == task.name and entry.sums is not None and entry.chosen.settings
    ]


def _parts(interval: Interval) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return interval.value, interval.low, interval.high


def _number(interval: Interval, metric: str) -> tuple[str, str]:
    value, low, high = (float(each[0]) for each in _parts(interval))
    digits = 1 if metric in LOWER_IS_BETTER else 3
    if not np.isfinite(value):
        return "-", ""
    told = f"[{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low) else ""
    return f"{value:.{digits}f}", told


def _step(step: Step) -> list[Cell]:
    value, low, high = (float(each[0]) for each in _parts(step.interval))
    if not np.isfinite(value):
        return [Cell("-"), Cell("")]
    told = f"[{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else ""
    mark = "above" if step.better else "below" if step.worse else ""
    return [Cell(f"{value:+.3f}", told, mark), Cell(f"{step.wins} of {step.recordings}")]
