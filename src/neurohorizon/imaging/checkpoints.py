"""Where the files of a vision network's checkpoint are, and the hash of its weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from neurohorizon.errors import DataError
from neurohorizon.ops.files import checksum

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_DOWNLOADED = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    INDEX,
    WEIGHTS,
    "model-*.safetensors",
)


def find_checkpoint(checkpoint: Path | str, *, wanted: Sequence[str] = _DOWNLOADED) -> Path:
    """Return the folder of a checkpoint; one of the hub is downloaded to its cache, once.

    Parameters
    ----------
    checkpoint : path or str
        A folder, which is taken as it is, or a hub id "owner/model".
    wanted : sequence of str
        Patterns of the files to download; those of a vision network by default.

    Raises
    ------
    DataError
        If it is neither, or cannot be downloaded.
    """
    folder = Path(checkpoint)
    if folder.is_dir():
        return folder
    name = str(checkpoint)
    if folder.exists() or not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise DataError(f"{name}: expected a folder with a checkpoint, or a hub id (owner/model)")
    from huggingface_hub import snapshot_download

    try:
        # Only what is read: neither pickles nor the text part's vocabulary.
        return Path(snapshot_download(name, allow_patterns=list(wanted)))
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{name}: no such folder, and the hub's copy cannot be had ({reason}); where there "
            "is no network, give a folder that holds the checkpoint"
        ) from error


def find_weights(folder: Path) -> list[Path]:
    """Return the files of weights that are loaded from a checkpoint's folder.

    Raises
    ------
    DataError
        If there are none in the safetensors format, or some are missing.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file():
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        what = f"only pickled weights ({pickles[0]}), which are never opened" if pickles else "none"
        raise DataError(
            f"{folder}: expected weights in {WEIGHTS}, found {what}; save it so with transformers"
        )
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{index}: not an index of weights ({error!r})") from error
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise DataError(f"{folder}: {missing[0]} is missing, which {INDEX} names")
    return [folder / name for name in sorted(names)]


def hash_weights(files: Sequence[Path]) -> str:
    """Return one SHA-256 for the content of some files, in their order.

    Of a single file it is what ``sha256sum`` prints and the hub shows; of several, that of
    their hashes, one a line. Names and places do not enter.
    """
    hashes = [checksum(path) for path in files]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(f"{one}\n" for one in hashes).encode()).hexdigest()
