"""Scored forecasts in the files of other benchmarks, so that their own code can score them.

``nlb``: two HDF5 files, as ``nlb_tools.make_tensors.save_to_h5`` writes them, a group a
recording::

    submission.h5    eval_rates_heldin_forward     (T, B, N) expected counts a bin
                     eval_rates_heldout_forward    (T, B, 0)
    target.h5        eval_spikes_heldin_forward    (T, B, N) counts
                     eval_spikes_heldout_forward   (T, B, 0)
                     evaluated_mean, null_counts   (N,)
                     origins_s (T,), unit_id (N,)

Bins after what was seen, of units that were seen, are NLB's *forward prediction*: its score
is ``bits_per_spike`` of the rates against the spikes. Nothing here is co-smoothing.

``bwb``: safetensors files, as ``ibl_bwb_eval`` reads them for its task ``ts2-forecasting``::

    predictions/LABEL/ts2-forecasting/RECORDING/seed_SEED.safetensors
        predictions          (T, B, N) log of the expected counts
        window_timestamps    (T,) start of each window: its origin minus the context
        unit_ids             (N, width) ASCII bytes, padded with 0
    ground_truth/ts2-forecasting/RECORDING/ground_truth.safetensors
        targets              (T, B, N) counts
        window_timestamps, unit_ids, evaluated_mean, null_counts

Both benchmarks compare with each unit's mean over what is evaluated (`evaluated_mean`);
`null_counts` is the null of this project, which has seen none of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from neurohorizon import __version__
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.evaluate import Progress, evaluate
from neurohorizon.evaluation.protocol import (
    CountForecast,
    Forecaster,
    Role,
    SessionCase,
    expected_of,
)
from neurohorizon.evaluation.summary import recording_table
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import Windows

Layout = Literal["nlb", "bwb"]
ABOUT_FILE = "export.json"
BWB_TASK = "ts2-forecasting"


@dataclass(frozen=True)
class ExportedRecording:
    """What was written of one recording, and what a referee finds there.

    Parameters
    ----------
    recording : str
    num_windows, num_units, num_spikes : int
        A spike counts once for each window that holds it.
    nlb : float
        What ``nlb_tools.evaluation.bits_per_spike`` returns.
    d2 : float
        What ``ibl_bwb_eval``'s ``PoissonD2Score`` returns; not clipped.
    """

    recording: str
    num_windows: int
    num_units: int
    num_spikes: int
    nlb: float
    d2: float


def export_forecasts(
    forecaster: Forecaster,
    cases: Sequence[SessionCase],
    folder: Path | str,
    *,
    layout: Layout,
    horizon_s: float | None = None,
    label: str = "neurohorizon",
    seed: int = 0,
    progress: Progress | None = None,
) -> list[ExportedRecording]:
    """Write a forecaster's forecasts of the scored windows for another benchmark's code.

    Parameters
    ----------
    forecaster : Forecaster
    cases : sequence of SessionCase
        Of one protocol. What is not scored, recordings or units, is not written.
    folder : path
        Receives the files; an earlier export there is replaced.
    layout : {"nlb", "bwb"}
    horizon_s : float, optional
        Write the bins up to this one of the protocol's horizons; the longest by default.
    label : str
        What ``bwb`` files the predictions under.
    seed : int
        Likewise.
    progress : callable, optional
        Called with what is being done, origins done, and origins in all.

    Raises
    ------
    ConfigError
        If the horizon is none of the protocol's, or the folder holds something else.
    DataError
        If no recording is scored, two have one name, or a forecast is not a forecast.

    Notes
    -----
    The forecasts pass through :func:`~neurohorizon.evaluation.evaluate.evaluate`: what is
    written is what is scored.
    """
    folder = Path(folder)
    require_own(folder)
    cases = [case for case in cases if not case.why_not_scored]
    if not cases:
        raise DataError("nothing to export: no recording has enough spikes to be scored")
    protocol = cases[0].protocol
    horizon_s = protocol.horizons_s[-1] if horizon_s is None else horizon_s
    if horizon_s not in protocol.horizons_s:
        known = ", ".join(f"{each:g}" for each in protocol.horizons_s)
        raise ConfigError(f"--horizon-s is {horizon_s:g}: expected one that is scored ({known})")
    names = [_as_name(case.recording.id) for case in cases]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two recordings would be exported as {twice}: rename one of them")
    num_bins = protocol.spec.bins_until(horizon_s)
    with atomic_path(folder) as temporary:
        temporary.mkdir()

        def write(stretch: _Scored) -> None:
            if layout == "nlb":
                _write_nlb(temporary, stretch)
            else:
                _write_bwb(temporary, stretch, label=_as_name(label), seed=seed)

        kept = _Kept(forecaster, num_bins, write)
        table = recording_table(evaluate([kept], cases, progress=progress))
        found = {row["recording"]: row for row in table if row["horizon_s"] == horizon_s}
        exported = [
            ExportedRecording(
                recording=case.recording.id,
                num_windows=len(case.origins_s),
                num_units=int(case.scored_units.sum()),
                num_spikes=kept.num_spikes[case.recording.id],
                nlb=found[case.recording.id]["nlb"],
                d2=found[case.recording.id]["d2_unclipped"],
            )
            for case in cases
        ]
        about = {
            "neurohorizon": __version__,
            "format": layout,
            "row": forecaster.name,
            "label": label,
            "seed": seed,
            "horizon_s": horizon_s,
            "bin_s": protocol.spec.bin_s,
            "origin_step_s": protocol.origin_step_s,
            "recordings": [asdict(each) for each in exported],
        }
        (temporary / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return exported


def require_own(folder: Path) -> None:
    """Refuse a path that holds something else than an export.

    Raises
    ------
    ConfigError
    """
    if folder.is_file():
        raise ConfigError(f"{folder}: is a file, an export is a folder: choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / ABOUT_FILE).is_file():
        raise ConfigError(
            f"{folder}: holds files, but no export ({ABOUT_FILE} is missing): choose another folder"
        )


@dataclass(frozen=True)
class _Scored:
    """All scored windows of one recording.

    Parameters
    ----------
    name : str
    spec : WindowSpec
    origins_s : (T,) float
    unit_id : (N,) str
    expected, counts : (T, B, N) float32
    null_counts : (N,) float
        This project's null.
    """

    name: str
    spec: WindowSpec
    origins_s: NDArray[np.float64]
    unit_id: NDArray[np.str_]
    expected: NDArray[np.float32]
    counts: NDArray[np.float32]
    null_counts: NDArray[np.float64]

    @property
    def nulls(self) -> dict[str, NDArray[np.float64]]:
        """Expected counts a bin of the benchmarks' null and of this project's, each (N,)."""
        mean = self.counts.mean(axis=(0, 1), dtype=np.float64)
        return {"evaluated_mean": mean, "null_counts": self.null_counts}


class _Kept:
    """A forecaster whose forecasts are written as they are scored, recording by recording."""

    def __init__(
        self, forecaster: Forecaster, num_bins: int, write: Callable[[_Scored], None]
    ) -> None:
        self.forecaster, self.num_bins, self.write = forecaster, num_bins, write
        self.name = forecaster.name
        self.role: Role = getattr(forecaster, "role", "model")
        self.num_spikes: dict[str, int] = {}
        self._parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def forecast(self, case: SessionCase, windows: Windows) -> NDArray[np.floating] | CountForecast:
        told = self.forecaster.forecast(case, windows)
        expected = self._by_bin(expected_of(told), case)
        self._parts.append((expected, self._by_bin(windows.counts, case)))
        if sum(len(counts) for _, counts in self._parts) == len(case.origins_s):
            both = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
            self._finish(case, *both)
            self._parts.clear()
        return told

    def _by_bin(self, values: NDArray[Any], case: SessionCase) -> NDArray[np.float32]:
        """Turn (T, all units, all bins) into (T, B, N): scored units, up to the horizon."""
        kept = values[:, case.scored_units, : self.num_bins]
        return np.ascontiguousarray(kept.transpose(0, 2, 1), dtype=np.float32)

    def _finish(
        self, case: SessionCase, expected: NDArray[np.float32], counts: NDArray[np.float32]
    ) -> None:
        scored, spec = case.scored_units, case.protocol.spec
        self.num_spikes[case.recording.id] = int(counts.sum(dtype=np.float64))
        self.write(
            _Scored(
                name=_as_name(case.recording.id),
                spec=spec,
                origins_s=case.origins_s,
                unit_id=case.recording.units.id[scored],
                expected=expected,
                counts=counts,
                null_counts=case.null.rate_hz[scored] * spec.bin_s,
            )
        )


def _write_nlb(folder: Path, scored: _Scored) -> None:
    nothing = np.empty((*scored.counts.shape[:2], 0), dtype=np.float32)
    for file_name, what, values in (
        ("submission.h5", "rates", scored.expected),
        ("target.h5", "spikes", scored.counts),
    ):
        with h5py.File(folder / file_name, "a") as file:
            group = file.create_group(scored.name)
            group.create_dataset(f"eval_{what}_heldin_forward", data=values, compression="gzip")
            group.create_dataset(f"eval_{what}_heldout_forward", data=nothing)
            if what == "spikes":
                group["origins_s"] = scored.origins_s
                group["unit_id"] = scored.unit_id.astype(h5py.string_dtype())
                for name, null in scored.nulls.items():
                    group[name] = null


def _write_bwb(folder: Path, scored: _Scored, *, label: str, seed: int) -> None:
    spec = scored.spec
    about = {
        "label": label,
        "task": BWB_TASK,
        "seed": str(seed),
        "recording_id": scored.name,
        "context_window": f"{spec.context_s + scored.counts.shape[1] * spec.bin_s:g}",
        "bin_size": f"{spec.bin_s:g}",
        "neurohorizon": __version__,
    }
    shared = {
        "window_timestamps": scored.origins_s - spec.context_s,
        "unit_ids": _as_bytes(scored.unit_id),
    }
    predictions = folder / "predictions" / label / BWB_TASK / scored.name
    ground_truth = folder / "ground_truth" / BWB_TASK / scored.name
    for parent, file_name, arrays in (
        (predictions, f"seed_{seed}", {"predictions": np.log(scored.expected)}),
        (ground_truth, "ground_truth", {"targets": scored.counts, **scored.nulls}),
    ):
        parent.mkdir(parents=True)
        written = save({**arrays, **shared}, metadata=about)
        (parent / f"{file_name}.safetensors").write_bytes(written)


def _as_name(text: str) -> str:
    """Make a name that is one word of a path."""
    return text.replace("/", "_")


def _as_bytes(ids: NDArray[np.str_]) -> NDArray[np.uint8]:
    """Pack ids into rows of ASCII bytes, shorter ones padded with 0."""
    rows = [str(each).encode("ascii", errors="backslashreplace") for each in ids]
    packed = np.zeros((len(rows), max(map(len, rows))), dtype=np.uint8)
    for row, text in zip(packed, rows, strict=True):
        row[: len(text)] = np.frombuffer(text, dtype=np.uint8)
    return packed
