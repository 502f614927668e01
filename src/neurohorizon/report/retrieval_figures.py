"""Figures of a run of bridges: computed, drawn, and written with the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.results import DIRECTIONS, RetrievalResult
from neurohorizon.evaluation.retrieval.row_names import CEILING
from neurohorizon.evaluation.retrieval.transfer import TransferResult
from neurohorizon.evaluation.retrieval.views import SimilarityMatrix, Tried
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report import (
    retrieval_bars,
    retrieval_grids,
    retrieval_matrices,
    retrieval_ranks,
    retrieval_regions,
    retrieval_reliability,
    retrieval_transfer,
    retrieval_trials,
    retrieval_tuning,
)
from neurohorizon.report.page_figure import NARROW_MM, WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.retrieval_rows import rows_to_look_at
from neurohorizon.report.retrieval_scores import ALL, RetrievalScores, records
from neurohorizon.report.style import new_figure, styled

#: Panels of rank curves by recording.
_MOST_PANELS, _COLUMNS = 11, 4
_TRANSFER_COLUMNS = 3


class RetrievalFigures(FigureMaker):
    """One method a figure: compute, draw, save, and say what to look at."""

    @styled()
    def scores(self, scores: RetrievalScores) -> PageFigure:
        """Draw every row's leading score, both ways."""
        figure = new_figure(WIDE_MM, retrieval_bars.bars_height_mm(scores))
        axes = figure.subplots(1, len(DIRECTIONS), sharey=True, sharex=True)
        for direction, ax in zip(DIRECTIONS, axes, strict=True):
            retrieval_bars.draw_scores(scores, ax, direction, styles=self.styles)
        handles = retrieval_bars.mark_handles(scores)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        table = records(
            scores,
            [
                (row, direction, scores.lead.name, ALL)
                for direction in DIRECTIONS
                for row in scores.rows(direction)
            ],
        )
        caption = (
            "Lines are 95 % intervals over pictures and seeds; of several recordings, the mean is "
            "shown. The hubness correction looks at training responses alone, and is defined for "
            "pictures as candidates. A row fitted to pictures without colour cannot lean on colour."
        )
        title = "How well each row finds the right one"
        return self.saved("retrieval_scores", figure, table, title, caption, wide=True)

    @styled()
    def recordings(self, scores: RetrievalScores) -> PageFigure | None:
        """Draw the leading score by recording; nothing where there is one alone."""
        if len(scores.recordings) < 2:
            return None
        rows = rows_to_look_at(scores, grey=True)
        figure = new_figure(WIDE_MM, 76)
        ax = figure.subplots()
        retrieval_bars.draw_recordings(scores, ax, rows, styles=self.styles)
        figure.legend(loc="outside lower center", ncols=3)
        lead = scores.lead.name
        keys = [(row, "picture", lead, name) for row in rows for name in scores.recordings]
        caption = (
            "The picture looked for, given the response; lines are 95 % intervals over pictures "
            "and seeds. A ceiling stands where test pictures were shown several times."
        )
        table = records(scores, keys)  # type: ignore[arg-type]
        title = "Every recording by itself"
        return self.saved("retrieval_recordings", figure, table, title, caption, wide=True)

    @styled()
    def ranks(self, scores: RetrievalScores) -> PageFigure:
        """Draw the share of pictures found among the first k: together, and by recording."""
        rows, result = rows_to_look_at(scores), scores.result
        panels = [
            retrieval_ranks.compute_ranks(result, rows, recording=name)
            for name in scores.recordings[:_MOST_PANELS]
        ]
        if len(scores.recordings) > 1:
            panels.insert(0, retrieval_ranks.compute_ranks(result, rows))
        columns = min(_COLUMNS, len(panels))
        lines = -(-len(panels) // columns)
        height = 20 + 46 * lines if columns > 1 else 92
        figure = new_figure(WIDE_MM if columns > 1 else NARROW_MM, height)
        axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
        lead = scores.strongest
        for each, ax in zip(panels, axes.flat, strict=False):
            retrieval_ranks.draw_ranks(each, ax, styles=self.styles, lead=lead)
        for ax in axes.flat[len(panels) :]:
            ax.set_axis_off()
        for ax in axes[:, 0]:
            ax.set_ylabel("pictures found (%)")
        for number, ax in enumerate(axes.flat[: len(panels)]):
            if number + columns >= len(panels):
                ax.set_xlabel("among the first k")
        named = {}
        for ax in axes.flat[: len(panels)]:
            lines_of, labels = ax.get_legend_handles_labels()
            named |= dict(zip(labels, lines_of, strict=True))
        order = [*(row for row in rows if row in named), "chance"]
        figure.legend([named[name] for name in order], order, loc="outside lower center", ncols=3)
        caption = (
            "The share of test pictures that are among the first k found by the response to them. "
            f"The band is the 95 % interval of {lead} over pictures."
        )
        table = [record for each in panels for record in each.table()]
        title, wide = "How far down the list the right picture is", columns > 1
        return self.saved("retrieval_ranks", figure, table, title, caption, wide=wide)

    @styled()
    def regions(self, result: RetrievalResult) -> PageFigure:
        """Draw what parts of the electrodes score."""
        data = retrieval_regions.compute_regions(result)
        figure = new_figure(NARROW_MM, 18 + 4.6 * len(data.scores))
        retrieval_regions.draw_regions(data, figure.subplots())
        caption = (
            "One row of the ladder, fitted to some electrodes; lines are 95 % intervals over "
            "pictures and draws. Regions differ in how many electrodes they have and in how "
            "reliable these are: compare those that are matched. Dotted: chance."
        )
        name = "retrieval_regions"
        return self.saved(name, figure, data.table(), data.title, caption)

    @styled()
    def windows(self, result: RetrievalResult) -> PageFigure:
        """Draw scores over time."""
        data = retrieval_regions.compute_windows(result)
        figure = new_figure(WIDE_MM, 80)
        axes = figure.subplots(1, 2, sharey=True)
        retrieval_regions.draw_windows(data, axes)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        caption = (
            "One row of the ladder, fitted to time bins: when each region says which picture it "
            "was. Bands are 95 % intervals over pictures. Dotted: chance."
        )
        name = "retrieval_windows"
        return self.saved(name, figure, data.table(), data.title, caption, wide=True)

    @styled()
    def trials(
        self, scores: RetrievalScores, by_trials: Mapping[int, RetrievalResult]
    ) -> PageFigure | None:
        """Draw the leading score against trials; nothing where there are no single ones."""
        rows = [row for row in scores.ladder() if row]
        data = retrieval_trials.compute_trials(
            scores.result, by_trials, rows, scores.lead, ceiling=CEILING
        )
        if data is None:
            return None
        figure = new_figure(NARROW_MM, 78)
        retrieval_trials.draw_trials(data, figure.subplots(), styles=self.styles)
        caption = (
            f"Responses that are means of fewer trials of each test picture "
            f"({', '.join(data.recordings)}), drawn several times, with the first seed of each "
            f"row; the last point takes all trials (median {data.trials[-1]:g}) and all seeds. "
            "Dashed: the mean of half of the trials finds that of the other half, a lower bound "
            "of what all trials allow. Dotted: chance."
        )
        title = "What more trials buy"
        return self.saved("retrieval_trials", figure, data.table(), title, caption)

    @styled()
    def matrices(self, found: Sequence[SimilarityMatrix], category: NDArray[np.str_]) -> PageFigure:
        """Draw the similarity of a recording's test responses and pictures, a panel a row."""
        data = [
            retrieval_matrices.compute_matrix(each, category, order_by=found[0]) for each in found
        ]
        figure = new_figure(WIDE_MM if len(data) > 1 else NARROW_MM, 88)
        axes = figure.subplots(1, len(data), squeeze=False)[0]
        for each, ax in zip(data, axes, strict=True):
            image = retrieval_matrices.draw_matrix(each, ax)
            if ax is not axes[0]:
                ax.set_ylabel("")
        label = "similarity, in standard deviations\nover the pictures of a response"
        figure.colorbar(image, ax=list(axes), label=label, shrink=0.8)
        first = data[0]
        order = "their category, and within it " if first.by_category else ""
        some = f" {len(first.hashes)} of {first.num_pictures}, evenly spaced, are drawn."
        caption = (
            "Test responses and test pictures in the same order: the right pairs are the diagonal. "
            f"Pictures are ordered by {order}the first principal component of their places in the "
            f"space of {first.row}; blocks are pictures that are taken for one another."
        ) + some * (len(first.hashes) < first.num_pictures)
        table = [record for each in data for record in each.table()]
        name = f"retrieval_matrix_{first.recording}"
        title = f"Every response against every picture: {first.recording}"
        return self.saved(name, figure, table, title, caption, wide=len(data) > 1, png=True)

    @styled()
    def pairs(self, by_row: Sequence[Sequence[SimilarityMatrix]]) -> PageFigure:
        """Draw the similarity of right and of wrong pairs, a panel a row."""
        data = [retrieval_matrices.compute_pairs(list(each)) for each in by_row]
        figure = new_figure(WIDE_MM if len(data) > 1 else NARROW_MM, 62)
        axes = figure.subplots(1, len(data), squeeze=False)[0]
        for each, ax in zip(data, axes, strict=True):
            retrieval_matrices.draw_pairs(each, ax)
        axes[0].legend(loc="upper left")
        caption = (
            "All test responses with the picture that was seen, and with every other one; dashed: "
            "means. Pairs beyond the axis are counted at its ends. Two-way: how often the right "
            "picture is more similar to a response than a wrong one is, the mean over recordings. "
            "First seed of each row."
        )
        table = [record for each in data for record in each.table()]
        title = "Right pairs against wrong pairs"
        return self.saved("retrieval_pairs", figure, table, title, caption, wide=len(data) > 1)

    @styled()
    def reliability(
        self, reliability: Mapping[str, FloatArray], areas: Mapping[str, NDArray[np.str_]]
    ) -> PageFigure | None:
        """Draw how reliable units are; nothing where no test picture was repeated."""
        data = retrieval_reliability.compute_reliability(reliability, areas)
        if data is None:
            return None
        figure = new_figure(NARROW_MM, 66)
        retrieval_reliability.draw_reliability(data, figure.subplots())
        without = f" {data.num_without} that never change have none." if data.num_without else ""
        caption = (
            "Correlation over test pictures of halves of the trials, taken up to all trials by the "
            f"Spearman-Brown formula ({', '.join(data.recordings)}); dashed: medians. "
            "No unit was chosen by these numbers." + without
        )
        title = "How reliable units are"
        return self.saved("retrieval_reliability", figure, data.table(), title, caption)

    @styled()
    def transfer(self, result: TransferResult, row: str) -> PageFigure:
        """Draw what other recordings are worth to one with few pictures, by number of them."""
        compute, targets = retrieval_transfer.compute_transfer, result.targets
        data = [compute(result, row, targets), compute(result, row, targets, paired=True)]
        data += [compute(result, row, [target]) for target in targets[:_MOST_PANELS]]
        columns = min(_TRANSFER_COLUMNS, len(data))
        lines = -(-len(data) // columns)
        figure = new_figure(WIDE_MM, 24 + 54 * lines)
        axes = figure.subplots(lines, columns, squeeze=False)
        named = {}
        for each, ax in zip(data, axes.flat, strict=False):
            retrieval_transfer.draw_transfer(each, ax)
            handles, labels = ax.get_legend_handles_labels()
            named |= dict(zip(labels, handles, strict=True))
        for ax in axes.flat[len(data) :]:
            ax.set_axis_off()
        order = [line.name for line in result.lines(row, targets)]
        order += [name for name in named if name not in order]
        handles = [named[name] for name in order]
        figure.legend(handles, order, loc="outside lower center", ncols=3)
        caption = (
            "Test pictures found by the response when the bridge learned from so many pictures of "
            "the recording itself (the same ones for every line; means over draws of them), by "
            f"these alone or with bridges of other recordings. Row: {row}. Lines are 95 % "
            "intervals over test pictures and draws. Grey: the recording's own bridge, whose "
            "settings were tuned on it, too. The mean shows lines that every recording has; "
            "differences are paired, over the recordings that have the line."
        ) + "".join(f" {note[0].upper()}{note[1:]}." for note in result.left_out)
        table = [record for each in data for record in each.table()]
        name = f"retrieval_transfer_{row.replace(' ', '_')}"
        title = f"What other recordings are worth: {row}"
        return self.saved(name, figure, table, title, caption, wide=True)

    @styled()
    def tuning(self, tried: Sequence[Tried]) -> PageFigure | None:
        """Draw the score of every candidate of every row."""
        if not tried:
            return None
        figure = new_figure(WIDE_MM, 66)
        retrieval_tuning.draw_tuning(tried, figure.subplots(), styles=self.styles)
        figure.legend(loc="outside lower center", ncols=4)
        budgets = sorted({len(each.scores) for each in tried})
        equal = f"{budgets[0]} candidates for every row" if len(budgets) == 1 else "unequal budgets"
        caption = (
            f"Settings that were tried ({equal}) on held-out training pictures: mean of top 1 and "
            "top 5 out of 100, averaged over folds. Filled: what was chosen. Test pictures had no "
            "part in it. Squares: rows fitted to pictures without colour."
        )
        table = retrieval_tuning.tuning_table(tried)
        title = "Every candidate of every row"
        return self.saved("retrieval_tuning", figure, table, title, caption, wide=True)

    @styled()
    def grid(
        self, data: retrieval_grids.Grid, pictures: Mapping[str, NDArray[np.uint8]]
    ) -> PageFigure:
        """Draw the pictures that some responses find."""
        figure = new_figure(NARROW_MM, 7 + 17 * len(data.queries))
        retrieval_grids.draw_grid(data, figure.subplots(), pictures)
        each = len(data.queries) // len(retrieval_grids.GROUPS)
        caption = (
            f"Left: the picture that was seen; then the first {data.found.shape[1]} that "
            f"{data.row} (first seed) finds by the response; framed: the right one. Chosen by "
            f"rule: the {each} best, middle and worst ranks, equal ranks in the order of the "
            "pictures' hashes."
        )
        name = f"retrieval_grid_{data.recording}"
        title = f"Seen, and found by the response: {data.recording}"
        return self.saved(name, figure, data.table(), title, caption, png=True)
