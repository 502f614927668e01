"""``neurohorizon export``: scored forecasts for another benchmark's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress


def export(
    run: Path,
    /,
    *,
    format: Literal["nlb", "bwb"],
    out: Path,
    set: Literal["held-out", "later"] | None = None,
    row: str | None = None,
    horizon_s: float | None = None,
    recordings: Path | None = None,
) -> None:
    """Write a run's scored forecasts and their targets, for other benchmarks' own code.

    The files hold what `neurohorizon evaluate` scores: expected counts of every scored unit
    in every bin of every window. Printed beside each recording is what the other code finds.

    Parameters
    ----------
    run
        Run folder.
    format
        nlb: HDF5 for `nlb_tools` (Neural Latents Benchmark), as its forward prediction.
        bwb: safetensors for `ibl_bwb_eval` (BrainWideBench), as its task ts2-forecasting.
    out
        Folder for the files; an earlier export there is replaced.
    set
        Held-out sessions, or later time of the training sessions; held-out sessions by
        default, if there are any.
    row
        Export a baseline, such as "traces + adapter", instead of the model; the ladder is
        fitted for it.
    horizon_s
        Write the bins up to this horizon, in seconds, one of those that are scored; the
        longest by default.
    recordings
        Where the run's recordings lie now, if they were moved.
    """
    from neurohorizon.configs.run_export import export_run

    with StageProgress() as progress:
        exported = export_run(
            run,
            out,
            layout=format,
            of_set=set,
            row=row,
            horizon_s=horizon_s,
            recordings=recordings,
            progress=progress,
        )
    width = max(len(each.recording) for each in exported)
    print("what nlb_tools and ibl_bwb_eval find there, recording by recording")
    print(f"{'':<{width}}  windows  units   nlb bits/spike        D²")
    for each in exported:
        print(
            f"{each.recording:<{width}}  {each.num_windows:>7}  {each.num_units:>5}  "
            f"{each.nlb:>15.4f}  {each.d2:>8.4f}"
        )
    print(f"forecasts and targets in {out}")
