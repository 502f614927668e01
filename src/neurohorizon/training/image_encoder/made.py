"""Files of trained networks that say what they were made from: kept, or refused, never replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from neurohorizon.errors import ConfigError

MADE_BY = "made_by"


def is_made(path: Path, made_by: dict[str, Any]) -> bool:
    """Tell whether a file was made in this way; refuse to overwrite one made in another."""
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            found = json.loads((file.metadata() or {}).get(MADE_BY, "null"))
    except (SafetensorError, OSError, ValueError):
        found = None
    if found != made_by:
        raise ConfigError(
            f"{path}: is there already, and was not made with these settings from these "
            "pictures; choose another name, or remove it"
        )
    return True


def require_name(path: Path) -> None:
    """Refuse a file that is not to be called ``.safetensors``."""
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path}: expected a name that ends in .safetensors")


def digest(words: Sequence[str]) -> str:
    """Return one SHA-256 of words in their order."""
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogateescape")).hexdigest()
