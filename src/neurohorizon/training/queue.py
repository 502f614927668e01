"""A queue of commands on one machine: some at a time, each in a process of its own.

A process that crashes, or is killed for want of memory, costs its own task and no other.
Everything that a task prints goes into its log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: Seconds that an interrupted process is given to end by itself.
GRACE_S = 20.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Task:
    """Commands that are run one after the other.

    Parameters
    ----------
    name : str
    commands : tuple of tuple of str
        The next one is run only if the one before went well.
    log : Path
        Receives what they print, after what is there already.
    folder : Path
        That they run in.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    log: Path
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Parameters
    ----------
    name : str
    seconds : float
    failure : str
        One line that says why it failed; empty if it did not.
    """

    name: str
    seconds: float
    failure: str = ""


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let a request to terminate, or a terminal that is gone, end a queue as the keyboard would."""
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    # Who asked to outlive the terminal (nohup) shall.
    heard = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def run_here(
    tasks: Sequence[Task],
    slots: Sequence[Mapping[str, str | None]],
    *,
    keep_open: Sequence[int] = (),
) -> Iterator[Outcome | Task]:
    """Work tasks off, one in each slot at a time.

    Parameters
    ----------
    tasks : sequence of Task
    slots : sequence of mapping
        What each slot changes in the environment of its processes, such as its GPU; None takes
        a name away.
    keep_open : sequence of int
        File descriptors that the processes inherit.

    Yields
    ------
    Task or Outcome
        A task when it begins, its outcome when it ended. If the generator is closed, or
        something is raised in it, what is at work is interrupted and waited for.
    """
    waiting = list(tasks)
    at_work: dict[int, _Running] = {}
    try:
        while waiting or at_work:
            told: list[Outcome | Task] = []
            for slot, changes in enumerate(slots):
                if waiting and slot not in at_work:
                    task = waiting.pop(0)
                    at_work[slot] = _Running(task, changes, keep_open)
                    told.append(task)
            for slot, running in list(at_work.items()):
                outcome = running.poll()
                if outcome is not None:
                    del at_work[slot]
                    told.append(outcome)
            yield from told
            time.sleep(_POLL_S)
    finally:
        _stop(list(at_work.values()))


def work_off(task: Task) -> Outcome:
    """Run one task to its end, here and now: what a worker of a cluster does.

    The commands see a machine of their own: what a cluster says of the worker's place among
    others is kept from them.
    """
    hidden = [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_", "SRUN_"))]
    slot: dict[str, str | None] = dict.fromkeys(hidden)
    if threads := os.environ.get("SLURM_CPUS_PER_TASK"):
        slot["OMP_NUM_THREADS"] = threads
    *_, last = run_here([task], [slot])
    assert isinstance(last, Outcome)
    return last


def find_slots(*, num_jobs: int | None, use_gpus: bool) -> list[dict[str, str]]:
    """Divide this machine among processes: one a free GPU, or some on the CPU.

    Parameters
    ----------
    num_jobs : int, optional
        Processes at a time. By default one a free GPU, or one on the CPU.
    use_gpus : bool
        False keeps GPUs from the processes.

    Returns
    -------
    list of dict of str to str
        What each process finds in its environment. With several on the CPU, they share its
        threads, unless ``OMP_NUM_THREADS`` says how many each has.
    """
    gpus = free_gpus() if use_gpus else []
    if gpus:
        # More processes than GPUs share them.
        return [
            {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]}
            for slot in range(num_jobs or len(gpus))
        ]
    num_jobs = num_jobs or 1
    slot = {} if use_gpus else {"CUDA_VISIBLE_DEVICES": ""}
    if num_jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        slot["OMP_NUM_THREADS"] = str(max(1, _num_cores() // num_jobs))
    return [slot] * num_jobs


def free_gpus() -> list[str]:
    """Return the GPUs that ``CUDA_VISIBLE_DEVICES`` names or else those that nobody computes on.

    None without ``nvidia-smi``, and none that has less than nine tenths of its memory free.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [gpu for gpu in given.split(",") if gpu.strip() not in ("", "-1")]
    try:
        asked = subprocess.run(
            [
                "nvidia-smi",
                "--query-gpu=index,memory.used,memory.total",
                "--format=csv,noheader,nounits",
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return read_free_gpus(asked.stdout)


def read_free_gpus(text: str) -> list[str]:
    r"""Return the numbers of the GPUs that ``nvidia-smi`` calls (almost) empty.

    Examples
    --------
    >>> read_free_gpus("0, 61234, 81559\n1, 4, 81559\n")
    ['1']
    """
    free = []
    for line in text.splitlines():
        number, *memory = (part.strip() for part in line.split(","))
        with suppress(ValueError):  # "[N/A]" on some machines
            used, total = (float(part) for part in memory)
            if used < 0.1 * total:
                free.append(number)
    return free


class _Running:
    """A task at work: its process now, and what comes after it."""

    def __init__(self, task: Task, changes: Mapping[str, str | None], keep_open: Sequence[int]):
        self.task, self.keep_open = task, keep_open
        found = {**os.environ, **changes}
        self.environment = {name: value for name, value in found.items() if value is not None}
        self.started = time.monotonic()
        self.waiting = list(task.commands)
        task.log.parent.mkdir(parents=True, exist_ok=True)
        self.log: IO[bytes] = task.log.open("ab")
        self.from_byte = self.log.tell()
        self.process: subprocess.Popen[bytes] | None = None

    def poll(self) -> Outcome | None:
        """Begin the next command if the one before has ended; return the outcome at the end."""
        if self.process is None or self.process.poll() == 0:
            if not self.waiting:
                return self._end("")
            command = self.waiting.pop(0)
            self.log.write(f"$ {' '.join(command)}\n".encode())
            self.log.flush()
            try:
                self.process = subprocess.Popen(
                    command,
                    cwd=self.task.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=self.log,
                    stderr=subprocess.STDOUT,
                    # The keyboard's interruption is for the queue, which tells its processes.
                    start_new_session=True,
                    preexec_fn=_hear_interruptions if os.name == "posix" else None,
                    pass_fds=tuple(self.keep_open) if os.name == "posix" else (),
                )
            except OSError as error:
                return self._end(f"{command[0]}: {error.strerror or error}")
        elif self.process.returncode is not None:
            return self._end(self._why(self.process.returncode))
        return None

    def _end(self, failure: str) -> Outcome:
        self.log.close()
        return Outcome(self.task.name, time.monotonic() - self.started, failure)

    def _why(self, code: int) -> str:
        if code < 0:
            with suppress(ValueError):
                word = signal.Signals(-code).name
                hint = ", most likely for want of memory" if word == "SIGKILL" else ""
                return f"killed by {word}{hint}: see {self.task.log}"
        text = self.task.log.read_bytes()[self.from_byte :].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("error:")] or lines[-1:]
        return f"{said[-1].removeprefix('error:').strip() if said else code}: see {self.task.log}"

    def tell(self, word: signal.Signals) -> None:
        """Send a signal to the process and its children."""
        if self.process is None or self.process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, word)
            else:
                self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Give the process some seconds to end."""
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.0, seconds))


def _hear_interruptions() -> None:
    """Let a child be interrupted, even if this process was started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _stop(every: Sequence[_Running]) -> None:
    """Interrupt what is at work as the keyboard would, so that it ends cleanly; then kill it."""
    until = time.monotonic() + GRACE_S
    try:
        for running in every:
            running.tell(signal.SIGINT)
        for running in every:
            running.wait(until - time.monotonic())
    finally:  # also at a second interruption
        for running in every:
            if os.name == "posix":
                running.tell(signal.SIGKILL)
            running.wait(1.0)
            running.log.close()


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
