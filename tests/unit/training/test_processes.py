"""How many processes train is read from the environment; what does not fit is one line."""

import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.training.processes import (
    Processes,
    batches_of_each,
    is_first_process,
    plan_processes,
)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_without_a_launcher_one_device_unless_more_are_asked_for():
    assert plan_processes() == Processes(1, 1)
    assert plan_processes(4) == Processes(1, 4)
    assert is_first_process()


def test_torchrun_says_how_many_there_are(monkeypatch):
    set_all(monkeypatch, TORCHELASTIC_RUN_ID="x", WORLD_SIZE=8, LOCAL_WORLD_SIZE=4, RANK=3)
    assert plan_processes() == plan_processes(4) == Processes(2, 4, "torchrun")
    assert not is_first_process()
    with pytest.raises(ConfigError, match="torchrun started 4 processes on this node"):
        plan_processes(8)


def test_slurm_says_how_many_there_are(monkeypatch):
    set_all(monkeypatch, SLURM_NTASKS=6, SLURM_NNODES=2, SLURM_JOB_NAME="train")
    with pytest.raises(ConfigError, match="6 tasks and one of them trains: start it with `srun"):
        plan_processes()
    set_all(monkeypatch, SLURM_STEP_NUM_TASKS=6)
    assert plan_processes() == Processes(2, 3, "slurm")
    set_all(monkeypatch, SLURM_NNODES=4)
    with pytest.raises(ConfigError, match="6 tasks on 4 nodes"):
        plan_processes()
    # A shell that Slurm opened for a person is no job.
    set_all(monkeypatch, SLURM_JOB_NAME="interactive")
    assert plan_processes() == Processes(1, 1)


def test_a_job_of_one_task_trains_alone(monkeypatch):
    set_all(monkeypatch, SLURM_NTASKS=1, SLURM_JOB_NAME="member")
    assert plan_processes().world_size == 1


def test_the_batches_of_a_step_are_shared_out():
    assert batches_of_each(8, Processes(2, 2)) == 2
    with pytest.raises(ConfigError, match="expected a multiple of 4, such as 8"):
        batches_of_each(6, Processes(1, 4))
