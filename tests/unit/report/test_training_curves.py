"""The log of a training as curves."""

import numpy as np

from neurohorizon.report.style import new_figure
from neurohorizon.report.training_curves import compute_training_curves, draw_training_curves

LOG = """epoch,step,seconds,train_loss,valid_bits_per_spike_100ms,valid_bits_per_spike_1000ms
0,10,1.0,0.5,0.10,0.05
1,20,2.0,0.4,0.12,0.07
2,30,3.0,0.3,0.13,0.06
"""


def test_the_kept_epoch_is_the_best_at_the_longest_horizon(tmp_path):
    (tmp_path / "metrics.csv").write_text(LOG)
    data = compute_training_curves(tmp_path / "metrics.csv")
    assert list(data.scores) == ["100 ms", "1000 ms"]
    assert data.best_epoch == 1
    assert [record["kept"] for record in data.table()] == [False, True, False]
    assert np.array_equal(data.steps, [10, 20, 30])
    draw_training_curves(data, list(new_figure(183, 60).subplots(1, 2)))


def test_of_several_tasks_their_mean_decides(tmp_path):
    log = LOG.replace("bits_per_spike_100ms", "velocity_r2")
    log = log.replace("bits_per_spike_1000ms", "mean_of_tasks")
    (tmp_path / "metrics.csv").write_text(log)
    data = compute_training_curves(tmp_path / "metrics.csv")
    assert list(data.scores) == ["velocity r2", "mean of tasks"]
    assert data.best_epoch == 1
    draw_training_curves(data, list(new_figure(183, 60).subplots(1, 2)))


def test_no_log_no_curves(tmp_path):
    assert compute_training_curves(tmp_path / "metrics.csv") is None
    (tmp_path / "metrics.csv").write_text("epoch,step\n")
    assert compute_training_curves(tmp_path / "metrics.csv") is None
