"""How fast a folder of sessions becomes recordings, and that a killed run goes on.

    python benchmarks/prepare.py                       # 459 sessions, some minutes

Writes small sessions in the layout of the IBL's cache, as many as the Brain-wide map has, and
prepares them with one process and with several: sessions a second, the same bytes, the
largest worker's memory; then kills a run in the middle (SIGKILL) and gives it again. Last, the
memory that longer and longer sessions take.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from ibl_world import write_behaviour, write_probe, write_regions, write_session
from neurohorizon.evaluation.describe import describe_machine
from neurohorizon.ops.files import atomic_path, write_json
from neurohorizon.sources import ibl
from neurohorizon.sources.manifest import read_manifest
from neurohorizon.sources.prepare import prepare

RESULTS = Path(__file__).parent / "results"
LONG_SPIKES = (1_000_000, 4_000_000, 16_000_000, 64_000_000)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description="Prepare many sessions, and kill it.")
    parser.add_argument("--sessions", type=int, default=459)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="neurohorizon-bench-") as folder:
        root = Path(folder)
        write_sessions(root / "cache", arguments.sessions)
        alone = measured(root / "cache", root / "alone", 1)
        many = measured(root / "cache", root / "many", arguments.workers)
        same = fingerprints(root / "alone") == fingerprints(root / "many")
        killed = kill_and_resume(root / "cache", root / "killed", arguments)
        same_after = fingerprints(root / "killed") == fingerprints(root / "alone")
        memory = [long_session(root / f"long{spikes}", spikes) for spikes in LONG_SPIKES]
    data = {
        "date": date.today().isoformat(),
        "command": f"python benchmarks/prepare.py {' '.join(sys.argv[1:])}".strip(),
        "machine": describe_machine(),
        "sessions": arguments.sessions,
        "one_process": alone,
        "workers": many | {"num_workers": arguments.workers},
        "ratio": round(alone["seconds"] / many["seconds"], 2),
        "same_bytes": same,
        "killed": killed | {"same_bytes": same_after},
        "memory": memory,
    }
    write_json(RESULTS / "prepare.json", data)
    with atomic_path(RESULTS / "prepare.md") as temporary:
        temporary.write_text("\n".join(lines(data)) + "\n", encoding="utf-8")
    print("\n".join(lines(data)))


def write_sessions(root: Path, num_sessions: int) -> None:
    """Write small sessions of two probes, four of each mouse."""
    root.mkdir(parents=True)
    write_regions(root)
    for number in range(num_sessions):
        write_session(
            root,
            laboratory=f"lab{number % 12:02d}",
            subject=f"mouse{number // 4:03d}",
            date=f"2020-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
            number=number // 336 + 1,
            num_clusters=16,
        )


def command(cache: Path, out: Path, num_workers: int) -> list[str]:
    """Return the command line that prepares all sessions."""
    words = ["data", "prepare", "ibl", str(cache), "min_units=1", "--out", str(out)]
    return [sys.executable, "-m", "neurohorizon", *words, "--jobs", str(num_workers)]


def measured(cache: Path, out: Path, num_workers: int) -> dict[str, float]:
    """Prepare all sessions; return seconds and the memory of the largest process."""
    started = time.perf_counter()
    process = subprocess.Popen(command(cache, out, num_workers), stdout=subprocess.DEVNULL)
    with ThreadPoolExecutor(1) as pool:
        own = pool.submit(own_memory_mib, process.pid)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    assert status == 0, "preparing failed"
    return {
        "seconds": round(seconds, 2),
        "sessions_per_s": round(len(fingerprints(out)) / seconds, 2),
        "peak_mib": round(usage.ru_maxrss / 1024),
        "own_mib": own.result(),
    }


def own_memory_mib(pid: int) -> int:
    """Watch a process until it ends; return the most memory that was its own.

    Mapped files are not: the system drops their pages when it needs the room.
    """
    most = 0
    with suppress(OSError, IndexError):  # it has ended
        while True:
            text = Path(f"/proc/{pid}/status").read_text()
            most = max(most, int(text.split("RssAnon:")[1].split()[0]))
            time.sleep(0.01)
    return round(most / 1024)


def fingerprints(folder: Path) -> dict[str, str]:
    """Return the checksum of every recording of a folder."""
    return {entry["file"]: entry["sha256"] for entry in read_manifest(folder)["recordings"]}


def kill_and_resume(cache: Path, out: Path, arguments: argparse.Namespace) -> dict[str, int]:
    """Kill a run with all its workers when a third is done; prepare again."""
    words = command(cache, out, arguments.workers)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    while len(list(out.glob("[!.]*.h5"))) < arguments.sessions / 3:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    whole = len(list(out.glob("[!.]*.h5")))
    again = prepare(
        ibl.SOURCE, cache, out, num_workers=arguments.workers, settings={"min_units": 1}
    )
    return {
        "recordings_when_killed": whole,
        "skipped_by_the_next_run": len(again.skipped),
        "made_by_the_next_run": len(again.written),
        "left_behind": len([path for path in out.iterdir() if path.name.startswith(".")]),
    }


def long_session(root: Path, num_spikes: int) -> dict[str, float]:
    """Prepare one session of so many spikes; return the memory it took."""
    session = root / "cache" / "lab" / "Subjects" / "mouse" / "2020-01-01" / "001"
    num_clusters = 200
    generator = np.random.default_rng(0)
    each = num_spikes // num_clusters
    trains = {
        cluster: np.round(0.2 + np.cumsum(generator.exponential(3600.0 / each, each)), 6)
        for cluster in range(num_clusters)
    }
    session.mkdir(parents=True)
    write_regions(root / "cache")
    write_probe(session, trains, label=dict.fromkeys(range(num_clusters), 1.0))
    write_behaviour(session)
    result = measured(root / "cache", root / "out", 1)
    size = sum(path.stat().st_size for path in (root / "out").glob("*.h5"))
    return {"spikes": num_spikes, "file_mib": round(size / 2**20), **result}


def lines(data: dict) -> list[str]:
    """Format the results as Markdown."""
    machine = ", ".join(f"{key} {value}" for key, value in data["machine"].items())
    killed = data["killed"]
    rows = [
        "# Preparing many sessions",
        "",
        f"{data['date']}. `{data['command']}`. {machine}.",
        "",
        f"{data['sessions']} small sessions in the layout of the IBL's cache (two probes, trials, "
        "wheel, pupil, licks).",
        "",
        "| | seconds | sessions/s | largest process |",
        "|---|---:|---:|---:|",
    ]
    for name, row in (
        ("one process", data["one_process"]),
        (f"{data['workers']['num_workers']} workers", data["workers"]),
    ):
        rows.append(
            f"| {name} | {row['seconds']:.1f} | {row['sessions_per_s']:.1f} "
            f"| {row['peak_mib']} MiB |"
        )
    rows += [
        "",
        f"Ratio {data['ratio']}; the same bytes: {'yes' if data['same_bytes'] else 'NO'}.",
        "",
        f"Killed (SIGKILL) with {killed['recordings_when_killed']} recordings written; the next "
        f"run skipped {killed['skipped_by_the_next_run']}, made {killed['made_by_the_next_run']}; "
        f"{killed['left_behind']} files left behind; the same bytes as undisturbed: "
        f"{'yes' if killed['same_bytes'] else 'NO'}.",
        "",
        "One session of so many spikes. Own memory is what the process alone holds; the peak also",
        "counts pages of mapped files, which the system drops when it needs the room:",
        "",
        "| spikes | recording | seconds | own memory | peak |",
        "|---:|---:|---:|---:|---:|",
    ]
    rows += [
        f"| {row['spikes']:,} | {row['file_mib']} MiB | {row['seconds']:.1f} "
        f"| {row['own_mib']} MiB | {row['peak_mib']} MiB |"
        for row in data["memory"]
    ]
    return rows


if __name__ == "__main__":
    main()
