"""V1, V4 and IT: what drives each electrode, before gain, noise and days.

What each area carries is planted. V1 has small fields: local orientation, colour and
luminance. V4 pools energy, curvature and colour over large fields and divides by their sum, so
that it keeps what is there better than where. IT knows the object: a fixed random
nonlinear code of shape, hue and surface, which place and size change little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.simulate.ventral.electrodes import PER_ARRAY, Electrodes
from neurohorizon.simulate.ventral.filters import FAMILIES, MAP_PX, RETINA_PX, Array, v4_features
from neurohorizon.simulate.ventral.objects import HUES, SHAPE_NAMES, TEXTURES

#: Columns of the truth by what they are about: the first are best told from V1 and worst
#: from IT, the second the other way round.
LOW_LEVEL_TARGETS = ("x", "y", "luminance_layout")
SEMANTIC_TARGETS = ("shape", "texture")
_V1_WAVELENGTHS_PX = (4.0, 7.0, 12.0)
_V4_CENTRES = (0.4, 0.5, 0.6)
_V4_FIELDS = (0.24, 0.34)
_GROUPS = (
    ("disc", "ring", "crescent"),
    ("square", "triangle", "hourglass"),
    ("star", "cross", "heart"),
    ("bar", "arrow", "elbow"),
)


class V1:
    """Oriented energy and signed contrast in small fields, of luminance or an opponent colour.

    Parameters
    ----------
    count : int
        Electrodes: an array sees a patch of the picture, and its electrodes lie in it as on
        a grid.
    seed : int
    """

    def __init__(self, count: int, *, seed: int) -> None:
        rng = np.random.default_rng([seed, 11])
        num_arrays, side = count // PER_ARRAY, int(PER_ARRAY**0.5)
        turn = (np.arange(num_arrays) + 0.5) / num_arrays
        radius, angle = 0.3 * np.sqrt(turn), 2 * np.pi * turn * 4.236  # sunflower seeds
        centre = 0.5 + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        step = np.linspace(-0.15, 0.15, side)
        grid = np.stack(np.meshgrid(step, step), axis=-1).reshape(-1, 2)
        place = centre[:, None] + grid + rng.normal(scale=0.01, size=(num_arrays, len(grid), 2))
        self.place = np.clip(place.reshape(count, 2), 0.06, 0.94)
        self.wavelength_px = rng.choice(_V1_WAVELENGTHS_PX, size=count)
        self.orientation_rad = rng.uniform(0, np.pi, size=count)
        self.channel = rng.choice(3, size=count, p=[0.6, 0.2, 0.2])
        balance = rng.uniform(0.15, 0.85, size=count) * np.pi / 2
        sign = rng.choice([-1.0, 1.0], size=count)
        self.weights = np.stack([np.cos(balance), sign * np.sin(balance)], axis=1).astype("f4")
        self._filters = [self._make_filters(np.flatnonzero(self.channel == c)) for c in range(3)]

    def _make_filters(self, which: NDArray[np.intp]) -> Array:
        """Return even, odd and blob filters of some electrodes, (pixels, 3 electrodes)."""
        pixel = np.arange(RETINA_PX) + 0.5
        x = pixel[None, None, :] - RETINA_PX * self.place[which, 0, None, None]
        y = pixel[None, :, None] - RETINA_PX * self.place[which, 1, None, None]
        wave = self.wavelength_px[which, None, None]
        angle = self.orientation_rad[which, None, None]
        envelope = np.exp(-(x**2 + y**2) / (2 * (0.45 * wave) ** 2))
        envelope[envelope < 1e-6] = 0  # numbers near the smallest make products slow
        phase = 2 * np.pi / wave * (np.cos(angle) * x + np.sin(angle) * y)
        even, odd = envelope * np.cos(phase), envelope * np.sin(phase)
        mass = envelope.sum(axis=(1, 2), keepdims=True)
        even -= envelope * (even.sum(axis=(1, 2), keepdims=True) / mass)
        bank = np.concatenate([even / mass, odd / mass, envelope / mass])
        return bank.reshape(len(bank), -1).T.astype(np.float32)

    def features(self, channels: Array) -> Array:
        """Return energy and blob, (n, electrodes, 2), of opponent pictures (3, n, S, S)."""
        out = np.empty((channels.shape[1], len(self.place), 2), dtype=np.float32)
        for number, bank in enumerate(self._filters):
            flat = channels[number].reshape(len(out), -1) @ bank
            even, odd, blob = np.split(flat, 3, axis=1)
            which = np.flatnonzero(self.channel == number)
            out[:, which, 0] = np.sqrt(even**2 + odd**2)
            out[:, which, 1] = blob
        return out

    def drive(self, features: Array) -> Array:
        """Return the drive of each electrode, of features in standard units."""
        return np.einsum("nef,ef->ne", features, self.weights)


class V4:
    """Curvature, texture and colour over large fields, each divided by what else is there.

    Parameters
    ----------
    count : int
    seed : int
    """

    def __init__(self, count: int, *, seed: int) -> None:
        rng = np.random.default_rng([seed, 12])
        x, y = (axis.ravel() for axis in np.meshgrid(_V4_CENTRES, _V4_CENTRES))
        self.fields = np.array([(a, b, s) for s in _V4_FIELDS for a, b in zip(x, y, strict=True)])
        cell = (np.arange(MAP_PX) + 0.5) / MAP_PX
        squared = (cell[None, None, :] - self.fields[:, 0, None, None]) ** 2 + (
            cell[None, :, None] - self.fields[:, 1, None, None]
        ) ** 2
        pool = np.exp(-squared / (2 * self.fields[:, 2, None, None] ** 2)).reshape(-1, MAP_PX**2)
        self._pool = (pool / pool.sum(axis=1, keepdims=True)).T.astype(np.float32)
        self.field = rng.integers(len(self.fields), size=count)
        self.family = rng.choice(list(FAMILIES), size=count, p=[0.25, 0.4, 0.25, 0.1])
        num_features = sum(FAMILIES.values())
        starts = dict(zip(FAMILIES, np.cumsum([0, *FAMILIES.values()]), strict=False))
        weights = 0.15 * rng.standard_normal((count, num_features))
        for number, family in enumerate(self.family):
            chosen = starts[family] + rng.permutation(FAMILIES[family])[:3]
            weights[number, chosen] += rng.choice([-1.0, 1.0], size=len(chosen))
        self.weights = weights.astype(np.float32)

    def features(self, channels: Array) -> Array:
        """Return the features in each field, (n, fields, features)."""
        found = [
            pooled / (pooled.sum(axis=2, keepdims=True) + np.float32(0.003))
            for pooled in v4_features(channels, self._pool).values()
        ]
        return np.concatenate(found, axis=2)

    def drive(self, features: Array) -> Array:
        """Return the drive of each electrode, of features in standard units."""
        return np.einsum("nef,ef->ne", features[:, self.field], self.weights)


class IT:
    """The object, through a fixed random nonlinear code.

    Parameters
    ----------
    count : int
    seed : int
    """

    def __init__(self, count: int, *, seed: int) -> None:
        rng = np.random.default_rng([seed, 13])
        group = np.array([[name in names for names in _GROUPS] for name in SHAPE_NAMES])
        shared = group @ rng.standard_normal((len(_GROUPS), 6))
        own = rng.standard_normal((len(SHAPE_NAMES), 6))
        self.shape_code = np.concatenate([0.7 * shared, own], axis=1)
        angle = 2 * np.pi * np.arange(len(HUES)) / len(HUES)
        circle = [f(k * angle) for k in (1, 2) for f in (np.cos, np.sin)]
        self.hue_code = 1.4 * np.column_stack(circle)
        self.texture_code = rng.standard_normal((len(TEXTURES), 6))
        num_inputs = sum(c.shape[1] for c in (self.shape_code, self.hue_code, self.texture_code))
        num_hidden = 256
        self._enter = rng.standard_normal((num_inputs, num_hidden)) / np.sqrt(num_inputs)
        self._view = 0.04 * rng.standard_normal((5, num_hidden))
        self._bias = 0.3 * rng.standard_normal(num_hidden)
        leave = rng.standard_normal((num_hidden, count))
        leave *= rng.uniform(size=leave.shape) < 0.1
        self._leave = leave / np.sqrt(0.1 * num_hidden)

    def features(self, scenes: Mapping[str, NDArray[Any]]) -> Array:
        """Return the code of each picture, (n, electrodes).

        Parameters
        ----------
        scenes : mapping
            As :func:`~neurohorizon.simulate.ventral.pictures.tabulate` returns them.
        """
        code = np.concatenate(
            [
                self.shape_code[scenes["shape"]],
                self.hue_code[scenes["hue"]],
                self.texture_code[scenes["texture"]],
            ],
            axis=1,
        )
        # How it is seen changes the answer little; none of it is lost, none is easy to read.
        x, y = 5 * (scenes["x"] - 0.5), 5 * (scenes["y"] - 0.5)
        turn, size = scenes["orientation_rad"], np.log(scenes["size"] / 0.26)
        view = np.stack([x, y, 4 * size, np.cos(turn), np.sin(turn)], axis=1)
        hidden = np.maximum(code @ self._enter + view @ self._view + self._bias, 0)
        strength = (1 - 0.05 * (x**2 + y**2)) * np.exp(0.15 * size)
        return ((hidden @ self._leave) * strength[:, None]).astype(np.float32)[:, :, None]

    def drive(self, features: Array) -> Array:
        """Return the drive of each electrode, of features in standard units."""
        return features[:, :, 0]


def describe_tuning(electrodes: Electrodes, v1: V1, v4: V4) -> dict[str, NDArray[Any]]:
    """Return what each electrode prefers, one row an electrode; NaN or "" where it has none."""
    count = len(electrodes.area)
    columns: dict[str, NDArray[Any]] = {
        name: np.full(count, np.nan, dtype=np.float32)
        for name in ("field_x", "field_y", "wavelength", "preferred_orientation_rad")
    }
    columns["prefers"] = np.full(count, "", dtype="U16")
    first, second = electrodes.of("V1"), electrodes.of("V4")
    columns["field_x"][first], columns["field_y"][first] = v1.place.T
    columns["wavelength"][first] = v1.wavelength_px / RETINA_PX
    columns["preferred_orientation_rad"][first] = v1.orientation_rad
    columns["prefers"][first] = np.array(["luminance", "red_green", "blue_yellow"])[v1.channel]
    columns["field_x"][second], columns["field_y"][second] = v4.fields[v4.field, :2].T
    columns["prefers"][second] = v4.family
    columns["prefers"][electrodes.of("IT")] = "object"
    return columns
