"""The queue: each task by itself, a death that is told, an interruption that leaves nobody."""

import os
import signal
import sys
import time

import pytest

from neurohorizon.errors import MissingExtraError
from neurohorizon.training import queue
from neurohorizon.training.cluster import run_on_ray, run_on_slurm
from neurohorizon.training.queue import (
    Outcome,
    Task,
    find_slots,
    run_here,
    terminated_as_interrupted,
    work_off,
)


def task(folder, name, *scripts):
    commands = tuple((sys.executable, "-c", script) for script in scripts)
    return Task(name, commands, folder / "logs" / f"{name}.log", folder)


def outcomes(events):
    return {event.name: event for event in events if isinstance(event, Outcome)}


def test_a_task_that_fails_stops_no_other(tmp_path):
    tasks = [
        task(tmp_path, "good", "print('one')", "open('second', 'w').close()"),
        task(
            tmp_path, "bad", "print('error: what went wrong'); raise SystemExit(2)", "open('x','w')"
        ),
        task(tmp_path, "killed", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        task(tmp_path, "bug", "1 / 0"),
    ]
    found = outcomes(run_here(tasks, [{}, {}]))
    assert found["good"].failure == ""
    assert found["bad"].failure == f"what went wrong: see {tasks[1].log}"
    assert "killed by SIGKILL, most likely for want of memory" in found["killed"].failure
    assert found["bug"].failure.startswith("ZeroDivisionError: division by zero")
    assert (tmp_path / "second").is_file()
    assert not (tmp_path / "x").exists()
    assert tasks[0].log.read_text().splitlines()[1] == "one"


def test_as_many_at_a_time_as_there_are_slots_each_with_its_environment(tmp_path):
    script = "import os, time; print(os.environ['MINE'], 'HIDDEN' in os.environ); time.sleep(0.2)"
    tasks = [task(tmp_path, str(number), script) for number in range(4)]
    at_work, most = set(), 0
    os.environ["HIDDEN"] = "1"
    try:
        slots = [{"MINE": "a", "HIDDEN": None}, {"MINE": "b", "HIDDEN": None}]
        for event in run_here(tasks, slots):
            if isinstance(event, Task):
                at_work.add(event.name)
            else:
                at_work.remove(event.name)
                assert event.failure == ""
            most = max(most, len(at_work))
    finally:
        del os.environ["HIDDEN"]
    assert most == 2
    said = sorted(each.log.read_text().splitlines()[1] for each in tasks)
    assert said[0] == "a False"
    assert said[-1] == "b False"


def test_closing_interrupts_what_is_at_work_and_waits_for_it(tmp_path, monkeypatch):
    clean = (
        "import time\ntry:\n    open('begun', 'w').close()\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    open('tidied', 'w').close()"
    )
    events = run_here([task(tmp_path, "clean", clean), task(tmp_path, "next", "")], [{}])
    assert next(events).name == "clean"
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    events.close()
    assert (tmp_path / "tidied").is_file()

    monkeypatch.setattr(queue, "GRACE_S", 0.3)
    deaf = (
        "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    )
    events = run_here([task(tmp_path, "deaf", deaf)], [{}])
    next(events)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.02)
    events.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_is_heard_as_the_keyboard(number):
    before = signal.signal(number, signal.SIG_DFL)  # a suite under nohup is deaf to one of them
    with terminated_as_interrupted(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert signal.signal(number, before) is signal.SIG_DFL


def test_slots_share_gpus_or_threads(monkeypatch):
    monkeypatch.setattr(queue, "_num_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert find_slots(num_jobs=None, use_gpus=True) == [
        {"CUDA_VISIBLE_DEVICES": "2"},
        {"CUDA_VISIBLE_DEVICES": "5"},
    ]
    three = find_slots(num_jobs=3, use_gpus=True)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in three] == ["2", "5", "2"]
    assert (
        find_slots(num_jobs=3, use_gpus=False)
        == [{"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"}] * 3
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find_slots(num_jobs=None, use_gpus=True) == [{}]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert find_slots(num_jobs=2, use_gpus=True) == [{}, {}]


def test_without_nvidia_smi_there_is_no_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")
    assert queue.free_gpus() == []
    assert queue.read_free_gpus("0, 5, 100\n1, [N/A], [N/A]\n\n2, 60, 100") == ["0"]


def test_a_worker_of_a_cluster_hides_the_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    script = "import os; print(os.environ.get('SLURM_PROCID'), os.environ['OMP_NUM_THREADS'])"
    one = task(tmp_path, "one", script)
    assert work_off(one).failure == ""
    assert one.log.read_text().splitlines()[1] == "None 6"
    assert os.environ["SLURM_PROCID"] == "3"


def test_ray_gives_the_same(tmp_path):
    pytest.importorskip("ray")
    tasks = [
        task(tmp_path, "good", "open('there', 'w').close()"),
        task(tmp_path, "bad", "print('error: no'); raise SystemExit(2)"),
    ]
    found = outcomes(run_on_ray(tasks))
    assert found["good"].failure == ""
    assert found["bad"].failure == f"no: see {tasks[1].log}"
    assert (tmp_path / "there").is_file()


def test_submitit_gives_the_same(tmp_path):
    tasks = [
        task(tmp_path, "good", "open('there', 'w').close()"),
        task(tmp_path, "bad", "print('error: no'); raise SystemExit(2)"),
    ]
    try:
        import submitit  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"neurohorizon\[sweep\]"):
            list(run_on_slurm(tasks, tmp_path / "slurm", parameters={}))
        return
    events = run_on_slurm(
        tasks, tmp_path / "slurm", parameters={"timeout_min": 2}, num_jobs=1, cluster="local"
    )
    found = outcomes(events)
    assert found["good"].failure == ""
    assert found["bad"].failure == f"no: see {tasks[1].log}"


def test_the_logs_of_two_attempts_follow_each_other(tmp_path):
    assert outcomes(run_here([task(tmp_path, "a", "print('error: first'); exit(1)")], [{}]))
    found = outcomes(run_here([task(tmp_path, "a", "exit(3)")], [{}]))
    assert "first" not in found["a"].failure  # of this attempt alone
    assert "error: first" in (tmp_path / "logs" / "a.log").read_text()


def test_a_program_that_is_not_there_is_told(tmp_path):
    wrong = Task("wrong", (("no-such-program",),), tmp_path / "log", tmp_path)
    assert "no-such-program: No such file" in outcomes(run_here([wrong], [{}]))["wrong"].failure
