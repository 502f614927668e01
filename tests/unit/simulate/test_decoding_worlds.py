"""Worlds to decode from: who carries what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.store import open_recording
from neurohorizon.simulate.calcium import CalciumWorld
from neurohorizon.simulate.recordings import PopulationPlan, write_population
from neurohorizon.simulate.truth import load_truth
from neurohorizon.training.decoding.data import DecodeData

PLAN = PopulationPlan(units_range=(30, 30), duration_s=120.0, seed=5)
TASKS = [
    TaskSpec(name="velocity", series="velocity", rate_hz=20),
    TaskSpec(name="direction", kind="multinomial", table="trials", column="direction_rad"),
]


def test_plans_of_before_keep_their_fingerprints() -> None:
    assert PopulationPlan().fingerprint == "00626b1f"
    assert PopulationPlan((4, 6), 30.0, 3).fingerprint == "d35b2b21"
    others = [
        PLAN,
        replace(PLAN, carrier_share=0.3),
        replace(PLAN, calcium=CalciumWorld()),
        replace(PLAN, calcium=CalciumWorld(decay_s=1.0)),
    ]
    assert len({plan.fingerprint for plan in others}) == 4
    with pytest.raises(ConfigError, match="carrier_share is 0"):
        PopulationPlan(carrier_share=0.0)


def test_only_carriers_tell_of_movement() -> None:
    whole, planted = PLAN.simulate(0), replace(PLAN, carrier_share=0.3).simulate(0)
    assert whole.is_carrier.all()
    assert planted.is_carrier.sum() == 9
    # All other draws are those of the world where every unit carries.
    np.testing.assert_array_equal(planted.velocity, whole.velocity)
    np.testing.assert_array_equal(planted.units.history_weight, whole.units.history_weight)
    carrier = planted.is_carrier
    loading = planted.units.loading
    np.testing.assert_array_equal(loading[carrier], whole.units.loading[carrier])
    assert not loading[~carrier, :-1].any()
    np.testing.assert_array_equal(loading[:, -1], whole.units.loading[:, -1])
    told, silent = (_ridge_r2(planted, np.flatnonzero(each)) for each in (carrier, ~carrier))
    assert told > 0.25
    assert silent < 0.02
    assert _ridge_r2(whole, np.flatnonzero(~carrier)) > 0.25


def test_a_calcium_world_has_two_tasks_and_hides_its_spikes(tmp_path: Path) -> None:
    plan = replace(PLAN, units_range=(8, 8), duration_s=60.0, calcium=CalciumWorld())
    paths = write_population(plan, tmp_path, indices=[0, 1])
    recordings = [open_recording(path) for path in paths]
    session = plan.simulate(0)
    spikes_alone = replace(plan, calcium=None).simulate(0)
    np.testing.assert_array_equal(session.spike_times, spikes_alone.spike_times)
    assert len(recordings[0].spike_times) == 0
    truth = load_truth(paths[0])
    np.testing.assert_array_equal(truth.spike_times, session.spike_times)
    np.testing.assert_array_equal(truth.spike_unit_index, session.spike_unit_index)
    assert truth.calcium is not None
    assert session.calcium is not None
    np.testing.assert_array_equal(truth.calcium.traces, session.calcium.traces)
    np.testing.assert_array_equal(truth.calcium.amplitude, session.calcium.amplitude)
    tasks = meet_tasks(TASKS, recordings)
    assert tasks[0].num_outputs == 2
    assert tasks[1].num_outputs == 8
    data = DecodeData(recordings=recordings, tasks=tasks, tokens_per_batch=2_000)
    batch = next(iter(data.train_loader()))
    assert batch.token_value_WE.shape == batch.token_unit_WE.shape
    assert data.padding_share() < 0.1
    # A folder of one world is not mistaken for another's.
    with pytest.raises(ConfigError, match="other settings"):
        write_population(replace(plan, calcium=None), tmp_path, indices=[0])


def _ridge_r2(session, units: np.ndarray) -> float:
    """Regress velocity on counts around it, and score the last third of the time."""
    assert session.velocity is not None
    assert session.velocity_timestamps is not None
    at = np.arange(0.3, session.duration_s - 0.3, 0.05)
    counts = count_in_windows(
        session.spike_times,
        session.spike_unit_index,
        num_units=session.num_units,
        starts_s=at - 0.25,
        bin_s=0.1,
        num_bins=5,
    )[:, units].reshape(len(at), -1)
    rows = np.searchsorted(session.velocity_timestamps, at)
    targets = session.velocity[rows]
    train = at < session.duration_s * 2 / 3
    x = (counts - counts[train].mean(axis=0)) / np.maximum(counts[train].std(axis=0), 1e-6)
    y = targets - targets[train].mean(axis=0)
    gram = x[train].T @ x[train] + 300.0 * np.eye(x.shape[1])
    predicted = x[~train] @ np.linalg.solve(gram, x[train].T @ y[train])
    error = np.sum((y[~train] - predicted) ** 2)
    return float(1.0 - error / np.sum((y[~train] - y[~train].mean(axis=0)) ** 2))
