import numpy as np
import pytest

from neurohorizon.sources.naming import free_name, to_ascii, to_name, whole_seconds_around


@pytest.mark.parametrize(
    ("text", "name"),
    [("Ä/b c", "A_b_c"), ("...", "unnamed"), ("_x", "x"), ("sub-1_ses-2", "sub-1_ses-2")],
)
def test_names_can_stand_in_a_file(text, name):
    assert to_name(text) == name


@pytest.mark.parametrize("taken", ["spikes", "units", "domain", "slice", "keys", "train_domain"])
def test_taken_names_are_changed(taken):
    assert free_name(taken) == f"{taken}_"
    assert free_name("hand") == "hand"


def test_ascii():
    assert to_ascii("Gál µ") == "Gal ?"


def test_domain_holds_every_spike():
    times = np.array([3.0, 4.5, 7.0, np.nan])
    assert whole_seconds_around(times).tolist() == [[3.0, 8.0]]
    assert whole_seconds_around(np.empty(0)).shape == (0, 2)
