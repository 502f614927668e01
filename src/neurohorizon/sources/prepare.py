"""From a source's files to a folder of recordings with a manifest.

``manifest.json`` tells where each recording came from, who may not be on both sides of a
split (`group`, in a `stratum`), what validation found, and the checksum of each file. It is
rewritten after every recording, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from neurohorizon import __version__
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.splits import FRACTIONS, GUARD_S, split_in_time, split_interleaved
from neurohorizon.recordings.store import write_recording
from neurohorizon.recordings.validate import Finding, validate_recording
from neurohorizon.sources.source import Source

MANIFEST = "manifest.json"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SplitPlan:
    """How every recording is split.

    Parameters
    ----------
    kind : {"time", "interleaved"}
        Earlier, later and last time; or blocks that take turns.
    fractions : (float, float, float)
        Shares of train, valid and test.
    guard_s : float
        Seconds between parts: at least context + horizon.
    block_s : float
        Length of a block, in seconds; only for "interleaved".
    seed : int
        Order of the blocks; only for "interleaved".
    """

    kind: Literal["time", "interleaved"] = "time"
    fractions: tuple[float, float, float] = FRACTIONS
    guard_s: float = GUARD_S
    block_s: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("time", "interleaved"):
            raise ConfigError(f"unknown split {self.kind!r}: choose time or interleaved")

    def apply(self, recording: Recording) -> Recording:
        """Return the recording with its split."""
        if self.kind == "time":
            split = split_in_time(recording.domain, fractions=self.fractions, guard_s=self.guard_s)
        else:
            split = split_interleaved(
                recording.domain,
                block_s=self.block_s,
                fractions=self.fractions,
                guard_s=self.guard_s,
                seed=self.seed,
            )
        return replace(recording, split=split)


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


def prepare(
    source: Source,
    in_path: Path | str,
    out_folder: Path | str,
    *,
    split: SplitPlan | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Convert, split, validate and write all recordings of a source.

    Parameters
    ----------
    source : Source
    in_path : path
        A folder with the source's files, or one of them.
    out_folder : path
        Where ``<recording id>.h5`` and ``manifest.json`` shall be.
    split : SplitPlan, optional
        Default: in time, 60 / 10 / 30 %.
    progress : callable, optional
        Called with (files done, files in all, name) before each file and at the end.

    Returns
    -------
    Prepared
        A file that fails stops nothing but itself, and leaves nothing behind.

    Raises
    ------
    DataError
        If there is nothing to convert, or the manifest of another source is in the way.
    """
    in_path, out_folder = Path(in_path), Path(out_folder)
    split = split or SplitPlan()
    if not in_path.exists():
        raise DataError(f"{in_path}: no such file or folder")
    out = out_folder.resolve()
    inputs = [path for path in source.find_files(in_path) if out not in path.resolve().parents]
    if not inputs:
        raise DataError(f"{in_path}: nothing here that {source.name} can be made of")
    entries = _read_entries(out_folder / MANIFEST, source)
    made_from: dict[str, Path] = {}
    result = Prepared(out_folder)
    for number, path in enumerate(inputs):
        if progress:
            progress(number, len(inputs), path.name)
        fingerprint = _fingerprint(path, split)
        done = _done(out_folder, entries, fingerprint)
        if done and done not in made_from:
            made_from[done] = path
            result.skipped.append(out_folder / done)
            continue
        try:
            recording, findings = _convert(source, path, split)
            file = out_folder / f"{recording.id}.h5"
            if file.name in made_from:
                raise DataError(
                    f"{path}: becomes {file.name}, as {made_from[file.name]} did; rename one"
                )
            write_recording(recording, file)
        except DataError as error:
            result.failed[str(path)] = str(error)
            continue
        made_from[file.name] = path
        entries[file.name] = _entry(recording, findings, file, path, fingerprint)
        _write_manifest(out_folder / MANIFEST, source, split, entries)
        result.written.append(file)
        result.findings[recording.id] = findings
    if progress:
        progress(len(inputs), len(inputs), "")
    return result


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """Read the manifest of a prepared folder.

    Raises
    ------
    DataError
        If there is none, or it is damaged.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise DataError(f"{path}: no manifest; make one with `neurohorizon data prepare`")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["recordings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged manifest ({error}); remove it, prepare again") from error
    return manifest


def _convert(source: Source, path: Path, split: SplitPlan) -> tuple[Recording, list[Finding]]:
    recording = source.convert(path)
    # Errors in the spikes come before those that a split of them would meet.
    findings = validate_recording(recording)
    if not any(finding.severity == "error" for finding in findings):
        try:
            recording = split.apply(recording)
        except DataError as error:
            raise DataError(f"{path}: {error}; leave it out or give a smaller guard_s") from error
        findings = validate_recording(recording)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        mend = f"; {errors[0].mend}" if errors[0].mend else ""
        raise DataError(f"{path}: {errors[0].what}{mend}{more}")
    return recording, findings


def _fingerprint(path: Path, split: SplitPlan) -> str:
    """Tell whether input, settings and this package are as they were, without reading much."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    content = json.dumps([path.name, stats, asdict(split), __version__])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _done(folder: Path, entries: dict[str, dict[str, Any]], fingerprint: str) -> str | None:
    """Return the file that was made of this input before, if it is still there."""
    for name, entry in entries.items():
        file = folder / name
        same = entry["fingerprint"] == fingerprint
        if same and file.is_file() and file.stat().st_size == entry["num_bytes"]:
            return name
    return None


def _entry(
    recording: Recording, findings: list[Finding], file: Path, path: Path, fingerprint: str
) -> dict[str, Any]:
    return {
        "id": recording.id,
        "file": file.name,
        "input": path.name,
        "group": recording.subject,
        "stratum": recording.metadata.get("laboratory", ""),
        "num_units": recording.num_units,
        "num_spikes": len(recording.spike_times),
        "duration_s": round(recording.duration_s, 3),
        "num_bytes": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "fingerprint": fingerprint,
        "findings": [asdict(finding) for finding in findings],
    }


def _read_entries(path: Path, source: Source) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    manifest = read_manifest(path.parent)
    other = manifest.get("source", {}).get("name")
    if other != source.name:
        raise DataError(f"{path}: holds recordings of {other}; choose another --out")
    return {entry["file"]: entry for entry in manifest["recordings"]}


def _write_manifest(
    path: Path, source: Source, split: SplitPlan, entries: dict[str, dict[str, Any]]
) -> None:
    groups: dict[str, list[str]] = {}
    recordings = sorted(entries.values(), key=lambda entry: entry["id"])
    for entry in recordings:
        groups.setdefault(entry["group"], []).append(entry["id"])
    manifest = {
        "source": {
            key: getattr(source, key)
            for key in ("name", "title", "licence", "citation", "homepage", "notes")
        },
        "version": __version__,
        "split": asdict(split),
        "groups": groups,
        "recordings": recordings,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
