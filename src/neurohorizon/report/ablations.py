"""What a trained model leans on: its score without each of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import difference, pooled
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import BLACK, LIGHT_GREY

#: From short to long horizons.
SHADES = ("#08306B", "#2171B5", "#4FA3D1", "#9CC9E3")


@dataclass(frozen=True)
class AblationBars:
    """Paired differences of the model without a part to the whole model.

    Parameters
    ----------
    model : str
    horizons_s : (H,) float
    level : (H,) float
        Bits per spike of the whole model.
    names : list of str
    value, low, high : (A, H) float
        Differences; low and high are NaN where there is no interval.
    """

    model: str
    horizons_s: FloatArray
    level: FloatArray
    names: list[str]
    value: FloatArray
    low: FloatArray
    high: FloatArray

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record an ablation and horizon."""
        return [
            {
                "row": name,
                "to": self.model,
                "horizon_s": float(horizon_s),
                "difference": self.value[row, index],
                "low": self.low[row, index],
                "high": self.high[row, index],
                "whole_model": self.level[index],
            }
            for row, name in enumerate(self.names)
            for index, horizon_s in enumerate(self.horizons_s)
        ]


def compute_ablations(of_set: SetResults) -> AblationBars | None:
    """Gather what the model loses without each of its parts; None if nothing was withheld."""
    if of_set.ablations is None or not of_set.ablations.names("model"):
        return None
    joined, names = of_set.with_ablations, of_set.ablations.names("model")
    steps = [difference(joined, name, of_set.lead) for name in names]
    return AblationBars(
        model=of_set.lead,
        horizons_s=np.array(joined.protocol.horizons_s),
        level=pooled(joined, of_set.lead).value,
        names=names,
        value=np.stack([step.value for step in steps]),
        low=np.stack([step.low for step in steps]),
        high=np.stack([step.high for step in steps]),
    )


def draw_ablations(data: AblationBars, ax: Axes) -> None:
    """Draw one group of bars an ablation, one bar a horizon, with intervals."""
    num_horizons = len(data.horizons_s)
    height = 0.8 / num_horizons
    for index, horizon_s in enumerate(data.horizons_s):
        at = np.arange(len(data.names)) + (index - (num_horizons - 1) / 2) * height
        ax.barh(
            at,
            data.value[:, index],
            height=0.9 * height,
            color=SHADES[min(index, len(SHADES) - 1)],
            label=f"{horizon_s * 1000:g} ms",
            zorder=2,
        )
        ax.hlines(at, data.low[:, index], data.high[:, index], color=BLACK, linewidth=0.9, zorder=3)
    ax.axvline(0.0, color=BLACK, linewidth=0.7, zorder=4)
    ax.set_yticks(np.arange(len(data.names)), data.names)
    ax.set_ylim(len(data.names) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=LIGHT_GREY, linewidth=0.4, zorder=0)
    ax.set_axisbelow(True)
    ax.set_xlabel(f"bits per spike, minus the whole {data.model}")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), title="horizon", title_fontsize=7)
