"""Training learns, keeps the best, resumes exactly, and draws what it says."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from loops import fit
from neurohorizon.errors import CheckpointError, DataError
from neurohorizon.models.checkpoint import load_forecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.nn.likelihoods import make_likelihood
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.data import ForecastData, draw_queries
from neurohorizon.training.loop import read_summary
from neurohorizon.training.objectives import objective_of_counts
from worlds import waving_recording

SPEC = WindowSpec(horizon_s=0.5)


def make_data(**settings) -> ForecastData:
    recordings = [
        waving_recording(num_units=6 + 2 * index, duration_s=150.0, seed=index, name=f"w{index}")
        for index in range(2)
    ]
    defaults = {"num_references": 2, "steps_per_epoch": 8, "tokens_per_batch": 2500}
    return ForecastData(recordings=recordings, spec=SPEC, **(defaults | settings))


def train(folder, *, data=None, epochs=3, **settings):
    torch.manual_seed(0)
    data = data or make_data()
    model = HorizonForecaster(spec=SPEC, width=32, num_heads=2, num_latents=8, dropout=0.1)
    return fit(model, data, folder, max_epochs=epochs, **settings)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(folder)


def test_training_gains_bits_and_leaves_a_complete_run(uninterrupted):
    folder, summary = uninterrupted
    assert summary.best_valid > 0.02
    assert read_summary(folder) == summary
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[-1]["valid_rate_correlation"]) > 0.1
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    model, known = load_forecaster(folder)
    assert len(known) == 14
    assert model.identity.standardise_statistics.scale.std() > 0, "standardisation travels"


def test_an_interrupted_training_resumes_to_the_same_loss(uninterrupted, tmp_path):
    _, summary = uninterrupted
    stopped = train(tmp_path, stop_after_epochs=1)
    assert stopped.epochs == 1
    with pytest.raises(CheckpointError, match="not finished"):
        read_summary(tmp_path)
    resumed = train(tmp_path, resume=True)
    assert resumed.epochs == 3
    assert resumed.best_valid == summary.best_valid
    rows = [
        [row["train_loss"] for row in csv.DictReader((folder / "metrics.csv").open())]
        for folder in (uninterrupted[0], tmp_path)
    ]
    assert rows[0] == rows[1]


def test_a_damaged_resume_point_is_refused(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot resume from it"):
        train(tmp_path, resume=True)


def test_the_moving_average_is_what_is_kept(tmp_path):
    summary = train(tmp_path, epochs=2, ema_decay=0.5)
    assert np.isfinite(summary.best_valid)
    model, _ = load_forecaster(tmp_path)
    assert isinstance(model, HorizonForecaster)


def test_early_stopping_stops(tmp_path):
    summary = train(tmp_path, epochs=6, learning_rate=1e-12, patience=2)
    assert summary.epochs < 6
    assert json.loads((tmp_path / "training.json").read_text())["epochs"] == summary.epochs


def test_batches_are_a_function_of_seed_and_number():
    first, second = make_data(), make_data()
    a, b = (list(data.train_loader(lambda: 5))[2] for data in (first, second))
    assert torch.equal(a.counts_WNB, b.counts_WNB)
    assert torch.equal(a.adapter_WNGM, b.adapter_WNGM)
    c = list(make_data(seed=1).train_loader(lambda: 5))[2]
    assert a.counts_WNB.shape != c.counts_WNB.shape or not torch.equal(a.counts_WNB, c.counts_WNB)


def test_a_training_window_and_its_reference_never_overlap():
    data = make_data()
    for session in data.sessions:
        split = session.reader.recording.require_split()
        for cross_fit in session.cross_fits:
            reads = cross_fit.reference.intervals
            assert reads.max() <= split.train.max() + 1e-9
            for start, end in cross_fit.free:
                assert np.all((end <= reads[:, 0]) | (start >= reads[:, 1]))
                assert end <= split.train.max() + 1e-9


def test_drawn_queries_are_different_real_units():
    mask = torch.arange(30) < torch.tensor([[30], [10]])
    queries = draw_queries(mask, 8)
    assert queries.shape == (2, 8)
    assert all(len(set(row.tolist())) == 8 for row in queries)
    assert (queries[1] < 10).all()
    assert draw_queries(mask, 30) is None


def test_recordings_too_short_to_train_on_are_refused():
    recording = waving_recording(duration_s=30.0)
    recording = replace(
        recording, split=split_in_time(recording.domain, fractions=(0.4, 0.3, 0.3), guard_s=1.5)
    )
    with pytest.raises(DataError, match="too short for a reference"):
        ForecastData(recordings=[recording], spec=SPEC)
    with pytest.raises(DataError, match="no training recordings"):
        ForecastData(recordings=[], spec=SPEC)


def test_squared_error_is_of_expected_counts(tmp_path):
    data, mask = make_data(), torch.tensor([[True, True, False]])
    parameters = torch.randn(1, 3, 4, 1)
    counts = torch.poisson(torch.full((1, 3, 4), 2.0))
    likelihood = make_likelihood("poisson")
    told = objective_of_counts("squared_error", likelihood, parameters, counts, mask)
    expected = (parameters[0, :2, :, 0].exp() - counts[0, :2]).square().mean()
    torch.testing.assert_close(told, expected)
    summary = train(tmp_path, data=data, objective="squared_error")
    assert summary.best_valid > 0.01
