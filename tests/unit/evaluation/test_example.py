"""The stretch that is looked at: chosen by a rule, every bin forecast once."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.constant import Mean, ReferenceRate
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.example import (
    TRUE_RATE,
    choose_example,
    choose_moment,
    load_example,
    make_example,
    save_example,
)
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.ops.intervals import regular_origins
from neurohorizon.recordings.schema import Table
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.recordings import to_recording
from neurohorizon.simulate.world import PopulationWorld
from worlds import waving_recording

PROTOCOL = Protocol(reference_s=20.0, block_s=5.0, fewest_spikes=50)


class Numbering:
    """Forecast the number of the bin since the recording began: it tells who made it when."""

    name = "numbering"

    def forecast(self, case, windows):
        spec = windows.spec
        first = np.floor(windows.origins_s / spec.bin_s + 1e-6)
        number = first[:, None] + np.arange(spec.num_bins) + 1.0
        return np.repeat(number[:, None], windows.num_units, axis=1)


@pytest.fixture(scope="module")
def case():
    recording = waving_recording(duration_s=120.0)
    starts = np.arange(2.0, 118.0, 3.0)
    recording = replace(recording, tables={"trials": Table(starts, starts + 1.0)})
    return prepare_case(recording, PROTOCOL, held_out=True)


def make(case, **settings):
    bits = np.arange(case.recording.num_units, dtype=float)
    return make_example(case, [Numbering()], bits_per_spike=bits, **settings)


def test_bins_follow_each_other_and_each_is_forecast_from_its_own_origin(case):
    example = make(case)
    number = example.rate_hz["numbering"][:, 0] * example.bin_s
    assert np.allclose(np.diff(number), 1.0, atol=1e-2)
    assert number[0] == pytest.approx(np.floor(example.start_s / example.bin_s + 1e-6) + 1)
    counts = count_in_windows(
        case.recording.spike_times,
        case.recording.spike_unit_index,
        num_units=case.recording.num_units,
        starts_s=[example.start_s],
        bin_s=example.bin_s,
        num_bins=len(example.counts),
    )
    assert np.array_equal(example.counts, counts[0].T)


def test_it_lies_in_what_is_scored_and_holds_what_is_shown(case):
    example = make(case)
    (low, high), (start, end) = case.scored[0], example.shown_s
    last = example.start_s + example.bin_s * len(example.counts)
    assert low <= example.start_s <= start < end <= last <= high
    assert example.event_name == "trial start"
    assert np.all((example.event_s >= example.start_s) & (example.event_s < last))
    inside = (case.recording.spike_times >= start) & (case.recording.spike_times < end)
    assert np.array_equal(example.spike_times, case.recording.spike_times[inside])


def test_without_trials_only_what_is_shown_is_forecast(case):
    known = replace(case.known, recording=replace(case.recording, tables={}))
    example = make(replace(case, known=known))
    assert len(example.counts) * example.bin_s == pytest.approx(10.0, abs=0.1)
    assert example.event_name == ""


def test_a_file_gives_it_back(case, tmp_path):
    example = make(case)
    save_example(example, tmp_path / "a.npz")
    loaded = load_example(tmp_path / "a.npz")
    assert loaded.shown_s == example.shown_s
    assert loaded.recording == example.recording
    assert np.array_equal(loaded.rate_hz["numbering"], example.rate_hz["numbering"])
    assert np.array_equal(loaded.spike_row, example.spike_row)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(DataError, match="no readable example"):
        load_example(tmp_path / "b.npz")


def test_the_recording_has_the_median_score_of_those_with_enough_units():
    sizes = (12, 12, 12, 4, 4)
    cases = [
        prepare_case(
            waving_recording(seed=seed, num_units=size, duration_s=60.0, name=f"s{seed}"),
            PROTOCOL,
            held_out=True,
        )
        for seed, size in enumerate(sizes)
    ]
    result = evaluate([ReferenceRate(), Mean()], cases)
    level = {}
    for name in ("s0", "s1", "s2"):
        scores = result.scores["reference rate", name]
        gain, spikes = (scores.at_horizons(x)[..., 0].sum() for x in (scores.gain, scores.spikes))
        level[name] = gain / spikes
    chosen = choose_example(result, "reference rate")
    assert chosen == sorted(level, key=level.__getitem__)[1]


def test_the_moment_is_lively_and_chosen_by_spikes_alone():
    recording = waving_recording(duration_s=200.0, num_units=4)
    (low, high), *_ = recording.require_split().test
    case = prepare_case(recording, PROTOCOL, held_out=True)
    start = choose_moment(case)
    assert low < start < high - 11.0
    counts = [
        len(case.recording.between(each, each + 10.0)[0])
        for each in regular_origins(case.scored, step_s=10.0, before_s=0.5, after_s=11.0)
    ]
    mine = len(case.recording.between(start, start + 10.0)[0])
    assert sorted(counts).index(mine) == int(0.9 * (len(counts) - 1))


def test_nothing_scored_no_example():
    case = prepare_case(waving_recording(), replace(PROTOCOL, fewest_spikes=10**9), held_out=True)
    with pytest.raises(DataError, match="no recording has enough spikes"):
        choose_example(evaluate([ReferenceRate()], [case]), "reference rate")


def test_the_true_rate_of_a_simulated_session_is_on_the_same_clock():
    session = simulate_session(PopulationWorld(), num_units=4, duration_s=60.0, seed=3)
    recording = to_recording(session, id="sim", subject="sim")
    case = prepare_case(recording, PROTOCOL, held_out=True)
    example = make(case, truth=session)
    assert example.event_name == "movement onset"
    first = round(example.start_s / session.world.grid_s)
    assert example.rate_hz[TRUE_RATE][0] == pytest.approx(
        session.rate_hz[first : first + 2].mean(axis=0)
    )
    assert example.rate_hz[TRUE_RATE].shape == example.counts.shape
