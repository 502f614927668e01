"""What stands for the scored units is kept, and read back as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.errors import DataError
from neurohorizon.evaluation.identities import (
    gather_identities,
    load_identities,
    save_identities,
)
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from worlds import waving_recording

PROTOCOL = Protocol(reference_s=20.0, fewest_spikes=100)


@pytest.fixture(scope="module")
def cases():
    recordings = [waving_recording(num_units=5 + n, seed=n, name=f"w{n}") for n in range(2)]
    quality = np.array(["unsorted", *[""] * 5])
    units = replace(recordings[1].units, quality=quality, area=np.array(["CA1"] * 6))
    recordings[1] = replace(recordings[1], units=units)
    return [prepare_case(each, PROTOCOL, held_out=True) for each in recordings]


@pytest.fixture(scope="module")
def forecaster():
    torch.manual_seed(0)
    return TrainedForecaster(HorizonForecaster(spec=PROTOCOL.spec, width=16, num_heads=2))


def test_scored_units_are_gathered_in_order(cases):
    found = gather_identities(cases)
    assert found.recording.tolist() == ["w0"] * 5 + ["w1"] * 5
    assert found.unit[5:].tolist() == cases[1].recording.units.id[1:].tolist()
    assert found.area.tolist() == [""] * 5 + ["CA1"] * 5
    assert np.array_equal(found.rate_hz[:5], cases[0].reference.rate_hz)
    assert np.allclose(found.statistics[5:], cases[1].reference.statistics[1:], rtol=1e-6)
    assert found.vectors.shape == (10, 0)


def test_a_model_says_what_it_makes_of_each_unit(cases, forecaster):
    found = gather_identities(cases, forecaster)
    assert found.vectors.shape == (10, 16)
    assert len(np.unique(found.vectors.round(5), axis=0)) == 10
    # Who a unit is does not depend on the recordings beside its own.
    alone = gather_identities(cases[1:], forecaster)
    assert np.allclose(found.vectors[5:], alone.vectors, atol=1e-5)
    assert not forecaster.model.identity._forward_hooks, "nothing is left on the model"


def test_they_are_read_as_they_were_written(cases, forecaster, tmp_path):
    found = gather_identities(cases, forecaster)
    save_identities(found, tmp_path / "later.identities.npz")
    again = load_identities(tmp_path / "later.identities.npz")
    for name in ("recording", "unit", "area", "rate_hz", "statistics", "functional", "vectors"):
        assert np.array_equal(getattr(found, name), getattr(again, name)), name


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "held-out.identities.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match="no readable identities"):
        load_identities(path)
