"""Figures of what a decoder has learned: latents, units, attention, importance; new sessions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurohorizon.evaluation.decoding.importance import FALSE_DISCOVERY, Importance
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.views import LatentStates, UnitAttention
from neurohorizon.evaluation.identities import Identities
from neurohorizon.report import decoding_latents
from neurohorizon.report.decoding_attention import areas_of, draw_attention
from neurohorizon.report.decoding_few_shot import compute_decoding_few_shot, draw_decoding_few_shot
from neurohorizon.report.decoding_importance import (
    attention_and_loss,
    draw_attention_and_loss,
    draw_importance,
    importance_table,
)
from neurohorizon.report.identity_map import compute_identity_map, draw_identity_map, panels_of
from neurohorizon.report.page_figure import NARROW_MM, WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.style import new_figure, styled
from neurohorizon.report.tables import count

#: Recordings of which latents and attention are drawn; the tables beside hold them all.
MOST_RECORDINGS = 3
_MOST_PANELS = 4


class LearnedFigures(FigureMaker):
    """One method a figure: compute, draw, save, and say what to look at."""

    @styled()
    def latents(self, found: Sequence[LatentStates]) -> PageFigure:
        """Draw the latents of one task over the test part, a line of panels a recording."""
        shown = found[:MOST_RECORDINGS]
        first = shown[0]
        columns = 3 if decoding_latents.is_plane(first) else 2
        figure = new_figure(WIDE_MM, 8 + 64 * len(shown))
        axes = figure.subplots(len(shown), columns, squeeze=False)
        for each, line in zip(shown, axes, strict=True):
            dots = decoding_latents.draw_latents(each, line[0], across=0, up=1)
            decoding_latents.draw_latents(each, line[1], across=2, up=1)
            line[0].set_title(f"{each.recording}, n = {len(each.times_s):,} states", loc="left")
            if columns == 3:
                decoding_latents.draw_plane_key(each, line[2])
            elif not len(each.classes):
                name = each.task if each.values.shape[1] == 1 else f"{each.task} 0"
                label = f"{name} ({each.unit})" if each.unit else name
                figure.colorbar(dots, ax=line[1], label=label)
        if columns == 3:
            axes[0, 2].set_title("what was true, in the same colours", loc="left")
        elif len(first.classes):
            decoding_latents.draw_classes_key(first, axes[0, 1])
        caption = (
            f"A dot is the state of the model's latents ({first.width} numbers, the mean over "
            "latents of one time) at one time of the test part, in the plane of their first "
            "principal components, found on each recording by itself without a look at behaviour "
            "(what only tells the place in the window is taken out: its mean over windows); "
            "percentages are shares of the variance. Its colour says what was true of "
            f"{first.task} at that time; the model was not told. Where colours are in order, the "
            "latents hold it in their largest dimensions; where they are not, it may still be "
            "held in smaller ones."
        )
        name = "".join(letter if letter.isalnum() else "-" for letter in first.task)
        return self.saved(
            f"decoding_latents_{name}",
            figure,
            decoding_latents.latents_table(found),
            f"Latents, coloured by {first.task}",
            caption,
            wide=True,
        )

    @styled()
    def units(self, found: Identities) -> PageFigure | None:
        """Draw the map of the vectors that stand for units; None if there are too few."""
        data = compute_identity_map({"later": found})
        if data is None:
            return None
        panels = panels_of(data)
        if len(set(data.recording)) == 1 and len(panels) > 1:
            panels.remove("recording")
        wide = len(panels) > 1
        figure = new_figure(WIDE_MM if wide else NARROW_MM, 86)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        draw_identity_map(data, list(axes), panels=panels, rate_label="mean rate (Hz)")
        neighbours = "; ".join(
            f"of the same {group} for {share:.0%} of the units ({chance:.0%} by chance)"
            for group, (share, chance) in data.same.items()
            if group in panels
        )
        told = f" The nearest neighbour, in all dimensions, is {neighbours}." if neighbours else ""
        caption = (
            f"A dot is a unit ({len(data.unit):,} of "
            f"{count(len(set(data.recording)), 'recording')}): the first two principal components "
            f"of the {found.vectors.shape[1]} numbers that the model holds for it.{told}"
        )
        title = "A map of the units"
        return self.saved("decoding_units", figure, data.table(), title, caption, wide=wide)

    @styled()
    def attention(self, found: Sequence[UnitAttention]) -> PageFigure | None:
        """Draw attention against tokens, a panel a recording; None without any."""
        if not found:
            return None
        shown = list(found[:MOST_RECORDINGS])
        areas = areas_of(shown)
        width = 28 + 57 * len(shown)
        figure = new_figure(width, 70)
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for each, ax in zip(shown, axes, strict=True):
            draw_attention(each, ax, areas=areas)
            if ax is not axes[0]:
                ax.set_ylabel("")
        if areas:
            axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        windows = ", ".join(f"{each.num_windows:,}" for each in shown)
        caption = (
            "A dot is a unit: the share of the latents' attention that its tokens get as the model "
            f"reads the test part (mean over {windows} windows, over latents and heads), against "
            "its share of the tokens (its spikes or samples, and two a window that say that it is "
            "there). On the dashed line, attention only follows their number; above it, the model "
            "looks at the unit more than that. What attention is worth, importance says."
        )
        table = [record for each in found for record in each.table()]
        title = "Attention to each unit"
        wide = width > NARROW_MM
        return self.saved("decoding_attention", figure, table, title, caption, wide=wide)

    @styled()
    def importance(
        self, found: Sequence[Importance], attention: Sequence[UnitAttention] = ()
    ) -> PageFigure:
        """Draw what a decoder loses without each unit, and attention beside it."""
        shown = found[:_MOST_PANELS]
        beside = {each.recording: each for each in attention}
        told = {
            index: attention_and_loss(each, beside[each.recording])
            for index, each in enumerate(shown)
            if each.recording in beside
        }
        figure = new_figure(WIDE_MM, 8 + 56 * len(shown))
        widths = (2.4, 1.0) if told else (1.0,)
        axes = figure.subplots(len(shown), len(widths), squeeze=False, width_ratios=widths)
        for index, each in enumerate(shown):
            draw_importance(each, axes[index, 0])
            if index in told:
                draw_attention_and_loss(told[index], axes[index, 1])
            elif told:
                axes[index, 1].set_axis_off()
        caption = (
            "Left: what the decoder loses when one unit did the same things at other times of the "
            "test part, mean over repeats; lines are 95 % intervals over 30 s blocks. In blue: "
            f"read for sure, at a false discovery rate of {FALSE_DISCOVERY:.0%} over the units. "
            "Units whose neighbours say the same lose little."
        )
        if told:
            of_tokens = [each.of_tokens for each in told.values() if np.isfinite(each.of_tokens)]
            follows = ", ".join(f"{each:.2f}" for each in dict.fromkeys(of_tokens))
            caption += (
                " Right: the same loss against the unit's share of the attention; a dot is a unit, "
                "ρ is Spearman's rank correlation. Attention follows the number of spikes"
                + (f" (ρ of attention and tokens: {follows})" if of_tokens else "")
                + ": this loss, not attention, says what a unit is worth to the decoder."
            )
        table = importance_table(found)
        for record in table:
            of_recording = beside.get(record["recording"])
            if of_recording is not None:
                here = np.flatnonzero(of_recording.unit_id == record["unit"])
                record["attention"] = of_recording.attention[here[0]] if len(here) else ""
                record["tokens"] = of_recording.tokens[here[0]] if len(here) else ""
        title = "Which units the decoder reads"
        return self.saved("decoding_importance", figure, table, title, caption, wide=True)

    @styled()
    def few_shot(self, result: DecodingResult, task: str) -> PageFigure:
        """Draw what minutes of new sessions buy."""
        data = compute_decoding_few_shot(result, task=task)
        figure = new_figure(NARROW_MM, 66)
        draw_decoding_few_shot(data, figure.subplots())
        over = {score.over for curve in data.curves for score in curve.scores}
        words = "sessions" if over == {"sessions"} else "30 s blocks of time"
        recordings = count(data.num_recordings, "recording")
        caption = (
            f"Score on the test parts, mean over {recordings} that training never saw, against the "
            "minutes of each, with behaviour, that a row was given; lines are 95 % intervals by "
            f"bootstrap over {words}. Simple decoders are fitted on the same minutes. The model "
            "learns rows of the new units (units), these and then all weights (full), or nothing "
            "(none: the minutes are the reference that units are known by)."
        )
        name = "".join(letter if letter.isalnum() else "-" for letter in task)
        title = f"{task}: what minutes of a new session buy"
        return self.saved(f"decoding_few_shot_{name}", figure, data.table(), title, caption)
