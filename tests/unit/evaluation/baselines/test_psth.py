"""The PSTH row: it knows the trials that have begun, and no other."""

from dataclasses import replace

import numpy as np

from neurohorizon.evaluation.baselines.psth import TrialAverage, trial_psth
from neurohorizon.evaluation.baselines.training import prepare_training
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.evaluation.summary import pooled
from neurohorizon.recordings.schema import Recording, Table
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import poisson_recording

PROTOCOL = Protocol(reference_s=60.0, fewest_spikes=100)


def with_trials(seed: int = 0) -> Recording:
    """Units of which the first fires 0.3 to 0.5 s after each trial's start."""
    recording = poisson_recording(num_units=3, duration_s=200.0, seed=seed, name=f"t{seed}")
    generator = np.random.default_rng(seed)
    starts = np.round(np.cumsum(generator.uniform(1.5, 2.5, 98)), 3)
    starts = starts[starts < 198]
    driven = np.round((starts[:, None] + generator.uniform(0.3, 0.5, (len(starts), 8))).ravel(), 6)
    times = np.concatenate([recording.spike_times, driven])
    unit = np.concatenate([recording.spike_unit_index, np.zeros(len(driven), dtype=np.int64)])
    order = np.argsort(times, kind="stable")
    return replace(
        recording,
        spike_times=times[order],
        spike_unit_index=unit[order],
        tables={"trials": Table(start=starts, end=starts + 1.0)},
    )


def fitted() -> TrialAverage:
    row = TrialAverage()
    row.fit(prepare_training([with_trials(1)], PROTOCOL))
    return row


def test_the_average_peaks_when_the_unit_fires():
    case = prepare_case(with_trials(), PROTOCOL, held_out=True)
    psth = trial_psth(case.known, WindowSpec(), smoothing_s=0.02, strength=1.0)
    rate = psth[:, :-1] / 0.02
    assert 0.3 <= np.argmax(rate[0, :75]) * 0.02 <= 0.5
    assert rate[0, 15:25].mean() > 4 * rate[0, 40:60].mean()
    assert np.allclose(psth[:, -1], case.reference.rate_hz * 0.02)


def test_it_is_worth_something_and_forecasts_are_counts():
    row = fitted()
    result = evaluate([row], [prepare_case(with_trials(), PROTOCOL, held_out=True)])
    assert pooled(result, "psth").value[3] > 0.05


def test_trials_that_have_not_begun_are_unknown():
    row, recording = fitted(), with_trials()
    case = prepare_case(recording, PROTOCOL, held_out=True)
    trials = recording.tables["trials"]
    (windows,) = case.chunks()
    begun = trials.start <= windows.origins_s[12]
    cut = replace(
        recording, tables={"trials": Table(start=trials.start[begun], end=trials.end[begun])}
    )
    unknowing = prepare_case(cut, PROTOCOL, held_out=True)
    (same_windows,) = unknowing.chunks()
    first = row.forecast(case, windows)[:13]
    assert np.array_equal(first, row.forecast(unknowing, same_windows)[:13])


def test_without_trials_it_is_the_reference_rate():
    case = prepare_case(poisson_recording(duration_s=200.0), PROTOCOL, held_out=True)
    (windows,) = case.chunks()
    expected = case.reference.rate_hz * 0.02
    assert np.allclose(fitted().forecast(case, windows), expected[None, :, None])
