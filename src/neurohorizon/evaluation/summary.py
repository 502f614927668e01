"""Tables from scores: everything a report prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.bootstrap import Interval, bootstrap
from neurohorizon.evaluation.calibration import COVERAGE_LEVELS, PIT_EDGES, coverage
from neurohorizon.evaluation.metrics import (
    bits_per_spike,
    calibration_curve,
    d2,
    d2_over_recordings,
    mtm,
    nlb,
)
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.scores import CALIBRATION_EDGES_HZ, Scores, spans_of

FloatArray = NDArray[np.float64]
Table = list[dict[str, Any]]


def pooled(result: EvaluationResult, name: str) -> Interval:
    """Return a row's bits per spike over all scored recordings, with interval, by horizon.

    NaN where no recording is scored.
    """
    scores = result.of_row(name)
    return bootstrap(
        [each.at_horizons(each.gain).sum(axis=1) for each in scores] or _nothing(result),
        [each.at_horizons(each.spikes).sum(axis=1) for each in scores] or _nothing(result),
    )


def difference(result: EvaluationResult, name: str, to: str) -> Interval:
    """Return the paired difference of two rows in bits per spike, with interval, by horizon."""
    scores = list(zip(result.of_row(name), result.of_row(to), strict=True))
    return bootstrap(
        [a.at_horizons(a.log_likelihood - b.log_likelihood).sum(axis=1) for a, b in scores]
        or _nothing(result),
        [a.at_horizons(a.spikes).sum(axis=1) for a, _ in scores] or _nothing(result),
    )


def _nothing(result: EvaluationResult) -> list[NDArray[Any]]:
    """Return one session without blocks: no sessions at all would leave the horizons open."""
    return [np.zeros((0, len(result.protocol.horizons_s)))]


def wins(result: EvaluationResult, name: str, to: str) -> NDArray[np.int64]:
    """Count the scored recordings on which a row is above another, by horizon, (H,)."""
    return sum(
        (
            (a.at_horizons(a.log_likelihood - b.log_likelihood).sum(axis=(0, 1)) > 0).astype(int)
            for a, b in zip(result.of_row(name), result.of_row(to), strict=True)
        ),
        start=np.zeros(len(result.protocol.horizons_s), dtype=np.int64),
    )


def strongest(result: EvaluationResult, horizon_s: float) -> str:
    """Return the name of the baseline with most bits per spike at a horizon."""
    horizon = list(result.protocol.horizons_s).index(horizon_s)
    return strongest_by_horizon(result)[horizon]


def strongest_by_horizon(result: EvaluationResult) -> list[str]:
    """Return the strongest baseline at each reported horizon; the first where none has a score."""
    names = result.names("baseline")
    if not names or not result.scored_cases():
        return []
    values = np.stack([_bits(result.of_row(name)) for name in names])
    ranked = np.where(np.isnan(values), -np.inf, values)
    return [names[row] for row in np.argmax(ranked, axis=0)]


def summarise(result: EvaluationResult, *, compare_to: Sequence[str] = ()) -> dict[str, Any]:
    """Compute everything that a report prints.

    Parameters
    ----------
    result : EvaluationResult
    compare_to : sequence of str
        Rows to take paired differences to, besides the strongest baselines.

    Returns
    -------
    dict
        ``counts``, ``strongest`` (by horizon), ``tables`` (lists of
        flat records by the names of :mod:`~neurohorizon.evaluation.result_files`).
    """
    best = strongest_by_horizon(result)
    targets = list(dict.fromkeys([*best, *compare_to]))
    cases = result.scored_cases()
    return {
        "counts": {
            "recordings": len(result.cases),
            "recordings_scored": len(cases),
            "units": sum(case.num_units for case in cases),
            "silent_units": sum(case.num_silent for case in cases),
            "left_out_units": sum(len(case.left_out) for case in cases),
            "spikes": sum(case.num_spikes for case in cases),
            "windows": sum(case.num_windows for case in cases),
        },
        "strongest": dict(zip(map(str, result.protocol.horizons_s), best, strict=bool(best))),
        "tables": {
            "scores": score_table(result) if cases else [],
            "differences": difference_table(result, targets) if cases else [],
            "recordings": recording_table(result),
            "units": unit_table(result),
            "bins": bin_table(result) if cases else [],
            "calibration": calibration_table(result) if cases else [],
            "coverage": coverage_table(result) if cases else [],
        },
    }


def score_table(result: EvaluationResult) -> Table:
    """Return pooled scores by row and horizon.

    ``bits_per_spike`` with its interval is the score, and ``own`` the same under the row's own
    distribution of counts; ``nlb``, ``mtm`` and ``d2`` are other
    benchmarks' numbers (``d2`` with each recording clipped at 0, as published); correlation
    and R² are of the counts up to the horizon and PSTH R² of the horizon group that ends
    there, each the mean over units.
    """
    table = []
    for row in result.rows:
        scores, interval = result.of_row(row.name), pooled(result, row.name)
        for index, horizon_s in enumerate(result.protocol.horizons_s):
            table.append(
                {
                    "row": row.name,
                    "role": row.role,
                    "horizon_s": horizon_s,
                    "bits_per_spike": interval.value[index],
                    "low": interval.low[index],
                    "high": interval.high[index],
                    "interval_over": interval.over,
                    **_variants(scores, index),
                    **_agreement(scores, index),
                }
            )
    return table


def difference_table(result: EvaluationResult, targets: Sequence[str]) -> Table:
    """Return paired differences of every row to some rows, by horizon."""
    num_recordings = len(result.scored_cases())
    best = strongest_by_horizon(result)
    table = []
    for target in targets:
        for row in result.rows:
            if row.name == target:
                continue
            interval, won = difference(result, row.name, target), wins(result, row.name, target)
            for index, horizon_s in enumerate(result.protocol.horizons_s):
                table.append(
                    {
                        "row": row.name,
                        "to": target,
                        "to_is_strongest": bool(best) and best[index] == target,
                        "horizon_s": horizon_s,
                        "difference": interval.value[index],
                        "low": interval.low[index],
                        "high": interval.high[index],
                        "interval_over": interval.over,
                        "above": bool(interval.above[index]),
                        "below": bool(interval.below[index]),
                        "wins": int(won[index]),
                        "recordings": num_recordings,
                    }
                )
    return table


def recording_table(result: EvaluationResult) -> Table:
    """Return scores by recording, row and horizon; recordings that are not scored included."""
    table = []
    for case in result.cases:
        for row in result.rows:
            scores = result.scores[row.name, case.recording]
            bits, per_block = (
                _bits([scores]),
                bootstrap(
                    [scores.at_horizons(scores.gain).sum(axis=1)],
                    [scores.at_horizons(scores.spikes).sum(axis=1)],
                ),
            )
            for index, horizon_s in enumerate(result.protocol.horizons_s):
                table.append(
                    {
                        "recording": case.recording,
                        "held_out": case.held_out,
                        "row": row.name,
                        "horizon_s": horizon_s,
                        "bits_per_spike": bits[index],
                        "low": per_block.low[index],
                        "high": per_block.high[index],
                        **_variants([scores], index),
                        **_agreement([scores], index),
                        "spikes": case.num_spikes,
                        "units": case.num_units,
                        "scored": not case.why_not_scored,
                    }
                )
    return table


def unit_table(result: EvaluationResult) -> Table:
    """Return scores by recording, unit, row and horizon."""
    table = []
    for case in result.cases:
        for row in result.rows:
            scores = result.scores[row.name, case.recording]
            spikes = scores.at_horizons(scores.spikes).sum(axis=0)
            bits = bits_per_spike(scores.at_horizons(scores.gain).sum(axis=0), 0.0, spikes)
            correlation, r2 = scores.correlation(), scores.r2()
            first = result.protocol.spec.num_groups
            for unit, unit_id in enumerate(case.unit_id):
                for index, horizon_s in enumerate(result.protocol.horizons_s):
                    table.append(
                        {
                            "recording": case.recording,
                            "unit": unit_id,
                            "area": case.unit_area[unit],
                            "rate_hz": case.unit_rate_hz[unit],
                            "row": row.name,
                            "horizon_s": horizon_s,
                            "bits_per_spike": bits[unit, index],
                            "correlation": correlation[unit, first + index],
                            "r2": r2[unit, first + index],
                            "spikes": int(spikes[unit, index]),
                        }
                    )
    return table


def bin_table(result: EvaluationResult) -> Table:
    """Return bits per spike of each bin by itself, pooled, by row and bin."""
    spec, table = result.protocol.spec, []
    for row in result.rows:
        scores = result.of_row(row.name)
        gain = np.sum([each.gain.sum(axis=(0, 1)) for each in scores], axis=0)
        spikes = np.sum([each.spikes.sum(axis=(0, 1)) for each in scores], axis=0)
        bits = bits_per_spike(gain, 0.0, spikes)
        for index, value in enumerate(bits):
            table.append(
                {
                    "row": row.name,
                    "start_s": round(index * spec.bin_s, 6),
                    "end_s": round((index + 1) * spec.bin_s, 6),
                    "bits_per_spike": value,
                    "spikes": int(spikes[index]),
                }
            )
    return table


def calibration_table(result: EvaluationResult) -> Table:
    """Return observed against expected rates, by row, span of bins and forecast value."""
    spec, spans = result.protocol.spec, spans_of(result.protocol)
    table = []
    for row in result.rows:
        sums = np.sum([each.calibration for each in result.of_row(row.name)], axis=0)
        expected, observed, error = calibration_curve(*sums)
        for index, (first, last) in enumerate(spans):
            width_s = (last - first) * spec.bin_s
            for value in np.flatnonzero(sums[0, index]):
                table.append(
                    {
                        "row": row.name,
                        "start_s": round(first * spec.bin_s, 6),
                        "end_s": round(last * spec.bin_s, 6),
                        "from_hz": CALIBRATION_EDGES_HZ[value],
                        "forecasts": int(sums[0, index, value]),
                        "expected_hz": expected[index, value] / width_s,
                        "observed_hz": observed[index, value] / width_s,
                        "standard_error_hz": error[index, value] / width_s,
                    }
                )
    return table


def coverage_table(result: EvaluationResult) -> Table:
    """Return how many counts fell into central intervals of what was forecast, by row and horizon.

    Counts are summed from the origin to the horizon. ``covered_50``, ``covered_80`` and
    ``covered_90`` are shares of those in the intervals of 50, 80 and 90 %; ``pit_0.00``, ... the
    histogram of the probability integral transform, as density: 1 everywhere if calibrated.
    """
    table = []
    for row in result.rows:
        pit = np.sum([each.pit for each in result.of_row(row.name)], axis=0)
        for histogram, horizon_s in zip(pit, result.protocol.horizons_s, strict=True):
            if not (total := histogram.sum()):
                continue
            density = histogram / total * len(histogram)
            table.append(
                {
                    "row": row.name,
                    "role": row.role,
                    "horizon_s": horizon_s,
                    "counts": round(total),
                    **{
                        f"covered_{100 * level:.0f}": coverage(histogram, level)
                        for level in COVERAGE_LEVELS
                    },
                    **{
                        f"pit_{edge:.2f}": value
                        for edge, value in zip(PIT_EDGES[:-1], density, strict=True)
                    },
                }
            )
    return table


def _bits(scores: Sequence[Scores]) -> FloatArray:
    """Return bits per spike over several recordings by horizon, (H,)."""
    gain = sum(each.at_horizons(each.gain).sum(axis=(0, 1)) for each in scores)
    spikes = sum(each.at_horizons(each.spikes).sum(axis=(0, 1)) for each in scores)
    return bits_per_spike(gain, 0.0, spikes)


def _variants(scores: Sequence[Scores], horizon: int) -> dict[str, float]:
    """Return other benchmarks' numbers at one horizon, over several recordings."""
    per_recording, deviance = [], []
    for each in scores:
        entries = np.full(len(each.unit_index), float(each.num_entries[horizon]))
        sums = (
            each.at_horizons(each.log_likelihood).sum(axis=0)[:, horizon],
            each.at_horizons(each.spikes).sum(axis=0)[:, horizon],
            entries,
        )
        per_recording.append(sums)
        saturated = each.at_horizons(each.saturated)[:, horizon]
        deviance.append(d2(sums[0], saturated, sums[1], entries))
    joined = [np.concatenate(parts) for parts in zip(*per_recording, strict=True)]
    own = sum(each.at_horizons(each.own_gain).sum(axis=(0, 1))[horizon] for each in scores)
    return {
        "own": float(bits_per_spike(own, 0.0, joined[1].sum())),
        "nlb": nlb(*joined),
        "mtm": mtm(*joined),
        "d2": d2_over_recordings(deviance),
        "d2_unclipped": _mean(np.array(deviance)),
    }


def _agreement(scores: Sequence[Scores], horizon: int) -> dict[str, float]:
    """Return correlation, R² and PSTH R² at one horizon: means over all units."""
    spec = scores[0].protocol.spec
    span = spec.num_groups + horizon
    group = spec.group_of_bin[scores[0].protocol.horizon_bins[horizon] - 1]
    return {
        "correlation": _mean(np.concatenate([each.correlation()[:, span] for each in scores])),
        "r2": _mean(np.concatenate([each.r2()[:, span] for each in scores])),
        "psth_r2": _mean(np.concatenate([each.psth_r2()[:, group] for each in scores])),
    }


def _mean(values: FloatArray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
