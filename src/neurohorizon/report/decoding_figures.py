"""Figures of decoders: computed, drawn, and written with the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neurohorizon.evaluation.decoding.results import DecodingResult, Predictions
from neurohorizon.evaluation.decoding.summary import pooled, strongest
from neurohorizon.evaluation.decoding.targets_by_part import TargetByPart
from neurohorizon.report import decoding_maps, decoding_scores
from neurohorizon.report.decoding_rows import rows_to_look_at, styles_apart
from neurohorizon.report.decoding_targets import choose_targets, draw_target, target_table
from neurohorizon.report.decoding_traces import compute_traces, draw_traces
from neurohorizon.report.page_figure import NARROW_MM, WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.style import new_figure, styled

#: Predictions of one recording, by task.
OfRecording = Mapping[str, Predictions]
_MOST_MAPS = 4


class DecodingFigures(FigureMaker):
    """One method a figure: compute, draw, save, and say what to look at."""

    @styled()
    def bars(self, result: DecodingResult) -> PageFigure:
        """Draw every row's score, a panel a task."""
        scored = [task.name for task in result.tasks if result.scored_rows(task.name)]
        some = {row for name in scored for row in result.scored_rows(name)}
        rows = [row.name for row in result.rows if row.name in some]
        panels = [decoding_scores.compute_bars(result, name, rows=rows) for name in scored]
        wide = len(panels) > 1
        figure = new_figure(WIDE_MM if wide else NARROW_MM, decoding_scores.bars_height_mm(panels))
        for each, ax in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
            decoding_scores.draw_bars(each, ax, styles=self.styles)
            if each is not panels[0]:
                ax.set_yticklabels([])
        over = panels[0].over if panels else "blocks"
        resampled = "sessions" if over == "sessions" else "30 s blocks of time"
        caption = (
            "Score of every row on the test part, mean over recordings (circles: each recording); "
            f"lines are 95 % intervals by bootstrap over {resampled}. All rows decode the "
            "same time stamps and read nothing outside of the stretch in which they lie; simple "
            "decoders are fitted on each recording by itself and tuned on its validation part."
        )
        table = [record for each in panels for record in each.table()]
        title = "How well each decoder does"
        return self.saved("decoding_scores", figure, table, title, caption, wide=wide)

    @styled()
    def differences(self, result: DecodingResult) -> PageFigure | None:
        """Draw each model minus each task's strongest baseline, recording by recording."""
        panels = []
        for task in result.tasks:
            best, scored = strongest(result, task.name), result.scored_rows(task.name)
            leads = [name for name in result.names("model") if name in scored]
            for lead in leads if best else ():
                panels.append(decoding_scores.compute_steps(result, lead, best, task.name))
        if not panels:
            return None
        wide = len(panels) > 1
        height = decoding_scores.steps_height_mm(panels)
        figure = new_figure(WIDE_MM if wide else NARROW_MM, height)
        for each, ax in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
            decoding_scores.draw_steps(each, ax)
        caption = (
            "The model minus the strongest simple decoder, recording by recording, on the same "
            "time stamps (line: 95 % interval over 30 s blocks; diamond: all together). "
            "Blue: the model is better and the interval says so; orange-red: worse; grey: not sure."
        )
        table = [record for each in panels for record in each.table()]
        title = "Is the model better than the strongest simple decoder"
        return self.saved("decoding_differences", figure, table, title, caption, wide=wide)

    @styled()
    def traces(
        self,
        result: DecodingResult,
        recording: str,
        predictions: OfRecording,
        task: str,
        *,
        rows: Sequence[str] | None = None,
    ) -> PageFigure:
        """Draw a minute of one recording: what was true beneath what was decoded."""
        of_task = result.task(task)
        default = [row for row in rows_to_look_at(result, task) if row in predictions[task].decoded]
        names = list(rows) if rows is not None else default
        unit = _unit(result, task, recording)
        data = compute_traces(recording, of_task, predictions[task], names, unit=unit)
        num_panels = 1 if of_task.spec.is_categorical else data.values.shape[1]
        height = 20 + 5 * (1 + len(names)) if of_task.spec.is_categorical else 18 + 27 * num_panels
        figure = new_figure(WIDE_MM, height)
        axes = list(figure.subplots(num_panels, 1, squeeze=False)[:, 0])
        draw_traces(data, axes, styles=styles_apart(names, dict(self.styles)))
        caption = (
            "A minute of the test part, its stretches laid end to end (dashed: a break). It was "
            "chosen by how much the target moves, not by how well it was decoded."
        )
        title = f"{task}, second by second: {recording}"
        name = f"decoding_traces_{_slug(task)}_{_slug(recording)}"
        return self.saved(name, figure, data.table(), title, caption, wide=True)

    @styled()
    def density(
        self,
        result: DecodingResult,
        recording: str,
        predictions: OfRecording,
        task: str,
        *,
        rows: Sequence[str] | None = None,
    ) -> PageFigure:
        """Draw decoded against true values of a continuous task, a panel a column and row."""
        names = list(rows) if rows is not None else rows_to_look_at(result, task)
        names = [name for name in names if name in predictions[task].decoded][:_MOST_MAPS]
        columns, unit = predictions[task].values.shape[1], _unit(result, task, recording)
        figure = new_figure(20 + 48 * len(names), 8 + 52 * columns)
        axes = figure.subplots(columns, len(names), squeeze=False)
        table = []
        for column in range(columns):
            label = task if columns == 1 else f"{task} {column}"
            label = f"{label} ({unit})" if unit else label
            for row, ax in zip(names, axes[column], strict=True):
                data = decoding_maps.compute_density(
                    recording, predictions[task], row, column, label=label
                )
                image = decoding_maps.draw_density(data, ax)
                table += data.table()
                if row == names[-1]:
                    figure.colorbar(image, ax=ax, label="time stamps", shrink=0.8)
        caption = (
            "Decoded against true values over the whole test part, in time stamps (colours are "
            "logarithmic). On the diagonal, what is true was decoded; what lies in other spots is "
            "taken for another place; a flat band is the mean told for want of better."
        )
        title = f"{task}, decoded against true: {recording}"
        name = f"decoding_density_{_slug(task)}_{_slug(recording)}"
        wide = 20 + 48 * len(names) > NARROW_MM
        return self.saved(name, figure, table, title, caption, wide=wide)

    @styled()
    def error_maps(
        self,
        result: DecodingResult,
        recording: str,
        predictions: OfRecording,
        task: str,
        *,
        rows: Sequence[str] | None = None,
    ) -> PageFigure | None:
        """Draw the median error at each place, of a task of two columns."""
        if predictions[task].values.ndim != 2 or predictions[task].values.shape[1] != 2:
            return None
        names = list(rows) if rows is not None else rows_to_look_at(result, task)
        names = [name for name in names if name in predictions[task].decoded][:_MOST_MAPS]
        unit = _unit(result, task, recording)
        maps = [
            decoding_maps.compute_error_map(recording, predictions[task], row, unit=unit)
            for row in names
        ]
        known = np.concatenate([each.median[np.isfinite(each.median)] for each in maps])
        top = float(np.quantile(known, 0.95)) if len(known) else 1.0
        shape = maps[0].median.shape
        width = 20 + 44 * len(names)
        figure = new_figure(width, 16 + min(44 * shape[1] / shape[0], 80))
        axes = figure.subplots(1, len(names), squeeze=False)[0]
        for each, ax in zip(maps, axes, strict=True):
            mesh = decoding_maps.draw_error_map(each, ax, top=top)
        figure.colorbar(
            mesh, ax=list(axes), label=f"median error ({unit})" if unit else "median error"
        )
        caption = "Where in space the errors lie: the median error at each true place."
        table = [record for each in maps for record in each.table()]
        title = f"{task}, error by place: {recording}"
        name = f"decoding_errors_{_slug(task)}_{_slug(recording)}"
        return self.saved(name, figure, table, title, caption, wide=width > NARROW_MM)

    @styled()
    def confusion(
        self, result: DecodingResult, task: str, *, rows: Sequence[str] | None = None
    ) -> PageFigure | None:
        """Draw which classes are mixed up, over all recordings; None for a continuous task."""
        of_task = result.task(task)
        if not of_task.spec.is_categorical:
            return None
        names = list(rows) if rows is not None else rows_to_look_at(result, task)
        panels = []
        for row in names[:_MOST_MAPS]:
            counts = np.sum([each.confusion for each in result.sums(row, task).values()], axis=0)
            score = float(pooled(result, row, task, "balanced_accuracy").value[0])
            panels.append(
                decoding_maps.Confusion(task, row, of_task.classes, counts.astype(np.int64), score)
            )
        if not panels:
            return None
        side = min(max(34.0, 8.0 * len(of_task.classes) + 14), 90.0)
        width = 14 + (side + 10) * len(panels)
        figure = new_figure(width, side + 18)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for each, ax in zip(panels, axes, strict=True):
            image = decoding_maps.draw_confusion(each, ax)
        figure.colorbar(image, ax=list(axes), label="share of the true class", shrink=0.8)
        caption = (
            "Of the time of each true class (a row), the share that was decoded as which, all "
            "recordings together; balanced accuracy is the mean of theirs."
        )
        table = [record for each in panels for record in each.table()]
        name = f"decoding_confusion_{_slug(task)}"
        title = f"{task}: which classes are mixed up"
        return self.saved(name, figure, table, title, caption, wide=width > NARROW_MM)

    @styled()
    def targets(self, found: Sequence[TargetByPart]) -> PageFigure:
        """Draw the distribution of what is to be decoded, in each part of the split."""
        shown = choose_targets(found)
        columns = min(len(shown), 4)
        lines = -(-len(shown) // columns)
        figure = new_figure(WIDE_MM if columns > 2 else NARROW_MM, 10 + 42 * lines)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for each, ax in zip(shown, axes, strict=False):
            draw_target(each, ax)
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        axes[0].legend(loc="best", handlelength=1.2)
        told = [each.warning for each in found if each.warning]
        more = f", of {len(found)} those that differ most" if len(shown) < len(found) else ""
        caption = (
            f"What is to be decoded, in each part of the split{more}. Above each panel: the "
            "largest difference of the cumulative distributions of training and test (Kolmogorov; "
            "of classes the share that would have to change), and how far the mean has moved in "
            "training deviations. Where they differ much, scores speak of drift as well as of "
            + ("skill: " + "; ".join(told) + "." if told else "skill; here none does.")
        )
        title = "What is to be decoded, in training and in test"
        wide = columns > 2
        return self.saved(
            "decoding_targets", figure, target_table(found), title, caption, wide=wide
        )


def _unit(result: DecodingResult, task: str, recording: str) -> str:
    for case in result.cases:
        if (case.task, case.recording) == (task, recording):
            return case.unit
    return ""


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
