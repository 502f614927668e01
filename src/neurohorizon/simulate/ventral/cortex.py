"""The visual cortex of a world: what each electrode would answer if nothing were noisy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.simulate.ventral.areas import IT, V1, V4, describe_tuning
from neurohorizon.simulate.ventral.electrodes import draw_electrodes
from neurohorizon.simulate.ventral.filters import Array, opponent, pool, to_retina
from neurohorizon.simulate.ventral.objects import MOST_CATEGORIES
from neurohorizon.simulate.ventral.pictures import Scene, draw_scene, render, tabulate

#: Every so many categories give a picture by which features and answers are put into
#: standard units. Shapes take turns: the step must not divide their number.
_CALIBRATION_STEP = 5
#: Means of luminance over a grid of this side are the layout that the truth tells.
LAYOUT_SIDE = 4
#: Share of the variance of noiseless answers that nothing in the truth explains, and how many
#: pictures it is mixed of.
OTHER_SHARE = 0.6
_OTHER_PICTURES = 3


class Cortex:
    """Answers to pictures, one value an electrode, of mean 0 and standard deviation 1.

    Parameters
    ----------
    monkey : {"F", "N"}
        Whose electrodes lie in which area.
    seed : int

    Notes
    -----
    An electrode's answer is ``log(1 + exp(1.2 drive))``, where the drive is a weighted sum of
    features in standard units. Units are standard over pictures that are drawn for the
    purpose, so an answer depends on nothing but the picture.
    """

    def __init__(self, monkey: str, *, seed: int) -> None:
        self.electrodes = draw_electrodes(monkey, seed)
        self._areas = {name: self.electrodes.of(name) for name in ("V1", "V4", "IT")}
        counts = {name: len(where) for name, where in self._areas.items()}
        self.v1, self.v4 = V1(counts["V1"], seed=seed), V4(counts["V4"], seed=seed)
        self.it = IT(counts["IT"], seed=seed)
        scenes = [
            draw_scene(seed, "calibration", category, 0)
            for category in range(0, MOST_CATEGORIES, _CALIBRATION_STEP)
        ]
        pictures = np.stack([render(scene) for scene in scenes])
        self._units: dict[str, tuple[Array, Array]] = {}
        self._scale: tuple[Array, Array] | None = None
        answers = self._answers(pictures, tabulate(scenes))
        self._scale = answers.mean(axis=0), answers.std(axis=0)
        self._calibration = (answers - self._scale[0]) / self._scale[1]

    def answers(self, pictures: NDArray[np.uint8], scenes: Mapping[str, NDArray[Any]]) -> Array:
        """Return what the electrodes answer to pictures.

        Parameters
        ----------
        pictures : (n, S, S, 3) uint8
        scenes : mapping
            What they show, as :func:`~neurohorizon.simulate.ventral.pictures.tabulate` returns
            it; read by IT alone.

        Returns
        -------
        (n, 1024) float32
        """
        assert self._scale is not None
        mean, deviation = self._scale
        return (self._answers(pictures, scenes) - mean) / deviation

    def add_other(self, answers: Array, scenes: Sequence[Scene]) -> Array:
        """Mix in what answers depend on besides what a picture's truth tells.

        Parameters
        ----------
        answers : (n, 1024) float32
            As :meth:`answers` returns them.
        scenes : sequence of Scene

        Returns
        -------
        (n, 1024) float32
            In standard units, too; the same for every presentation of a picture.

        Notes
        -----
        No model of a picture explains all that cortex repeats when it sees the picture again.
        The rest is, in each area, a mixture of the answers to other pictures, chosen at random
        for each picture. Since it varies as answers do, no decoder can take it out, and
        more electrodes do not average it away.
        """
        mixed = np.sqrt(np.float32(1 - OTHER_SHARE)) * answers
        weight = np.sqrt(np.float32(OTHER_SHARE / _OTHER_PICTURES))
        for row, scene in enumerate(scenes):
            rng = np.random.default_rng((*scene.key, 1))
            chosen = rng.integers(len(self._calibration), size=(len(self._areas), _OTHER_PICTURES))
            for where, others in zip(self._areas.values(), chosen, strict=True):
                mixed[row, where] += weight * self._calibration[others[:, None], where].sum(axis=0)
        return mixed

    def _answers(self, pictures: NDArray[np.uint8], scenes: Mapping[str, NDArray[Any]]) -> Array:
        channels = opponent(to_retina(pictures))
        features = {
            "V1": self.v1.features(channels),
            "V4": self.v4.features(channels),
            "IT": self.it.features(scenes),
        }
        drive = np.empty((len(pictures), len(self.electrodes.area)), dtype=np.float32)
        for name, area in (("V1", self.v1), ("V4", self.v4), ("IT", self.it)):
            standard = self._standardise(name, features[name])
            drive[:, self._areas[name]] = area.drive(standard)
        return np.log1p(np.exp(np.float32(1.2) * self._standardise("drive", drive)))

    def _standardise(self, name: str, values: Array) -> Array:
        """Bring values into standard units: those of the first call, the calibration."""
        if name not in self._units:
            self._units[name] = values.mean(axis=0), values.std(axis=0) + np.float32(1e-6)
        mean, deviation = self._units[name]
        return (values - mean) / deviation

    def tuning(self) -> dict[str, NDArray[Any]]:
        """Return what each electrode prefers, one row an electrode."""
        return describe_tuning(self.electrodes, self.v1, self.v4)


@lru_cache(maxsize=2)
def cortex_of(monkey: str, seed: int) -> Cortex:
    """Return the cortex of a world; it is made once in a process."""
    return Cortex(monkey, seed=seed)


def luminance_layout(pictures: NDArray[np.uint8]) -> Array:
    """Return mean luminance over the cells of a grid, (n, 16), row by row."""
    luminance = opponent(to_retina(pictures))[0]
    return pool(luminance, LAYOUT_SIDE).reshape(len(pictures), -1)
