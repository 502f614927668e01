"""What was seen in a decoder, as files beside the scores of its set.

``later.latents.npz``, ``later.units.npz`` and ``later.attention.npz``, and, where it was asked for,
``later.importance.npz``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurohorizon.evaluation.decoding.importance import Importance
from neurohorizon.evaluation.decoding.views import LatentStates, UnitAttention, Views
from neurohorizon.evaluation.identities import load_identities, save_identities
from neurohorizon.ops.records import load_records, save_records

LATENTS, UNITS, ATTENTION = ".latents.npz", ".units.npz", ".attention.npz"
IMPORTANCE = ".importance.npz"


def save_views(views: Views, of_set: Path) -> None:
    """Write what was seen beside the folder of a set's scores."""
    save_records(views.latents, _beside(of_set, LATENTS))
    save_identities(views.units, _beside(of_set, UNITS))
    save_records(views.attention, _beside(of_set, ATTENTION))


def views_are_there(of_set: Path) -> bool:
    """Tell whether all that :func:`save_views` writes is there."""
    return all(_beside(of_set, name).is_file() for name in (LATENTS, UNITS, ATTENTION))


def load_views(of_set: Path) -> Views | None:
    """Read what was seen; None if nothing was looked at.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    if not views_are_there(of_set):
        return None
    return Views(
        latents=load_records(LatentStates, _beside(of_set, LATENTS)),
        units=load_identities(_beside(of_set, UNITS)),
        attention=load_records(UnitAttention, _beside(of_set, ATTENTION)),
    )


def save_importance(found: Sequence[Importance], of_set: Path) -> None:
    """Write which units are read beside the folder of a set's scores."""
    save_records(found, _beside(of_set, IMPORTANCE))


def load_importance(of_set: Path) -> list[Importance]:
    """Read which units are read; empty if it was not measured.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = _beside(of_set, IMPORTANCE)
    return load_records(Importance, path) if path.is_file() else []


def _beside(of_set: Path, suffix: str) -> Path:
    return of_set.with_name(of_set.name + suffix)
