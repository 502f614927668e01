"""``manifest.json`` of a folder of recordings: what lies there, and where it came from.

It tells where each recording came from, who may not be on both sides of a split (`group`, in
a `stratum`), what validation found, and the checksum of each file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurohorizon import __version__
from neurohorizon.errors import DataError
from neurohorizon.ops.files import checksum, write_json
from neurohorizon.sources.source import Source

MANIFEST = "manifest.json"
Entries = dict[str, dict[str, Any]]
"""By file name: what the manifest says of a recording."""


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


def read_entries(folder: Path, source: Source) -> Entries:
    """Return what the manifest of a folder says of each file; nothing if there is none.

    Raises
    ------
    DataError
        If it is damaged, or of another source.
    """
    if not (folder / MANIFEST).exists():
        return {}
    manifest = read_manifest(folder)
    other = manifest.get("source", {}).get("name")
    if other != source.name:
        raise DataError(f"{folder / MANIFEST}: holds recordings of {other}; choose another --out")
    return {entry["file"]: entry for entry in manifest["recordings"]}


def write_manifest(
    folder: Path, source: Source, entries: Entries, *, settings: Mapping[str, Any]
) -> None:
    """Write the manifest of a folder: the same for the same entries, in whatever order."""
    recordings = sorted(entries.values(), key=lambda entry: entry["id"])
    groups: dict[str, list[str]] = {}
    for entry in recordings:
        groups.setdefault(entry["group"], []).append(entry["id"])
    manifest = {
        "source": {
            key: getattr(source, key)
            for key in ("name", "title", "licence", "citation", "homepage", "notes")
        },
        "version": __version__,
        **settings,
        "groups": groups,
        "recordings": recordings,
    }
    write_json(folder / MANIFEST, manifest)


def update_manifest(folder: Path | str, files: Iterable[str]) -> bool:
    """Bring size and checksum of files that were rewritten up to date.

    Parameters
    ----------
    folder : path
        A folder of recordings; one without a manifest stays without.
    files : iterable of str
        Their names. What the manifest does not list is left out.

    Returns
    -------
    bool
        Whether anything had to be changed.

    Raises
    ------
    DataError
        If the manifest is damaged.
    """
    folder, names = Path(folder), set(files)
    if not (folder / MANIFEST).exists():
        return False
    manifest = read_manifest(folder)
    changed = False
    for entry in manifest["recordings"]:
        if entry["file"] in names:
            path = folder / entry["file"]
            now = {"num_bytes": path.stat().st_size, "sha256": checksum(path)}
            changed |= any(entry.get(key) != value for key, value in now.items())
            entry.update(now)
    if changed:
        write_json(folder / MANIFEST, manifest)
    return changed
