"""The ladder: nothing where there is nothing, much where there is much, and no future."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.ladder import fit_ladder
from neurohorizon.evaluation.baselines.training import Baseline, prepare_training
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.evaluation.summary import difference, pooled, strongest
from neurohorizon.ops.intervals import dilate, intersect, total_s
from neurohorizon.recordings.schema import Recording, Table
from neurohorizon.recordings.splits import split_interleaved
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import poisson_recording, waving_recording

# Short windows and few units: what is tested does not depend on size.
PROTOCOL = Protocol(
    spec=WindowSpec(horizon_s=0.5),
    horizons_s=(0.1, 0.5),
    reference_s=40.0,
    block_s=5.0,
    fewest_spikes=100,
)
NAMES = [
    "mean",
    "reference rate",
    "last window",
    "shrinkage",
    "traces",
    "traces + adapter",
    "ridge",
    "reduced rank",
    "stack",
    "oracle mean",
]


def waves(seed: int) -> Recording:
    return waving_recording(seed=seed, name=f"wave{seed}", num_units=8)


@pytest.fixture(scope="module")
def ladder() -> list[Baseline]:
    return fit_ladder(prepare_training([waves(0), waves(1)], PROTOCOL))


def test_rows_have_their_order_names_and_roles(ladder):
    assert [row.name for row in ladder] == NAMES
    assert [row.role for row in ladder] == ["baseline"] * 9 + ["cheat"]


def test_on_stationary_poisson_nothing_is_gained_and_little_lost():
    recordings = [poisson_recording(seed=s, name=f"p{s}", duration_s=150.0) for s in range(4)]
    rows = fit_ladder(prepare_training(recordings[:3], PROTOCOL))
    result = evaluate(rows, [prepare_case(recordings[3], PROTOCOL, held_out=True)])
    for name in NAMES:
        low, high = (-0.1, 0.0) if name == "last window" else (-0.03, 0.02)
        assert np.all(pooled(result, name).value > low), name
        assert np.all(pooled(result, name).value < high), name


def test_where_the_population_tells_the_population_rows_win(ladder):
    cases = [prepare_case(waves(seed), PROTOCOL, held_out=True) for seed in (2, 3)]
    result = evaluate(ladder, cases)
    assert strongest(result, 0.1) in NAMES[5:9]
    for name in NAMES[5:9]:
        assert difference(result, name, "traces").above.all(), name
        assert np.all(pooled(result, name).value > 0.1)
    assert difference(result, "traces", "reference rate").above[0]


def test_no_row_sees_the_future(ladder):
    recording = waves(2)
    case = prepare_case(recording, PROTOCOL, held_out=True)
    origin = case.origins_s[8]
    past = recording.spike_times < origin
    generator = np.random.default_rng(0)
    unit = np.where(
        past,
        recording.spike_unit_index,
        generator.integers(recording.num_units, size=len(past)),
    )
    changed = prepare_case(replace(recording, spike_unit_index=unit), PROTOCOL, held_out=True)
    (windows,), (other_windows,) = case.chunks(), changed.chunks()
    assert not np.array_equal(windows.counts, other_windows.counts)
    for row in ladder:
        if row.role == "cheat":
            continue
        first = row.forecast(case, windows)[:9]
        assert np.array_equal(first, row.forecast(changed, other_windows)[:9]), row.name
        assert np.all(first > 0)


def test_test_spikes_do_not_change_a_fit(ladder):
    recordings = []
    for seed in (0, 1):
        recording = waves(seed)
        kept = recording.spike_times < recording.require_split().test[0, 0]
        recordings.append(
            replace(
                recording,
                spike_times=recording.spike_times[kept],
                spike_unit_index=recording.spike_unit_index[kept],
            )
        )
    again = fit_ladder(prepare_training(recordings, PROTOCOL))
    case = prepare_case(waves(4), PROTOCOL, held_out=True)
    (windows,) = case.chunks()
    for row, same in zip(ladder, again, strict=True):
        assert np.allclose(row.forecast(case, windows), same.forecast(case, windows)), row.name


def test_relabelling_units_relabels_the_forecast(ladder):
    recording = waves(2)
    order = np.random.default_rng(0).permutation(recording.num_units)
    case = prepare_case(recording, PROTOCOL, held_out=True)
    shuffled = prepare_case(recording.select_units(order), PROTOCOL, held_out=True)
    (windows,), (other_windows,) = case.chunks(), shuffled.chunks()
    for row in ladder:
        forecast = row.forecast(case, windows)[:, order]
        assert np.allclose(forecast, row.forecast(shuffled, other_windows), rtol=1e-6), row.name


@pytest.mark.parametrize("reference_s", [30.0, None])
@pytest.mark.parametrize("interleaved", [False, True])
def test_one_recording_is_enough(reference_s, interleaved):
    recording = waving_recording(duration_s=200.0, num_units=6)
    if interleaved:
        recording = replace(recording, split=split_interleaved(recording.domain))
    protocol = replace(PROTOCOL, reference_s=reference_s)
    training = prepare_training([recording], protocol)
    result = evaluate(fit_ladder(training), [prepare_case(recording, protocol, held_out=False)])
    assert pooled(result, "stack").value[0] > 0.05
    guard_s = protocol.spec.context_s + protocol.spec.horizon_s
    for cross_fit in training[0].cross_fits:
        near = dilate(cross_fit.reference.intervals, guard_s - 1e-6)
        assert total_s(intersect(near, cross_fit.free)) == 0


def test_silent_units_and_short_validation_do_no_harm():
    recording = waves(0)
    kept = recording.spike_unit_index != 3
    split = replace(recording.require_split(), valid=np.array([[75.0, 75.5]]))
    recording = replace(
        recording,
        spike_times=recording.spike_times[kept],
        spike_unit_index=recording.spike_unit_index[kept],
        split=split,
    )
    training = prepare_training([recording], PROTOCOL)
    assert training[0].valid is None
    case = prepare_case(recording, PROTOCOL, held_out=False)
    result = evaluate(fit_ladder(training), [case])
    assert result.cases[0].num_silent == 1
    for row in result.rows:
        assert np.isfinite(pooled(result, row.name).value).all()


def test_with_trials_there_is_a_psth_and_progress_is_told():
    recording = waves(0)
    starts = np.arange(0.0, 118.0, 2.0)
    recording = replace(recording, tables={"trials": Table(start=starts, end=starts + 1)})
    told = []
    training = prepare_training([recording], PROTOCOL)
    rows = fit_ladder(training, progress=lambda *step: told.append(step))
    assert [row.name for row in rows][4] == "psth"
    assert all(0 <= done <= total for _, done, total in told)
    assert told[-1][0] == "baselines: regressions"


def test_without_recordings_there_is_no_ladder():
    with pytest.raises(DataError, match="no training session"):
        fit_ladder([])
