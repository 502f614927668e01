"""Tuning: planted drives are found, in those units and no others, and never from the future."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.recordings.conditions import ConditionReader, ConditionSpec
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.tuning import LONGEST_DELAY_S, delay_basis
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.recordings import to_recording
from neurohorizon.simulate.world import PopulationWorld

CONDITIONS = ConditionSpec(behavior=("running",), images="pictures")
SPEC = WindowSpec(conditions=CONDITIONS)
STRETCH = np.array([[0.0, 180.0]])
ORIGINS = np.arange(182.0, 298.0, 0.3)


@pytest.fixture(scope="module")
def session():
    return simulate_session(
        PopulationWorld(), num_units=40, duration_s=300.0, seed=11, driven=True, trials=False
    )


@pytest.fixture(scope="module")
def recording(session):
    return to_recording(session, id="driven", subject="a")


@pytest.fixture(scope="module")
def reference(recording):
    return compute_reference(recording, STRETCH, spec=SPEC)


def driven(session):
    drives = session.drives
    return drives.running_weight != 0, (drives.picture_weight != 0).any(axis=1)


def compare(reference, windows, *, column, units, groups):
    """Return what was told and what came, in units of Poisson noise."""
    told = reference.tuning.forecast(windows.conditions)[..., column]
    came = SPEC.group_rates(windows.counts) / reference.rate_hz[:, None] - 1.0
    scale = np.sqrt(reference.rate_hz[:, None] * np.diff(SPEC.group_edges) * SPEC.bin_s)
    came = came - came.mean(axis=0)
    return ((values * scale)[:, units, groups].ravel() for values in (told, came))


def test_skill_tells_driven_units_from_others(session, reference):
    for column, planted in enumerate(driven(session)):
        skill = reference.tuning.skill[:, column]
        assert skill[planted].mean() > 5 * skill[~planted].mean()
        # Area under the ROC curve: a driven unit has more skill than another.
        more = skill[planted][:, None] > skill[~planted]
        assert more.mean() > 0.9


def test_forecasts_go_with_what_follows(session, recording, reference):
    windows = reference.read_windows(WindowReader(recording, SPEC), ORIGINS)
    runs, sees = driven(session)
    for column, units, groups in ((0, runs, slice(0, 15)), (1, sees, slice(0, 4))):
        told, came = compare(reference, windows, column=column, units=units, groups=groups)
        assert 2 * np.mean(told * came) > np.mean(told**2), "worse than forecasting nothing"
        assert np.corrcoef(told, came)[0, 1] > 0.05


def test_a_known_schedule_foretells_what_the_past_cannot(session, recording, reference):
    spec = WindowSpec(conditions=replace(CONDITIONS, known_schedule=True))
    knowing = compute_reference(recording, STRETCH, spec=spec)
    windows = knowing.read_windows(WindowReader(recording, spec), ORIGINS)
    blind = reference.read_windows(WindowReader(recording, SPEC), ORIGINS)
    late = {"column": 1, "units": driven(session)[1], "groups": slice(10, 15)}
    foreknown = np.corrcoef(*compare(knowing, windows, **late))[0, 1]
    guessed = np.corrcoef(*compare(reference, blind, **late))[0, 1]
    assert foreknown > 0.1
    assert foreknown > 2 * guessed


def test_pictures_by_the_clock_need_no_schedule():
    """Where one follows another after a fixed pause, the next onset is known from the last."""
    world = PopulationWorld(picture_pause_s=(0.35, 0.35), picture_response=(1.2, 1.2))
    session = simulate_session(
        world, num_units=30, duration_s=300.0, seed=2, driven=True, trials=False
    )
    recording = to_recording(session, id="clock", subject="a")
    reference = compute_reference(recording, STRETCH, spec=SPEC)
    windows = reference.read_windows(WindowReader(recording, SPEC), ORIGINS)
    sees = driven(session)[1]
    told, came = compare(reference, windows, column=1, units=sees, groups=slice(10, 15))
    assert np.corrcoef(told, came)[0, 1] > 0.15


def test_forecasts_are_unbiased(recording, reference):
    """What is not yet known of the pictures to come is made up for by what is expected."""
    windows = reference.read_windows(WindowReader(recording, SPEC), ORIGINS)
    forecast = reference.tuning.forecast(windows.conditions)[..., 1]
    mean, spread = forecast.mean(axis=0), forecast.std(axis=0)
    assert np.abs(mean).max() < 0.5 * spread.max()


def test_a_missing_condition_says_nothing(recording, reference):
    windows = reference.read_windows(WindowReader(recording, SPEC), ORIGINS[:5])
    tuning = reference.tuning
    for column, modality in enumerate(("behavior", "images")):
        without = windows.conditions.without(modality)
        assert not tuning.forecast(without)[..., column].any()
        assert not tuning.given(without)[:, column].any()
        other = 1 - column
        np.testing.assert_array_equal(
            tuning.forecast(without)[..., other],
            tuning.forecast(windows.conditions)[..., other],
        )


def test_a_reference_without_them_has_no_tuning(recording):
    bare = replace(recording, series={}, embeddings={})
    reference = compute_reference(bare, STRETCH, spec=SPEC)
    windows = reference.read_windows(WindowReader(bare, SPEC), ORIGINS[:3])
    assert reference.tuning.behavior is None
    assert reference.tuning.images is None
    assert not reference.tuning.forecast(windows.conditions).any()
    # A recording that has them cannot be tuned from a reference that lacks them.
    read = ConditionReader(recording, CONDITIONS).read(ORIGINS[:3], horizon_s=1.0)
    assert not reference.tuning.forecast(read).any()


def test_without_conditions_nothing_is_tuned(recording):
    assert compute_reference(recording, STRETCH, spec=WindowSpec()).tuning is None


def test_delays_before_an_onset_are_zero_and_later_ones_tile():
    delay = np.linspace(-0.5, 1.5, 400)
    basis = delay_basis(delay)
    assert not basis[delay <= 0].any()
    assert not basis[delay >= LONGEST_DELAY_S].any()
    middle = (delay > 0.05) & (delay < 0.45)
    np.testing.assert_allclose(basis[middle].sum(axis=1), 1.0, atol=1e-9)
