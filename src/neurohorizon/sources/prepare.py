"""From a source's files to a folder of recordings with a manifest.

Each input is converted, split, validated and written by itself, here or in other processes;
the manifest is rewritten after every recording, so an interrupted run goes on where it
stopped, and what comes out does not depend on which recording was done first.
"""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neurohorizon import __version__
from neurohorizon.errors import DataError, NeuroHorizonError
from neurohorizon.ops.files import checksum, require_readable
from neurohorizon.recordings.feature_table import with_features
from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.responses_store import write_responses
from neurohorizon.recordings.responses_validate import validate_responses
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.store import write_recording
from neurohorizon.recordings.validate import Finding, unusable, validate_recording
from neurohorizon.sources.lock import alone_in
from neurohorizon.sources.manifest import MANIFEST, Entries, read_entries, write_manifest
from neurohorizon.sources.parallel import Launcher, WorkerDied, run_all
from neurohorizon.sources.source import Source, Value
from neurohorizon.sources.split_plan import SplitPlan

Progress = Callable[[int, int, str], None]
#: Seconds from which the raw features in the files are computed.
REFERENCE_S = 120.0


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Parameters
    ----------
    folder : Path
    written, skipped : list of Path
        Recordings made now, and those that were there already.
    failed : dict of str to str
        Input -> the line that says why nothing was made of it.
    findings : dict of str to list of Finding
        Recording id -> warnings and notes, of the recordings written now.
    """

    folder: Path
    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)

    @property
    def manifest(self) -> Path:
        """Where the manifest lies."""
        return self.folder / MANIFEST


@dataclass(frozen=True)
class _Job:
    """What a worker needs to make one recording."""

    source: Source
    path: Path | str
    staged: Path
    split: SplitPlan
    settings: Mapping[str, Value]
    fingerprint: str


@dataclass(frozen=True)
class _Made:
    """What a worker made, or why it made nothing."""

    entry: dict[str, Any] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    failure: str = ""


def prepare(
    source: Source,
    in_path: Path | str,
    out_folder: Path | str,
    *,
    inputs: Sequence[Path | str] | None = None,
    split: SplitPlan | None = None,
    settings: Mapping[str, Value] | None = None,
    num_workers: int = 1,
    launcher: Launcher = "processes",
    progress: Progress | None = None,
) -> Prepared:
    """Convert, split, validate and write all recordings of a source.

    Parameters
    ----------
    source : Source
    in_path : path or str
        A folder with the source's files, or one of them; or an address, if the source reads any.
    out_folder : path
        Where ``<recording id>.h5`` and ``manifest.json`` shall be.
    inputs : sequence of path, optional
        What to convert; by default all that the source finds at `in_path`.
    split : SplitPlan, optional
        Default: in time, 60 / 10 / 30 %.
    settings : mapping, optional
        Convert settings of the source that differ from their defaults.
    num_workers : int
        Recordings that are made at the same time.
    launcher : {"processes", "ray"}
        Where: see :func:`neurohorizon.sources.parallel.run_all`.
    progress : callable, optional
        Called with (inputs done, inputs in all, name) before each and at the end.

    Returns
    -------
    Prepared
        An input that fails stops nothing but itself, and leaves nothing behind.

    Raises
    ------
    DataError
        If there is nothing to convert, the manifest of another source is in the way, or
        somebody else is preparing the same folder.
    """
    out_folder = Path(out_folder)
    split, settings = split or SplitPlan(), dict(settings or {})
    if inputs is None:
        inputs = _find_inputs(source, in_path, out_folder)
    entries = read_entries(out_folder, source)
    result, chosen = Prepared(out_folder), {"split": asdict(split), "settings": settings}
    made_from: dict[str, int] = {}
    numbers: list[int] = []
    jobs: list[_Job] = []
    for number, path in enumerate(inputs):
        fingerprint = _fingerprint(path, split, settings)
        done = _done(out_folder, entries, fingerprint)
        if done and done not in made_from:
            made_from[done] = number
            result.skipped.append(out_folder / done)
        else:
            staged = out_folder / f".{number}.{fingerprint[:8]}.staged.h5"
            numbers.append(number)
            jobs.append(_Job(source, path, staged, split, settings, fingerprint))
    failed: dict[int, str] = {}
    findings: dict[int, Sequence[Finding]] = {}
    workers = run_all(_make, jobs, num_workers=num_workers, launcher=launcher)
    with alone_in(out_folder, wanted=bool(jobs)), closing(workers) as outcomes:
        done_before = len(inputs) - len(jobs)
        for count in range(len(jobs)):
            if progress:
                following = _name(jobs[count].path) if num_workers == 1 else ""
                progress(done_before + count, len(inputs), following)
            place, made = next(outcomes)
            number, staged = numbers[place], jobs[place].staged
            if isinstance(made, WorkerDied):
                made = _Made(
                    failure=f"{inputs[number]}: the process that converted it was killed, most "
                    "likely for want of memory; prepare it with fewer workers at a time"
                )
            if made.failure:
                failed[number] = made.failure
                continue
            name = made.entry["file"]
            other = made_from.get(name, number)
            if other != number:
                # Two inputs for one name: the first of them keeps it, whoever was faster.
                first, second = sorted((other, number))
                findings.pop(second, None)
                failed[second] = (
                    f"{inputs[second]}: becomes {name}, as {inputs[first]} did; rename one"
                )
                if first == other:
                    staged.unlink()
                    continue
            made_from[name], findings[number] = number, made.findings
            staged.replace(out_folder / name)
            entries[name] = made.entry
            write_manifest(out_folder, source, entries, settings=chosen)
    if progress:
        progress(len(inputs), len(inputs), "")
    files = {number: out_folder / name for name, number in made_from.items()}
    for number in sorted(findings):
        result.written.append(files[number])
        result.findings[files[number].stem] = list(findings[number])
    result.failed.update({str(inputs[number]): failed[number] for number in sorted(failed)})
    return result


def _find_inputs(source: Source, in_path: Path | str, out_folder: Path) -> Sequence[Path | str]:
    addresses = source.find_addresses(str(in_path)) if source.find_addresses else ()
    if addresses:
        return addresses
    in_path, out = Path(in_path), out_folder.resolve()
    if not in_path.exists():
        raise DataError(f"{in_path}: no such file or folder")
    require_readable(in_path)
    inputs = [path for path in source.find_files(in_path) if out not in path.resolve().parents]
    if not inputs:
        raise DataError(f"{in_path}: nothing here that {source.name} can be made of")
    return inputs


def _make(job: _Job) -> _Made:
    """Make one recording at its staged path. Runs in a worker; raises nothing it can name."""
    try:
        recording = job.source.convert(job.path, **job.settings)
        if isinstance(recording, ResponseRecording):
            findings = validate_responses(recording)
            _refuse_errors(findings, job)
            write_responses(recording, job.staged)
            holds: dict[str, Any] = {"num_presentations": len(recording.responses)}
        else:
            recording, findings = _split(recording, job)
            write_recording(recording, job.staged)
            holds = {
                "num_spikes": len(recording.spike_times),
                "duration_s": round(recording.duration_s, 3),
            }
    except NeuroHorizonError as error:
        return _Made(failure=str(error))
    except MemoryError:
        return _Made(failure=f"{job.path}: does not fit into memory")
    except OSError as error:
        return _Made(failure=f"{job.path}: cannot be read ({error.strerror or error})")
    except Exception as error:
        # What no reader foresaw costs its own input alone, however many others there are.
        return _Made(failure=f"{job.path}: {_unforeseen(error)}")
    entry = {
        "id": recording.id,
        "file": f"{recording.id}.h5",
        "input": _name(job.path),
        "group": recording.subject,
        "stratum": recording.metadata.get("laboratory", ""),
        "num_units": recording.num_units,
        **holds,
        "num_bytes": job.staged.stat().st_size,
        "sha256": checksum(job.staged),
        "fingerprint": job.fingerprint,
        "findings": [asdict(finding) for finding in findings],
    }
    return _Made(entry, findings)


def _unforeseen(error: Exception) -> str:
    """Say in one line what went wrong where, for a report."""
    if os.environ.get("NEUROHORIZON_TRACEBACK"):
        raise error
    where = traceback.extract_tb(error.__traceback__)[-1]
    said = next(iter(str(error).splitlines()), "")
    return (
        f"cannot be converted ({type(error).__name__}: {said}, in {Path(where.filename).name}, "
        f"line {where.lineno}); if the file is whole, please report this line"
    )


def _split(recording: Recording, job: _Job) -> tuple[Recording, list[Finding]]:
    """Return the recording with its split, and what validation says of both."""
    # Errors in the spikes come before those that a split of them would meet.
    _refuse_errors(unusable(recording), job)
    try:
        recording = job.split.apply(recording)
    except DataError as error:
        raise DataError(f"{job.path}: {error}") from error
    with suppress(DataError):  # signals alone, or nothing before the test part
        recording = with_features(recording, reference_s=REFERENCE_S)
    findings = validate_recording(recording)
    _refuse_errors(findings, job)
    return recording, findings


def _refuse_errors(findings: Sequence[Finding], job: _Job) -> None:
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        mend = f"; {errors[0].mend}" if errors[0].mend else ""
        raise DataError(f"{job.path}: {errors[0].what}{mend}{more}")


def _fingerprint(path: Path | str, split: SplitPlan, settings: Mapping[str, Value]) -> str:
    """Tell whether input, settings and this package are as they were, without reading much.

    What lies at an address is taken to stay as it is.
    """
    stats: list[tuple[str, int, int]] = []
    if isinstance(path, Path):
        files = (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for file in sorted(files):
            stats.append((file.name, file.stat().st_size, file.stat().st_mtime_ns))
    content = json.dumps([_name(path), stats, asdict(split), dict(settings), __version__])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _name(path: Path | str) -> str:
    return path.name if isinstance(path, Path) else path


def _done(folder: Path, entries: Entries, fingerprint: str) -> str | None:
    """Return the file that was made of this input before, if it is still there."""
    for name, entry in entries.items():
        file = folder / name
        same = entry["fingerprint"] == fingerprint
        if same and file.is_file() and file.stat().st_size == entry["num_bytes"]:
            return name
    return None
