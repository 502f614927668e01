"""Forecasts of a stretch of one session, to look at: every bin forecast once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import Forecaster, SessionCase, expected_of
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path
from neurohorizon.ops.intervals import regular_origins
from neurohorizon.recordings.schema import FloatArray, Table
from neurohorizon.simulate.session import SimulatedSession

SHOWN_S = 10.0
LIVELY = 0.9
LONGEST_S = 240.0
TRUE_RATE = "true rate"


@dataclass(frozen=True)
class Example:
    """A stretch of a session whose every bin was forecast from the last origin before it.

    Parameters
    ----------
    recording : str
    start_s, bin_s : float
        Where the stretch starts, and the width of its bins, in seconds.
    lead_s : float
        Seconds between origins: a bin was forecast at most so long before its end.
    shown_s : (float, float)
        The part that is shown spike by spike.
    unit_id : (M,) str
        Scored units.
    bits_per_spike : (M,) float
        Of the model at the shortest reported horizon, over the whole evaluation.
    reference_hz : (M,) float
    counts : (T, M) int
    rate_hz : mapping of str to (T, M) float32
        Forecast rates by row, the model first.
    spike_times, spike_row : (S,) arrays
        Spikes of the part shown, and the row in `unit_id` of each.
    event_name : str
        What `event_s` are ("movement onset", "trial start"); "" without trials.
    event_s : (K,) float
        Seconds.
    """

    recording: str
    start_s: float
    bin_s: float
    lead_s: float
    shown_s: tuple[float, float]
    unit_id: NDArray[np.str_]
    bits_per_spike: FloatArray
    reference_hz: FloatArray
    counts: NDArray[np.int64]
    rate_hz: Mapping[str, NDArray[np.float32]]
    spike_times: FloatArray
    spike_row: NDArray[np.int64]
    event_name: str
    event_s: FloatArray

    @property
    def times_s(self) -> FloatArray:
        """Starts of the bins, (T,), in seconds."""
        return self.start_s + self.bin_s * np.arange(len(self.counts), dtype=np.float64)


def choose_example(result: EvaluationResult, model: str) -> str:
    """Choose a usual recording, by its score among those with enough units to look at.

    Parameters
    ----------
    result : EvaluationResult
    model : str
        Name of the row that is looked at.

    Returns
    -------
    str
        Of the scored recordings with at least the median number of units, the one with the
        median bits per spike at the shortest horizon (the lower of two).

    Raises
    ------
    DataError
        If no recording is scored.
    """
    cases = result.scored_cases()
    if not cases:
        raise DataError("no example to show: no recording has enough spikes to be scored")
    usual = float(np.median([case.num_units for case in cases]))
    names = [case.recording for case in cases if case.num_units >= usual]
    levels = []
    for scores in (result.scores[model, name] for name in names):
        gain, spikes = (
            scores.at_horizons(each)[..., 0].sum() for each in (scores.gain, scores.spikes)
        )
        levels.append(gain / max(spikes, 1))
    return names[_rank(levels, 0.5)]


def choose_moment(case: SessionCase) -> float:
    """Choose a lively moment of a case, by its spikes and not by its score.

    Returns
    -------
    float
        Start, in seconds, of the stretch of :data:`SHOWN_S` whose number of spikes is at the
        90th percentile of all such stretches of what is scored.
    """
    spec = case.protocol.spec
    starts = regular_origins(
        case.scored, step_s=SHOWN_S, before_s=spec.context_s, after_s=SHOWN_S + spec.horizon_s
    )
    if len(starts) == 0:
        return float(case.origins_s[0])
    spikes = [
        np.sum(case.scored_units[case.recording.between(start, start + SHOWN_S)[1]])
        for start in starts
    ]
    return float(starts[_rank(spikes, LIVELY)])


def make_example(
    case: SessionCase,
    forecasters: Sequence[Forecaster],
    *,
    bits_per_spike: FloatArray,
    truth: SimulatedSession | None = None,
) -> Example:
    """Forecast a stretch of a case densely.

    Parameters
    ----------
    case : SessionCase
    forecasters : sequence of Forecaster
        The model first.
    bits_per_spike : (M,) array
        Of the scored units, to choose some from.
    truth : SimulatedSession, optional
        Adds the row "true rate": what the latents drive, without spike history.

    Notes
    -----
    Origins follow each other at the shortest reported horizon, and of each forecast only
    the bins up to there are kept: they tile time.
    """
    spec, units = case.protocol.spec, np.flatnonzero(case.scored_units)
    start_s = choose_moment(case)
    num_bins = int(case.protocol.horizon_bins[0])
    lead_s = num_bins * spec.bin_s
    event_name, event_s = _events(case.recording.tables.get("trials"))
    longest_s = LONGEST_S if len(event_s) else SHOWN_S
    first, last = _stretch(case, start_s, lead_s=lead_s, longest_s=longest_s)
    origins = first + lead_s * np.arange(round((last - first) / lead_s))
    tiled = replace(case, origins_s=origins)
    counts, rates = [], {forecaster.name: [] for forecaster in forecasters}
    for windows in tiled.chunks():
        counts.append(_tile(windows.counts[:, units, :num_bins]))
        for forecaster in forecasters:
            expected = expected_of(forecaster.forecast(tiled, windows))[:, units, :num_bins]
            rates[forecaster.name].append(_tile(expected) / spec.bin_s)
    rate_hz = {name: np.concatenate(parts).astype(np.float32) for name, parts in rates.items()}
    num_rows = len(rate_hz[forecasters[0].name])
    if truth is not None:
        rate_hz[TRUE_RATE] = _true_rate(truth, first, num_rows, spec.bin_s)[:, units]
    shown_s = (start_s, min(start_s + SHOWN_S, last))
    times, unit = case.recording.between(*shown_s)
    row = np.full(case.recording.num_units, -1, dtype=np.int64)
    row[units] = np.arange(len(units))
    kept = row[unit] >= 0
    return Example(
        recording=case.recording.id,
        start_s=float(first),
        bin_s=spec.bin_s,
        lead_s=lead_s,
        shown_s=shown_s,
        unit_id=case.recording.units.id[units],
        bits_per_spike=np.asarray(bits_per_spike, dtype=np.float64),
        reference_hz=case.reference.rate_hz[units],
        counts=np.concatenate(counts).astype(np.int64),
        rate_hz=rate_hz,
        spike_times=np.asarray(times)[kept],
        spike_row=row[unit][kept],
        event_name=event_name,
        event_s=event_s[(event_s >= first) & (event_s < last)],
    )


def save_example(example: Example, path: Path | str) -> None:
    """Write an example as an npz file."""
    arrays = {
        "recording": np.array(example.recording),
        "event_name": np.array(example.event_name),
        "scalars": np.array([example.start_s, example.bin_s, example.lead_s, *example.shown_s]),
        "rows": np.array(list(example.rate_hz)),
        "rates": np.stack(list(example.rate_hz.values())),
        **{name: getattr(example, name) for name in _ARRAYS},
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def load_example(path: Path | str) -> Example:
    """Read an example.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            start_s, bin_s, lead_s, shown_from, shown_to = file["scalars"].tolist()
            return Example(
                recording=str(file["recording"]),
                event_name=str(file["event_name"]),
                start_s=start_s,
                bin_s=bin_s,
                lead_s=lead_s,
                shown_s=(shown_from, shown_to),
                rate_hz=dict(zip(file["rows"].tolist(), file["rates"], strict=True)),
                **{name: file[name] for name in _ARRAYS},
            )
    except NPZ_DAMAGE as error:
        raise DataError(f"{path}: no readable example ({error}): evaluate again") from error


_ARRAYS = (
    "unit_id",
    "bits_per_spike",
    "reference_hz",
    "counts",
    "spike_times",
    "spike_row",
    "event_s",
)


def _rank(values: Sequence[Any], share: float) -> int:
    """Return the index of the value below which a share of them lies (the lower of two)."""
    order = np.argsort(np.asarray(values), kind="stable")
    return int(order[int(share * (len(order) - 1))])


def _stretch(
    case: SessionCase, start_s: float, *, lead_s: float, longest_s: float
) -> tuple[float, float]:
    """Return a stretch of whole leads around a moment, inside one stretch of what is scored."""
    inside = (case.scored[:, 0] <= start_s) & (start_s < case.scored[:, 1])
    low, high = case.scored[np.flatnonzero(inside)[0]]
    low, high = low + case.protocol.spec.context_s, high - case.protocol.spec.horizon_s
    first = max(low, min(start_s + SHOWN_S / 2 - longest_s / 2, high - longest_s))
    # On the grid of leads through the moment that is shown.
    first = start_s - lead_s * np.floor((start_s - first) / lead_s + 1e-9)
    last = min(first + longest_s, high)
    return first, first + lead_s * np.floor((last - first) / lead_s + 1e-9)


def _tile(values: NDArray) -> NDArray:
    """Turn (T, M, b) values of neighbouring windows into (T * b, M)."""
    return values.transpose(0, 2, 1).reshape(-1, values.shape[1])


def _events(trials: Table | None) -> tuple[str, FloatArray]:
    """Return what happens in trials, and when: an onset if the table tells one."""
    if trials is None or len(trials) == 0:
        return "", np.empty(0)
    for name, values in trials.columns.items():
        if "onset" in name and values.ndim == 1 and values.dtype.kind == "f":
            return name.removesuffix("_s").replace("_", " "), np.sort(values[np.isfinite(values)])
    return "trial start", np.sort(trials.start)


def _true_rate(
    truth: SimulatedSession, first: float, num_rows: int, bin_s: float
) -> NDArray[np.float32]:
    """Average a simulated session's latent-driven rates over bins, (T, N)."""
    grid_s = truth.world.grid_s
    total = np.concatenate(
        [np.zeros((1, truth.num_units)), np.cumsum(truth.rate_hz, axis=0, dtype=np.float64)]
    )
    edges = np.rint((first + bin_s * np.arange(num_rows + 1)) / grid_s).astype(np.int64)
    edges = np.minimum(edges, len(total) - 1)
    steps = np.maximum(np.diff(edges), 1)[:, None]
    return (np.diff(total[edges], axis=0) / steps).astype(np.float32)
