"""Mean rates around events of one session, observed and forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neurohorizon.evaluation.example import TRUE_RATE, Example
from neurohorizon.evaluation.metrics import psth_r2
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.rows import RowStyle, style_of
from neurohorizon.report.style import BLACK, LIGHT_GREY

NUM_PSTHS = 6
FROM_S, TO_S, BIN_S = -0.6, 1.0, 0.04
FEWEST_EVENTS = 10


@dataclass(frozen=True)
class EventAverage:
    """One unit's mean rate around events, observed and forecast.

    Parameters
    ----------
    unit, event : str
    num_events : int
    centres_s : (P,) float
        Since the event.
    observed_hz : (P,) float
    rate_hz : mapping of str to (P,) float
    r2 : mapping of str to float
        R² of the forecast average, by row.
    """

    unit: str
    event: str
    num_events: int
    centres_s: FloatArray
    observed_hz: FloatArray
    rate_hz: Mapping[str, FloatArray]
    r2: Mapping[str, float]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a time."""
        return [
            {
                "unit": self.unit,
                "time_s": round(float(time), 6),
                "observed_hz": self.observed_hz[index],
                **{name: float(values[index]) for name, values in self.rate_hz.items()},
            }
            for index, time in enumerate(self.centres_s)
        ]


def compute_event_averages(example: Example) -> list[EventAverage]:
    """Average observed and forecast rates around events; none with too few events.

    Notes
    -----
    The units whose *observed* average varies most beyond what counting noise explains are
    shown; how well they are forecast plays no part in the choice.
    """
    edges = np.arange(FROM_S, TO_S + BIN_S / 2, BIN_S)
    last = example.start_s + example.bin_s * len(example.counts)
    whole = (example.event_s + FROM_S >= example.start_s) & (example.event_s + TO_S <= last)
    events = example.event_s[whole]
    if len(events) < FEWEST_EVENTS:
        return []
    since = (example.times_s + example.bin_s / 2)[None, :] - events[:, None]
    place = np.floor((since - edges[0]) / BIN_S).astype(np.int64)
    member = np.stack([(place == index).sum(axis=0) for index in range(len(edges) - 1)])
    weight = member / member.sum(axis=1, keepdims=True)
    observed = weight @ example.counts / example.bin_s
    noise = observed.mean(axis=0) / (member.sum(axis=1).mean() * example.bin_s)
    modulation = (observed.var(axis=0) - noise) / np.maximum(observed.mean(axis=0), 0.5)
    averages = {
        name: weight @ rates.astype(np.float64)
        for name, rates in example.rate_hz.items()
        if name != TRUE_RATE
    }
    r2 = {name: psth_r2(values, observed) for name, values in averages.items()}
    return [
        EventAverage(
            unit=str(example.unit_id[unit]),
            event=example.event_name,
            num_events=len(events),
            centres_s=(edges[1:] + edges[:-1]) / 2,
            observed_hz=observed[:, unit],
            rate_hz={name: values[:, unit] for name, values in averages.items()},
            r2={name: float(values[unit]) for name, values in r2.items()},
        )
        for unit in np.argsort(-modulation, kind="stable")[:NUM_PSTHS]
    ]


def draw_event_averages(
    data: Sequence[EventAverage], axes: Sequence[Axes], *, styles: Mapping[str, RowStyle]
) -> None:
    """Draw one unit a panel."""
    for ax, unit in zip(axes, data, strict=False):
        half = (unit.centres_s[1] - unit.centres_s[0]) / 2
        edges = np.append(unit.centres_s - half, unit.centres_s[-1] + half)
        ax.stairs(unit.observed_hz, edges, fill=True, color=LIGHT_GREY, label="observed")
        for name, rates in reversed(list(unit.rate_hz.items())):
            ax.plot(unit.centres_s, rates, **style_of(styles, name).line, label=name)
        ax.axvline(0.0, color=BLACK, linewidth=0.6, linestyle=(0, (3, 2)))
        ax.set_title(unit.unit, fontsize=7, loc="left")
        for number, (name, value) in enumerate(unit.r2.items()):
            ax.annotate(
                f"R² {value:.2f}".replace("-", "−"),
                (1.0 - 0.24 * number, 1.02),
                xycoords="axes fraction",
                ha="right",
                fontsize=7,
                color=style_of(styles, name).text_colour,
            )
        ax.set_ylim(0.0, None)
    for ax in axes[len(data) :]:
        ax.set_axis_off()
    axes[0].legend(loc="best", fontsize=6)
    for ax in axes[-3:]:
        ax.set_xlabel(f"time since {data[0].event} (s)")
    for ax in axes[::3]:
        ax.set_ylabel("rate (Hz)")
