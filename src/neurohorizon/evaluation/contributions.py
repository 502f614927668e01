"""What each condition is worth: the forecast as it is, minus the forecast without it.

Three ways to take a condition from a model, window by window of the same evaluation:

- *withheld*: it is missing, as it may be in another laboratory;
- *permuted*: it is that of another moment of the same session, drawn at random. The model
  still sees behaviour, or pictures, such as it knows; only what they say of *now* is lost;
- *retrained*: another model, which was trained without it, forecasts instead. This alone says
  what a condition adds to what the spikes tell already.

Shapes: A conditions and ways, K blocks, S states, M units, H horizons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from neurohorizon.errors import DataError
from neurohorizon.evaluation.bootstrap import Interval, bootstrap
from neurohorizon.evaluation.metrics import LN2, log_likelihood_kernel
from neurohorizon.evaluation.protocol import Forecaster, SessionCase, expected_of
from neurohorizon.recordings.conditions import MODALITIES, ConditionReader, Conditions, Modality
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import Windows

Way = Literal["permuted", "withheld", "retrained"]
Among = Literal["all", "area", "state"]
Progress = Callable[[int, int], None]

#: Of the same weights.
WAYS: tuple[Way, ...] = ("permuted", "withheld")
#: Windows are told apart by the magnitude of the first series, in thirds of the session's, and
#: by whether a picture came on within so many seconds.
RECENT_S = 0.3
STATES = ("little movement", "some movement", "much movement", "after a picture", "no picture")
FALSE_DISCOVERY = 0.05
FEWEST_BLOCKS = 5


@dataclass(frozen=True)
class TrainedWithout:
    """A model that was trained without a condition.

    Parameters
    ----------
    modality : {"behavior", "images"}
    row : Forecaster
    cases : sequence of SessionCase
        The same recordings, with the windows that this model reads.
    """

    modality: Modality
    row: Forecaster
    cases: Sequence[SessionCase]


@dataclass(frozen=True, eq=False)
class Contributions:
    """What the conditions are worth on one recording.

    Parameters
    ----------
    recording : str
    modality, way : (A,) str
        What was taken from the model, and how.
    horizons_s : (H,) float
    unit_id, unit_area : (M,) str
    gain : (A, K, S + 1, M, H) float
        Log-likelihood of the whole model minus that of the model without, in nats, summed over
        windows; all windows first, then those in each of :data:`STATES`.
    spikes : (K, S + 1, M, H) int
    """

    recording: str
    modality: NDArray[np.str_]
    way: NDArray[np.str_]
    horizons_s: FloatArray
    unit_id: NDArray[np.str_]
    unit_area: NDArray[np.str_]
    gain: FloatArray
    spikes: NDArray[np.int64]


def measure_contributions(
    row: Forecaster,
    cases: Sequence[SessionCase],
    *,
    retrained: Sequence[TrainedWithout] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Contributions]:
    """Score a model with and without each condition that it reads.

    Parameters
    ----------
    row : Forecaster
    cases : sequence of SessionCase
        Of one protocol, whose windows have conditions.
    retrained : sequence of TrainedWithout
        Models to set beside it.
    seed : int
        Of the permutation.
    progress : callable, optional
        Called with origins done, and origins in all.

    Returns
    -------
    list of Contributions
        One a case that is scored.

    Raises
    ------
    DataError
        If another model reads windows at other moments.
    """
    spec = cases[0].protocol.spec.conditions
    modalities: list[Modality] = [each for each in MODALITIES if getattr(spec, each)]
    taken: list[tuple[Modality, Way]] = [(each, way) for each in modalities for way in WAYS]
    for each in retrained:
        taken.append((each.modality, "retrained"))
    scored = [number for number, case in enumerate(cases) if not case.why_not_scored]
    done, total = 0, sum(len(cases[number].origins_s) for number in scored)
    found = []
    for number in scored:
        case = cases[number]
        own_cases = [each.cases[number] for each in retrained]
        for own in own_cases:
            if not np.array_equal(own.origins_s, case.origins_s):
                raise DataError(
                    f"{case.recording.id}: a model trained without a condition reads other "
                    "windows: train both with the same window"
                )
        own_chunks = [own.chunks() for own in own_cases]
        protocol, units = case.protocol, np.flatnonzero(case.scored_units)
        every = ConditionReader(case.recording, spec).read(
            case.origins_s, horizon_s=protocol.spec.horizon_s
        )
        other = np.random.default_rng(seed).permutation(len(case.origins_s))
        first_unit = case.recording.series[spec.behavior[0]].unit if spec.behavior else ""
        states = window_states(every, first_unit)
        block = np.floor(case.origins_s / protocol.block_s).astype(np.int64)
        block = np.unique(block, return_inverse=True)[1]
        shape = (int(block.max()) + 1, 1 + len(STATES), len(units), len(protocol.horizons_s))
        gain, spikes = np.zeros((len(taken), *shape)), np.zeros(shape, dtype=np.int64)
        start = 0
        for windows in case.chunks():
            if progress is not None:
                progress(done, total)
            here = slice(start, start + len(windows))
            start += len(windows)
            counts = windows.counts[:, units]
            whole = _log_likelihood(row, case, windows, units)
            summed = _at_horizons(counts, protocol.horizon_bins)
            _add_by_window(spikes, summed, block[here], states[here])
            for place, (modality, way) in enumerate(taken[: -len(retrained) or None]):
                assert windows.conditions is not None
                changed = (
                    windows.conditions.without(modality)
                    if way == "withheld"
                    else windows.conditions.mixed(every.take(other[here]), modality)
                )
                without = _log_likelihood(row, case, windows.with_conditions(changed), units)
                difference = _at_horizons(whole - without, protocol.horizon_bins)
                _add_by_window(gain[place], difference, block[here], states[here])
            first = len(taken) - len(retrained)
            for place, (other_model, own, chunks) in enumerate(
                zip(retrained, own_cases, own_chunks, strict=True), start=first
            ):
                without = _log_likelihood(other_model.row, own, next(chunks), units)
                difference = _at_horizons(whole - without, protocol.horizon_bins)
                _add_by_window(gain[place], difference, block[here], states[here])
            done += len(windows)
        recording_units = case.recording.units
        found.append(
            Contributions(
                recording=case.recording.id,
                modality=np.array([modality for modality, _ in taken]),
                way=np.array([way for _, way in taken]),
                horizons_s=np.array(protocol.horizons_s),
                unit_id=recording_units.id[units],
                unit_area=recording_units.area[units],
                gain=gain,
                spikes=spikes,
            )
        )
    if progress is not None:
        progress(total, total)
    return found


def window_states(conditions: Conditions, unit: str = "") -> NDArray[np.bool_]:
    """Tell which of :data:`STATES` each window is in; none where it is not known.

    Parameters
    ----------
    conditions : Conditions
    unit : str
        Physical unit of the first series. A velocity, which has "/s" at the end, counts by its
        magnitude, whichever way it goes.

    Returns
    -------
    (T, S) bool
    """
    states = np.zeros((len(conditions), len(STATES)), dtype=bool)
    if conditions.behavior and conditions.behavior[0].shape[2]:
        now = conditions.behavior[0][:, -1]
        directed = now.shape[1] > 1 or unit.endswith("/s")
        magnitude = np.linalg.norm(now, axis=1) if directed else now[:, 0]
        known = np.isfinite(magnitude)
        if known.any():
            edges = np.quantile(magnitude[known], [1 / 3, 2 / 3])
            third = np.searchsorted(edges, magnitude)
            states[:, :3] = known[:, None] & (third[:, None] == np.arange(3))
    window = np.repeat(np.arange(len(conditions)), np.diff(conditions.picture_offsets))
    time = conditions.picture_time_s
    recent = np.bincount(
        window[(time <= 0) & (time > -RECENT_S)], minlength=len(conditions)
    ).astype(bool)
    states[:, 3] = conditions.pictures_known & recent
    states[:, 4] = conditions.pictures_known & ~recent
    return states


def _log_likelihood(
    row: Forecaster, case: SessionCase, windows: Windows, units: NDArray[np.integer]
) -> FloatArray:
    expected = expected_of(row.forecast(case, windows))[:, units].astype(np.float64)
    return log_likelihood_kernel(windows.counts[:, units], expected)


def _at_horizons(values: NDArray[Any], bins: NDArray[np.int64]) -> NDArray[Any]:
    return np.cumsum(values, axis=-1)[..., bins - 1]


def _add_by_window(
    sums: NDArray[Any],
    values: NDArray[Any],
    block: NDArray[np.int64],
    states: NDArray[np.bool_],
) -> None:
    """Add (T, M, H) values to those of each window's block and states, (K, S + 1, M, H)."""
    members = np.column_stack([np.ones(len(block), dtype=bool), states])
    for state in range(members.shape[1]):
        np.add.at(sums[:, state], block[members[:, state]], values[members[:, state]])


@dataclass(frozen=True)
class ContributionRow:
    """What one condition is worth to some of the units in some of the windows.

    Parameters
    ----------
    modality, way : str
    among : str
        "all", "area" or "state".
    which : str
        The area or the state; "" for all.
    interval : Interval
        Bits per spike by horizon.
    num_units : int
    """

    modality: str
    way: str
    among: Among
    which: str
    interval: Interval
    num_units: int


def summarise(found: Sequence[Contributions]) -> list[ContributionRow]:
    """Say what each condition is worth: overall, by area, and by state of the animal.

    Notes
    -----
    Intervals are bootstrapped over sessions where there are 8 or more, over blocks of time
    otherwise (:func:`~neurohorizon.evaluation.bootstrap.bootstrap`).
    """
    rows = []
    areas = sorted({str(area) for each in found for area in each.unit_area} - {""})
    for place, (modality, way) in enumerate(zip(found[0].modality, found[0].way, strict=True)):
        # One area is no split.
        selections: list[tuple[Among, str]] = [("all", "")]
        for area in areas if len(areas) > 1 else ():
            selections.append(("area", area))
        for state in STATES:
            selections.append(("state", state))
        for among, which in selections:
            gains, spikes, num_units = [], [], 0
            for each in found:
                state = 1 + STATES.index(which) if among == "state" else 0
                units = each.unit_area == which if among == "area" else slice(None)
                gain = each.gain[place, :, state][:, units]
                gains.append(gain.sum(axis=1))
                spikes.append(each.spikes[:, state][:, units].sum(axis=1))
                num_units += gain.shape[1]
            if any(rows_of_one.any() for rows_of_one in spikes):
                interval = bootstrap(gains, spikes)
                rows.append(
                    ContributionRow(str(modality), str(way), among, which, interval, num_units)
                )
    return rows


def best_way(found: Sequence[Contributions], modality: str) -> Way:
    """Return the way that says most of a condition: "retrained" where there is one."""
    ways = set(found[0].way[found[0].modality == modality].tolist())
    return "retrained" if "retrained" in ways else "permuted"


def unit_contributions(found: Sequence[Contributions]) -> list[dict[str, Any]]:
    """Say what each condition is worth to each unit, at the longest horizon.

    Returns
    -------
    list of dict
        ``recording``, ``unit``, ``area``, ``modality``, ``way``, ``bits_per_spike``, ``low``
        and ``high`` (95 %, over blocks of time, by Student's t), ``p`` (one-sided) and
        ``driven``: whether the condition helps the unit at a false discovery rate of 5 % over
        all units. With fewer than 5 blocks a recording tells nothing: no interval, and p is 1.

    References
    ----------
    Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57:289.
    """
    table: list[dict[str, Any]] = []
    for place, (modality, way) in enumerate(zip(found[0].modality, found[0].way, strict=True)):
        first = len(table)
        for each in found:
            gain, spikes = each.gain[place, :, 0, :, -1], each.spikes[:, 0, :, -1].sum(axis=0)
            total, within, p = _over_blocks(gain)
            scale = LN2 * np.maximum(spikes, 1)
            for unit in range(len(total)):
                table.append(
                    {
                        "recording": each.recording,
                        "unit": str(each.unit_id[unit]),
                        "area": str(each.unit_area[unit]),
                        "modality": str(modality),
                        "way": str(way),
                        "bits_per_spike": total[unit] / scale[unit],
                        "low": (total[unit] - within[unit]) / scale[unit],
                        "high": (total[unit] + within[unit]) / scale[unit],
                        "p": float(p[unit]),
                    }
                )
        adjusted = false_discovery_control([entry["p"] for entry in table[first:]])
        for entry, value in zip(table[first:], adjusted, strict=True):
            entry["driven"] = bool(value < FALSE_DISCOVERY)
    return table


def _over_blocks(gain: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sums of (K, M) gains, half of their 95 % intervals, and one-sided p values, (M,)."""
    num_blocks, total = len(gain), gain.sum(axis=0)
    if num_blocks < FEWEST_BLOCKS:
        return total, np.full_like(total, np.nan), np.ones_like(total)
    # The sum over blocks of a session has about the error of as many independent draws.
    error = gain.std(axis=0, ddof=1) * np.sqrt(num_blocks)
    score = np.divide(total, error, out=np.zeros_like(total), where=error > 0)
    p = np.where(error > 0, student.sf(score, num_blocks - 1), 1.0)
    return total, student.ppf(0.975, num_blocks - 1) * error, p
