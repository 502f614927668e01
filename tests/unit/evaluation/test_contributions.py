"""What conditions are worth: planted drives are found, in those units and in no others."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.training import spread_over_bins
from neurohorizon.evaluation.contributions import (
    STATES,
    Contributions,
    TrainedWithout,
    best_way,
    measure_contributions,
    summarise,
    unit_contributions,
    window_states,
)
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.ops.records import load_records, save_records
from neurohorizon.recordings.conditions import ConditionReader, ConditionSpec
from neurohorizon.recordings.schema import Series
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.report.contributions import compute_contribution_bars, compute_unit_worth
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.recordings import to_recording
from neurohorizon.simulate.world import PopulationWorld

CONDITIONS = ConditionSpec(behavior=("running",), images="pictures", known_schedule=True)
SPEC = WindowSpec(conditions=CONDITIONS)


class Tuned:
    """Forecasts by tuning alone, in closed form: what it reads is what it says."""

    name, role = "tuned", "model"

    def forecast(self, case, windows):
        tuning = case.reference.tuning.forecast(windows.conditions)
        ratio = np.maximum(1.0 + tuning, 0.1).prod(axis=-1)
        return spread_over_bins(ratio * case.reference.rate_hz[:, None], windows.spec)


@pytest.fixture(scope="module")
def session():
    return simulate_session(
        PopulationWorld(), num_units=50, duration_s=840.0, seed=3, driven=True, trials=False
    )


@pytest.fixture(scope="module")
def case(session):
    recording = to_recording(session, id="driven", subject="a")
    area = np.where(np.arange(50) < 20, "V1", "M1")
    recording = replace(recording, units=replace(recording.units, area=area))
    protocol = Protocol(spec=SPEC, reference_s=240.0)
    return prepare_case(recording, protocol, held_out=True)


@pytest.fixture(scope="module")
def found(case):
    return measure_contributions(Tuned(), [case])


def test_planted_drives_are_found_and_no_others(session, found):
    drives = session.drives
    planted = {
        "behavior": drives.running_weight != 0,
        "images": (drives.picture_weight != 0).any(axis=1),
    }
    table = unit_contributions(found)
    for modality, truth in planted.items():
        rows = [r for r in table if r["modality"] == modality and r["way"] == "permuted"]
        driven = np.array([row["driven"] for row in rows])
        assert driven[truth].mean() > 0.6, modality
        assert driven[~truth].mean() < 0.1, modality
        assert all(row["low"] <= row["bits_per_spike"] <= row["high"] for row in rows)


def test_all_is_the_sum_of_its_parts(found):
    (one,) = found
    third = one.gain[:, :, 1:4].sum(axis=2)
    np.testing.assert_allclose(third, one.gain[:, :, 0], atol=1e-8)
    np.testing.assert_array_equal(one.spikes[:, 1:4].sum(axis=1), one.spikes[:, 0])
    pictures = one.gain[:, :, 4:6].sum(axis=2)
    np.testing.assert_allclose(pictures, one.gain[:, :, 0], atol=1e-8)


def test_equals_the_difference_of_two_evaluations(case, found):
    from neurohorizon.evaluation.evaluate import evaluate
    from neurohorizon.evaluation.summary import difference

    class Blind(Tuned):
        name = "blind"

        def forecast(self, case, windows):
            return super().forecast(
                case, windows.with_conditions(windows.conditions.without("behavior"))
            )

    result = evaluate([Tuned(), Blind()], [case], title="")
    expected = difference(result, "tuned", "blind")
    (row,) = [r for r in summarise(found)
              if (r.modality, r.way, r.among) == ("behavior", "withheld", "all")]  # fmt: skip
    np.testing.assert_allclose(row.interval.value, expected.value, atol=1e-9)
    np.testing.assert_allclose(row.interval.low, expected.low, atol=1e-9)


def test_a_model_trained_without_is_set_beside_it_on_its_own_windows(case, found):
    """A model that reads no running, on windows that hold none: as if it were withheld."""
    own = replace(SPEC, conditions=replace(CONDITIONS, behavior=()))
    bare = prepare_case(case.recording, replace(case.protocol, spec=own), held_out=True)
    others = [TrainedWithout("behavior", Tuned(), [bare])]
    again = measure_contributions(Tuned(), [case], retrained=others)
    assert list(zip(again[0].modality, again[0].way, strict=True))[-1] == ("behavior", "retrained")
    np.testing.assert_array_equal(again[0].gain[:-1], found[0].gain)
    withheld = again[0].way.tolist().index("withheld")
    # What pictures are worth is solved beside running in one model, alone in the other.
    np.testing.assert_allclose(
        again[0].gain[-1, :, 0].sum(), again[0].gain[withheld, :, 0].sum(), rtol=0.2
    )
    assert best_way(again, "behavior") == "retrained"
    assert best_way(again, "images") == "permuted"
    bars = compute_contribution_bars(again)
    assert {(row.modality, row.way) for row in bars.split} == {
        ("behavior", "retrained"),
        ("images", "permuted"),
    }
    same = measure_contributions(
        Tuned(), [case], retrained=[TrainedWithout("behavior", Tuned(), [case])]
    )
    assert not same[0].gain[-1].any(), "beside itself a model is worth nothing"
    late = replace(bare, origins_s=bare.origins_s[1:])
    with pytest.raises(DataError, match="reads other windows"):
        measure_contributions(
            Tuned(), [case], retrained=[TrainedWithout("behavior", Tuned(), [late])]
        )


def test_areas_and_states_are_told_apart(session, found):
    rows = {(r.modality, r.way, r.among, r.which): r for r in summarise(found)}
    assert {key[3] for key in rows if key[2] == "area"} == {"V1", "M1"}
    assert {key[3] for key in rows if key[2] == "state"} == set(STATES)
    after, none = (
        rows["images", "permuted", "state", state].interval.value[0]
        for state in ("after a picture", "no picture")
    )
    assert after > none
    assert rows["behavior", "permuted", "area", "V1"].num_units == 20


@pytest.mark.parametrize("num_blocks", [2, 5, 12])
def test_of_units_that_nothing_drives_none_is_found(num_blocks):
    """Few blocks of time are no licence: one table in twenty may hold a unit, and no more."""
    generator, num_units, tables = np.random.default_rng(0), 40, []
    for _ in range(60):
        gain = np.zeros((1, num_blocks, 1 + len(STATES), num_units, 1))
        gain[:, :, 0] = generator.normal(0.0, 5.0, size=(1, num_blocks, num_units, 1))
        of_world = Contributions(
            recording="null",
            modality=np.array(["behavior"]),
            way=np.array(["permuted"]),
            horizons_s=np.array([1.0]),
            unit_id=np.arange(num_units).astype(str),
            unit_area=np.full(num_units, ""),
            gain=gain,
            spikes=np.full(gain.shape[1:], 500),
        )
        tables.append(any(row["driven"] for row in unit_contributions([of_world])))
    assert np.mean(tables) < 0.12


def test_the_way_of_a_velocity_is_no_amount_of_movement():
    times = np.arange(0.0, 300.0, 0.01)
    recording = to_recording(
        simulate_session(PopulationWorld(), num_units=3, duration_s=300.0, seed=1),
        id="a",
        subject="a",
    )
    turning = Series(times, 5.0 * np.sin(2 * np.pi * times / 7.0)[:, None], unit="rad/s")
    recording = replace(recording, series={"wheel.velocity": turning})
    read = ConditionReader(recording, ConditionSpec(behavior=("wheel.velocity",)))
    conditions = read.read(np.arange(2.0, 298.0, 0.5), horizon_s=1.0)
    states, speed = window_states(conditions, "rad/s"), np.abs(conditions.behavior[0][:, -1, 0])
    little, some, much = (speed[states[:, place]] for place in range(3))
    assert little.max() <= some.min() < some.max() <= much.min()


def test_states_are_none_where_they_are_not_known(case):
    bare = replace(case.recording, series={}, embeddings={}, tables={})
    read = ConditionReader(bare, CONDITIONS).read(case.origins_s, horizon_s=1.0)
    assert not window_states(read).any()


def test_files_read_back(found, tmp_path):
    path = tmp_path / "held-out.contributions.npz"
    save_records(found, path)
    (again,) = load_records(Contributions, path)
    assert again.recording == "driven"
    np.testing.assert_array_equal(again.gain, found[0].gain)
    np.testing.assert_array_equal(again.unit_area, found[0].unit_area)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="missing or damaged"):
        load_records(Contributions, path)


def test_figures_hold_the_numbers(found):
    bars = compute_contribution_bars(found)
    assert {(row.modality, row.way) for row in bars.overall} == {
        (modality, way) for modality in ("behavior", "images") for way in ("permuted", "withheld")
    }
    assert len(bars.table()) == 4 * (len(bars.overall) + len(bars.split))
    panels, table = compute_unit_worth(found)
    assert [panel.modality for panel in panels] == ["behavior", "images"]
    assert all((np.diff(panel.value) >= 0).all() for panel in panels)
    assert len(table) == 4 * 50
