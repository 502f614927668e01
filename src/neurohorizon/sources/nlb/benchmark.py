"""The Neural Latents Benchmark '21: which units, trials and bins its scores are made of.

`DATASETS` holds each data set's windows as ``nlb_tools.make_tensors.PARAMS`` defines them;
`windows` and `held_out` apply them to a recording that `neurohorizon.sources.nlb` converted.

References
----------
Pei et al. 2021, Neural Latents Benchmark '21, NeurIPS Datasets and Benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.cosmoothing import HELD_OUT_COLUMN
from neurohorizon.recordings.schema import FloatArray, Recording

NAME = "nlb"
# torch_brain's word: its intervals have a method called `split`.
SPLIT_COLUMN = "split_indicator"
PARTS = ("train", "val", "test", "none")
BIN_S, FORWARD_S = 0.005, 0.2


@dataclass(frozen=True)
class Benchmark:
    """A data set of the benchmark, and the window in which it is scored.

    Parameters
    ----------
    dandiset : str
        Number and version on DANDI.
    subject, session : str
        What its NWB files call themselves.
    areas : tuple of str
        Brain areas recorded.
    align : str
        Trial column that the window is aligned to; ``start`` is the trial's start.
    window_s : (float, float)
        The window around it, in seconds.
    behaviour : tuple of str
        What is decoded: one series, or trial columns where `lag_s` is None.
    lag_s : float or None
        Seconds by which the behaviour follows the spikes.
    scored_from : str
        Trial column from which bins are scored if that is later than the window's start.
    """

    dandiset: str
    subject: str
    session: str
    areas: tuple[str, ...]
    align: str
    window_s: tuple[float, float]
    behaviour: tuple[str, ...]
    lag_s: float | None
    scored_from: str = ""
    bin_s: float = BIN_S
    forward_s: float = FORWARD_S

    @property
    def num_bins(self) -> int:
        """Bins of the window."""
        return round((self.window_s[1] - self.window_s[0]) / self.bin_s)

    @property
    def num_forward_bins(self) -> int:
        """Bins after the window that forward prediction is scored on."""
        return round(self.forward_s / self.bin_s)


def _maze(dandiset: str, session: str, lag_s: float) -> Benchmark:
    return Benchmark(
        dandiset,
        "Jenkins",
        session,
        areas=("M1", "PMd"),
        align="move_onset_time",
        window_s=(-0.25, 0.45),
        behaviour=("hand_vel",),
        lag_s=lag_s,
    )


DATASETS = {
    "mc_maze": _maze("000128/0.220113.0400", "full", 0.1),
    "mc_maze_large": _maze("000138/0.220113.0407", "large", 0.12),
    "mc_maze_medium": _maze("000139/0.220113.0408", "medium", 0.12),
    "mc_maze_small": _maze("000140/0.220113.0408", "small", 0.12),
    "mc_rtt": Benchmark(
        "000129/0.241017.1444",
        "Indy",
        "20170202_02",
        areas=("M1",),
        align="start",
        window_s=(0.0, 0.6),
        behaviour=("finger_vel",),
        lag_s=0.14,
    ),
    "area2_bump": Benchmark(
        "000127/0.220113.0359",
        "Han",
        "20171207",
        areas=("area 2",),
        align="move_onset_time",
        window_s=(-0.1, 0.5),
        behaviour=("hand_vel",),
        lag_s=-0.02,
    ),
    "dmfc_rsg": Benchmark(
        "000130/0.241017.1448",
        "Haydn",
        "20161211",
        areas=("DMFC",),
        align="go_time",
        window_s=(-1.5, 0.0),
        behaviour=("is_eye", "theta", "is_short", "ts", "tp"),
        lag_s=None,
        scored_from="set_time",
    ),
}


def held_out(recording: Recording) -> NDArray[np.bool_]:
    """Tell which units co-smoothing predicts and never reads, shape (N,).

    Raises
    ------
    DataError
        If the recording is not of the benchmark.
    """
    column = recording.units.columns.get(HELD_OUT_COLUMN)
    if column is None:
        raise DataError(
            f"{recording.id}: no held-out units are known; convert it with the source {NAME}"
        )
    return np.asarray(column, dtype=bool)


def windows(recording: Recording, part: str) -> FloatArray:
    """Return the benchmark's windows of one of its splits, (K, 2) seconds, in trial order.

    Bins are those of one grid from time 0, as in ``nlb_tools`` after ``resample(5)``: a window
    starts with the first bin that starts at or after its first moment. The forward bins follow
    its end. DMFC_RSG's training windows are jittered by up to 0.3 s in ``nlb_tools``; here they
    are not.

    Parameters
    ----------
    recording : Recording
        Made by `convert`.
    part : {"train", "val", "test", "none"}

    Raises
    ------
    DataError
        If the recording is not of the benchmark, or there is no such split.
    """
    benchmark = DATASETS.get(recording.metadata.get("nlb_dataset", ""))
    if benchmark is None:
        raise DataError(f"{recording.id}: not a recording of {NAME}: convert it with that source")
    if part not in PARTS:
        raise DataError(f"{NAME}: unknown split {part!r}: choose {', '.join(PARTS)}")
    trials = recording.tables["trials"]
    column = trials.start if benchmark.align == "start" else trials.columns[benchmark.align]
    aligned = np.asarray(column, dtype=np.float64)
    chosen = (trials.columns[SPLIT_COLUMN] == part) & np.isfinite(aligned)
    # Rounded to the microsecond first: floating-point dust must not cost a bin.
    start_us = np.round((aligned[chosen] + benchmark.window_s[0]) * 1e6)
    first = np.ceil(start_us / round(benchmark.bin_s * 1e6))
    # Divided, not multiplied: 1/200 has no exact float, quotients of whole numbers round best.
    edges = np.column_stack([first, first + benchmark.num_bins])
    return edges / round(1 / benchmark.bin_s)
