"""Tables of decoders' scores for a terminal."""

from __future__ import annotations

from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import difference, pooled, strongest
from neurohorizon.report.decoding_rows import metric_word
from neurohorizon.report.tables import count

#: What is printed beside a task's own metric.
_BESIDE = {"continuous": ("correlation", "median_error")}
_BESIDE_CLASSES = ("accuracy", "balanced_accuracy")


def format_decoding(result: DecodingResult) -> str:
    """Write every task's scores by row: mean over recordings, with interval and difference.

    Returns
    -------
    str
        One block of lines a task; * marks its strongest baseline, to which differences are
        taken.
    """
    return "\n".join(_task_block(result, task.name) for task in result.tasks)


def format_settings(result: DecodingResult) -> str:
    """Write what simple decoders chose on validation, and which were left out, and why."""
    lines = ["settings chosen on the validation part"]
    names = [row.name for row in result.rows]
    width = max(len(name) for name in names) + 2
    for case in result.cases:
        told = []
        for name in names:
            entry = result.entries.get((name, case.task, case.recording))
            if entry is None:
                continue
            if entry.left_out:
                told.append(f"  {name:<{width}}left out: {entry.left_out}")
            elif entry.chosen.settings:
                tried = f"of {entry.chosen.num_tried}, {entry.seconds:.0f} s"
                told.append(f"  {name:<{width}}{entry.chosen} ({tried})")
        if told:
            lines += [f"{case.recording}, {case.task}", *told]
    return "\n".join([*lines, ""])


def _task_block(result: DecodingResult, name: str) -> str:
    task = result.task(name)
    metric, best = task.spec.metric_used, strongest(result, name)
    beside = _BESIDE.get(task.spec.kind, _BESIDE_CLASSES)
    metrics = [metric, *(each for each in beside if each != metric)]
    rows, recordings = result.scored_rows(name), result.recordings(name)
    units = {case.unit for case in result.cases if case.task == name}
    unit = units.pop() if len(units) == 1 else ""
    title = f"{result.title}: " if result.title else ""
    lines = [f"{title}{name}, {count(len(recordings), 'recording')}"]
    if not rows:
        return "\n".join([*lines, "no row decoded it", ""])
    over = pooled(result, rows[0], name).over
    resampled = "sessions" if over == "sessions" else "30 s blocks of time"
    lines.append(f"mean over recordings [95 % interval over {resampled}]; * strongest baseline")
    width = max(len(row) for row in rows) + 2
    headings = [metric_word(each, unit) for each in metrics]
    widths = [25, *(len(each) + 3 for each in headings[1:])]
    against = f"{headings[0]} - {best}"
    difference_width = max(28, len(against) + 3)
    head = "".join(each.rjust(room) for each, room in zip(headings, widths, strict=True))
    if best:
        head += against.rjust(difference_width) + "better on".rjust(12)
    lines.append(" " * width + head)
    for row in rows:
        star = "*" if row == best else " "
        cells = f"{_with_ends(pooled(result, row, name))}{star}".rjust(widths[0])
        for each, room in zip(metrics[1:], widths[1:], strict=True):
            cells += _number(pooled(result, row, name, each).value[0], each).rjust(room)
        if best and row != best:
            step = difference(result, row, best, name)
            won = f"{step.wins}/{step.recordings}"
            told = _with_ends(step.interval, sign=True)
            cells += told.rjust(difference_width) + won.rjust(12)
        lines.append(f"{row:<{width}}{cells}")
    return "\n".join([*lines, ""])


def _with_ends(interval: Interval, *, sign: bool = False) -> str:
    plus = "+" if sign else ""
    text = f"{interval.value[0]:{plus}.3f}"
    low, high = interval.low[0], interval.high[0]
    return f"{text} [{low:{plus}.3f}, {high:{plus}.3f}]" if low == low else text


def _number(value: float, metric: str) -> str:
    if value != value:
        return "–"
    return f"{value:.3g}" if metric.endswith("_error") else f"{value:.3f}"
