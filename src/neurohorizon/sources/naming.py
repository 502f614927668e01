"""Names and stretches that every converter needs."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from neurohorizon.ops.blocks import blocks
from neurohorizon.recordings.hdf5_write import is_taken, is_taken_by_units
from neurohorizon.recordings.schema import FloatArray, empty_intervals


def to_ascii(text: str) -> str:
    """Return text without accents and with "?" for what ASCII cannot say.

    Examples
    --------
    >>> to_ascii("Gál, 5 µm")
    'Gal, 5 ?m'
    """
    plain = unicodedata.normalize("NFD", text)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return plain.encode("ascii", "replace").decode()


def to_name(text: str) -> str:
    """Return text as a name that can stand in a file: ASCII letters, digits, "_" and "-".

    Examples
    --------
    >>> to_name("Eye position (x/y)")
    'Eye_position_x_y'
    """
    return re.sub(r"[^0-9A-Za-z-]+", "_", to_ascii(text)).strip("_") or "unnamed"


def free_name(text: str) -> str:
    """Return text as a name for a series, a table or a column that no file keeps for itself.

    Examples
    --------
    >>> free_name("spikes"), free_name("hand position")
    ('spikes_', 'hand_position')
    """
    name = to_name(text)
    return f"{name}_" if is_taken(name) else name


def free_unit_column(text: str) -> str:
    """Return text as a name for a column of units that no file keeps for itself.

    Examples
    --------
    >>> free_unit_column("area"), free_unit_column("d'")
    ('area_', 'd')
    """
    name = to_name(text)
    return f"{name}_" if is_taken_by_units(name) else name


def whole_seconds_around(spike_times: FloatArray) -> FloatArray:
    """Return the stretch of whole seconds that holds all finite times, shape (1, 2) or (0, 2)."""
    ends = []
    for rows in blocks(len(spike_times)):
        some = spike_times[rows]
        finite = some[np.isfinite(some)]
        if len(finite):
            ends += [finite.min(), finite.max()]
    if not ends:
        return empty_intervals()
    return np.array([[np.floor(min(ends)), np.floor(max(ends)) + 1.0]])
