"""Figures of several runs together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.report import differences, horizon, units
from neurohorizon.report.page_figure import NARROW_MM, WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.style import new_figure, styled
from neurohorizon.report.tables import count


class ComparisonFigures(FigureMaker):
    """One method a figure: compute, draw, save, and say what to look at."""

    @styled()
    def horizon(
        self, result: EvaluationResult, of_set: SetName, names: Sequence[str]
    ) -> PageFigure:
        """Draw all rows against the horizon."""
        data = horizon.compute_horizon_curves(result)
        figure = new_figure(NARROW_MM, 96)
        horizon.draw_horizon_curves(data, figure.add_subplot(), styles=self.styles)
        caption = (
            "Bits per spike over the null, cumulative from the origin to each horizon. Bold: the "
            f"runs ({', '.join(names)}), with their 95 % intervals. ★: the strongest baseline at "
            "some horizon. What is to be judged are the paired differences."
        )
        title = "Every row at every horizon"
        return self.saved(f"horizon_{of_set}", figure, data.table(), title, caption)

    @styled()
    def differences(
        self, result: EvaluationResult, of_set: SetName, name: str, to: str
    ) -> PageFigure:
        """Draw one run minus another, recording by recording."""
        targets = [to] * len(result.protocol.horizons_s)
        panels = differences.compute_differences(result, name, to=targets)
        figure = new_figure(WIDE_MM, differences.difference_height_mm(len(panels[0].value)))
        differences.draw_differences(panels, list(figure.subplots(1, len(panels))))
        caption = (
            f"{name} minus {to} in bits per spike on the same windows against the same null. A "
            "point is a recording (line: 95 % interval over its 30 s blocks, where there are at "
            f"least five); the diamond is all together, its interval over {panels[0].pooled_over}. "
            "Blue: above 0; orange-red: below; grey: the interval holds 0, or there is none."
        )
        table = [record for panel in panels for record in panel.table()]
        title = f"{name} minus {to}, recording by recording"
        path = f"differences_{of_set}_{_as_file(name)}"
        return self.saved(path, figure, table, title, caption, wide=True)

    @styled()
    def unit_pairs(
        self, result: EvaluationResult, of_set: SetName, name: str, to: str
    ) -> PageFigure | None:
        """Draw each unit under one run against another, if any has enough spikes."""
        data = units.compute_unit_gains(result, name, to=to)
        if not data.unit:
            return None
        figure = new_figure(NARROW_MM, 104)
        units.draw_unit_against_unit(data, figure.add_subplot(), styles=self.styles)
        caption = (
            f"Each unit's bits per spike under {name} against {to}: points above the diagonal are "
            f"units that {name} forecasts better. {count(data.num_left_out, 'unit')} with fewer "
            f"than {units.FEWEST_SPIKES} scored spikes left out."
        )
        title = f"{name} against {to}, unit by unit"
        path = f"unit_pairs_{of_set}_{_as_file(name)}"
        return self.saved(path, figure, data.table(), title, caption)


def _as_file(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)
