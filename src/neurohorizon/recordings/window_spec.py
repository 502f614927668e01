"""The geometry of a window: how far back, how far ahead, in bins how wide, and what is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.ops.binning import TICKS_PER_S, to_ticks
from neurohorizon.ops.intervals import regular_origins
from neurohorizon.recordings.conditions import ConditionSpec
from neurohorizon.recordings.reference_samples import SampleSpec
from neurohorizon.recordings.schema import FloatArray

#: The first origin lies so far inside a stretch, or a whole number of steps further.
GRID_START_S = 0.5
#: Width of a block of bins, about: coarse bins, for models that forecast those first.
BLOCK_S = 0.1


@dataclass(frozen=True)
class WindowSpec:
    """The geometry of a window.

    Parameters
    ----------
    context_s : float
        Seconds of spike events before the origin.
    horizon_s : float
        Seconds to forecast after it.
    bin_s : float
        Width of a forecast bin, in seconds.
    conditions : ConditionSpec
        What is read besides spikes; nothing by default.
    samples : SampleSpec
        What an identity reads of the reference besides features; nothing by default.

    Raises
    ------
    ConfigError
        If a quantity is not positive or the horizon, or a window of `samples`, is no whole
        number of bins.

    Examples
    --------
    >>> WindowSpec(horizon_s=1.0, bin_s=0.02).num_bins
    50
    """

    context_s: float = 0.5
    horizon_s: float = 1.0
    bin_s: float = 0.02
    conditions: ConditionSpec = field(default_factory=ConditionSpec)
    samples: SampleSpec = field(default_factory=SampleSpec)

    def __post_init__(self) -> None:
        for name in ("context_s", "horizon_s", "bin_s"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 1e-3):
                raise ConfigError(f"{name} is {value:g} s: it must be at least a millisecond")
        self.bins_until(self.horizon_s)
        if self.samples.num_windows:
            self._whole_bins(self.samples.window_s, "an identity window")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WindowSpec:
        """Make a geometry again of what ``dataclasses.asdict`` or JSON made of it."""
        conditions = dict(values.get("conditions", {}))
        if "behavior" in conditions:
            conditions["behavior"] = tuple(conditions["behavior"])
        samples = SampleSpec(**values.get("samples", {}))
        rest = {key: values[key] for key in values if key not in ("conditions", "samples")}
        return cls(**rest, conditions=ConditionSpec(**conditions), samples=samples)

    @property
    def geometry(self) -> WindowSpec:
        """The same without what a model reads besides spikes: what makes windows comparable."""
        return WindowSpec(context_s=self.context_s, horizon_s=self.horizon_s, bin_s=self.bin_s)

    @property
    def num_bins(self) -> int:
        """Bins in the horizon."""
        return self.bins_until(self.horizon_s)

    @property
    def num_context_bins(self) -> int:
        """Whole bins of the context, counted back from the origin."""
        return int(to_ticks(self.context_s)) // int(to_ticks(self.bin_s))

    def bins_until(self, horizon_s: float) -> int:
        """Return how many bins lie between the origin and a horizon.

        Raises
        ------
        ConfigError
            If that is no whole number, with the nearest choices.
        """
        return self._whole_bins(horizon_s, "a horizon")

    def _whole_bins(self, length_s: float, what: str) -> int:
        bin_ticks, ticks = int(to_ticks(self.bin_s)), int(to_ticks(length_s))
        if ticks % bin_ticks:
            below = ticks // bin_ticks * bin_ticks
            choices = [f"{c / TICKS_PER_S:g}" for c in (below, below + bin_ticks) if c > 0]
            raise ConfigError(
                f"{what} of {length_s:g} s is no whole number of {self.bin_s:g} s bins: "
                f"choose {' or '.join(choices)} s"
            )
        return ticks // bin_ticks

    @cached_property
    def group_edges(self) -> NDArray[np.int64]:
        """Bin edges of the horizon groups, fine near the origin and coarse far from it.

        Closed-form baselines and the population adapter forecast one value a group.

        Examples
        --------
        >>> WindowSpec().group_edges.tolist()
        [0, 1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 36, 43, 50]
        """
        widths, edge, edges = (1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 6, 7, 7), 0, [0]
        group = 0
        while edge < self.num_bins:
            edge = min(edge + widths[min(group, len(widths) - 1)], self.num_bins)
            edges.append(edge)
            group += 1
        return np.array(edges)

    @property
    def num_groups(self) -> int:
        """Number of horizon groups."""
        return len(self.group_edges) - 1

    @property
    def bins_per_block(self) -> int:
        """Bins in a block of about 100 ms; the horizon's last block may hold fewer."""
        return min(max(round(BLOCK_S / self.bin_s), 1), self.num_bins)

    @cached_property
    def group_of_bin(self) -> NDArray[np.int64]:
        """Horizon group of each bin, shape (B,)."""
        return np.repeat(np.arange(self.num_groups), np.diff(self.group_edges))

    def group_rates(self, counts: NDArray[np.integer]) -> FloatArray:
        """Average counts into rates by horizon group.

        Parameters
        ----------
        counts : (..., B) array

        Returns
        -------
        (..., G) array
            Rates in Hz.
        """
        summed = np.add.reduceat(counts, self.group_edges[:-1], axis=-1)
        return summed / (np.diff(self.group_edges) * self.bin_s)

    def origins(self, intervals: FloatArray, *, step_s: float) -> FloatArray:
        """Place origins every `step_s` so that context and horizon fit inside the stretches.

        Other contexts have origins on the same grid, so that their windows can be compared.
        """
        late_s = max(self.context_s - GRID_START_S, 0.0)
        before_s = GRID_START_S + np.ceil(late_s / step_s - 1e-9) * step_s
        return regular_origins(intervals, step_s=step_s, before_s=before_s, after_s=self.horizon_s)
