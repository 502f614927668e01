"""Responses to distinct pictures, in memory: single trials, means of them, and their split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.schema import FloatArray, IntArray, Units

#: Columns of units that the public files compute from responses to test pictures.
FROM_TEST = ("reliability", "oracle", "snr", "snr_max")


@dataclass(frozen=True, eq=False)
class PicturePairs:
    """What a population answered, and to which picture.

    Parameters
    ----------
    id, subject : str
        Of the recording.
    units : Units
    values : (K, N) or (K, N, B) float32
        One row a presentation; NaN where missing.
    picture : (K,) int
        Row of `hashes` that was shown.
    day : (K,) int
        -1 where unknown.
    hashes : (I,) str
        Distinct pictures.
    category : (I,) str
        "" where unknown.
    part : (I,) str
        "train", "test", or "" for pictures that are left out.
    averaged : (I,) bool
        Whether the source's rows of a picture are means over repeats already.
    bin_edges_s : (B + 1,) float or None
        Edges of the time bins after the picture came on; None without bins.
    """

    id: str
    subject: str
    units: Units
    values: NDArray[np.float32]
    picture: IntArray
    day: IntArray
    hashes: NDArray[np.str_]
    category: NDArray[np.str_]
    part: NDArray[np.str_]
    averaged: NDArray[np.bool_]
    bin_edges_s: FloatArray | None = None

    @classmethod
    def of(cls, recording: ResponseRecording) -> PicturePairs:
        """Read a recording's responses; its part is the stored one.

        Raises
        ------
        DataError
            If pictures are not known by their content.
        """
        responses, images = recording.responses, recording.images
        hashes = images.sha256[responses.image]
        if np.any(hashes == ""):
            raise DataError(
                f"{recording.id}: {np.sum(images.sha256 == '')} of {len(images)} pictures are not "
                "known by their content: prepare it again with the folder of pictures "
                "(images=FOLDER)"
            )
        known, first, picture = np.unique(hashes, return_index=True, return_inverse=True)
        test = np.zeros(len(known), dtype=bool)
        np.logical_or.at(test, picture, responses.part == "test")
        mean = np.zeros(len(known), dtype=bool)
        np.logical_or.at(mean, picture, responses.repeat < 0)
        return cls(
            id=recording.id,
            subject=recording.subject,
            units=recording.units,
            values=np.concatenate([rows for _, rows in responses.blocks()]).astype(np.float32),
            picture=picture,
            day=np.asarray(responses.day),
            hashes=known,
            category=images.category[responses.image][first],
            part=np.where(test, "test", "train"),
            averaged=mean,
            bin_edges_s=responses.bin_edges_s,
        )

    def __len__(self) -> int:
        return len(self.picture)

    @property
    def num_units(self) -> int:
        """Number of units."""
        return self.values.shape[1]

    def with_parts(self, part_of: Mapping[str, str]) -> PicturePairs:
        """Return them with another split; pictures that it does not name are left out."""
        return replace(
            self, part=np.array([part_of.get(one, "") for one in self.hashes.tolist()], dtype="<U5")
        )

    def only(self, part: str) -> PicturePairs:
        """Return the presentations of one part."""
        return self.take(np.flatnonzero(self.part[self.picture] == part))

    def take(self, rows: IntArray) -> PicturePairs:
        """Return some presentations; pictures that none of them shows are dropped."""
        shown, picture = np.unique(self.picture[rows], return_inverse=True)
        return replace(
            self,
            values=self.values[rows],
            picture=picture,
            day=self.day[rows],
            hashes=self.hashes[shown],
            category=self.category[shown],
            part=self.part[shown],
            averaged=self.averaged[shown],
        )

    def select_units(self, unit_index: IntArray) -> PicturePairs:
        """Return them with some of the units."""
        return replace(self, units=self.units.select(unit_index), values=self.values[:, unit_index])

    def select_bins(self, first: int, last: int) -> PicturePairs:
        """Return them with the time bins from `first` to before `last`."""
        assert self.bin_edges_s is not None
        edges = self.bin_edges_s[first : last + 1]
        return replace(self, values=self.values[:, :, first:last], bin_edges_s=edges)

    def mean_over_trials(
        self, *, most: int | None = None, generator: np.random.Generator | None = None
    ) -> PicturePairs:
        """Return one row a picture: the mean of its trials, missing ones left out.

        Parameters
        ----------
        most : int, optional
            Of how many trials at most, drawn at random; all by default.
        generator : numpy Generator
            For the draw.

        Returns
        -------
        PicturePairs
            In the order of `hashes`.
        """
        rows = np.argsort(self.picture, kind="stable")
        if most is not None:
            assert generator is not None
            rows = rows[np.argsort(generator.random(len(rows)))]
            rows = rows[np.argsort(self.picture[rows], kind="stable")]
            start = np.searchsorted(self.picture[rows], self.picture[rows])
            rows = rows[np.arange(len(rows)) - start < most]
        bounds = np.searchsorted(self.picture[rows], np.arange(len(self.hashes)))
        values, there = self.values[rows], np.isfinite(self.values[rows])
        total = np.add.reduceat(np.where(there, values, 0), bounds, axis=0, dtype=np.float64)
        count = np.add.reduceat(there, bounds, axis=0, dtype=np.int64)
        mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return replace(
            self,
            values=mean.astype(np.float32),
            picture=np.arange(len(self.hashes)),
            day=self.day[rows][bounds],
            averaged=np.ones(len(self.hashes), dtype=bool),
        )

    @property
    def trials_per_picture(self) -> IntArray:
        """Rows of each picture, (I,)."""
        return np.bincount(self.picture, minlength=len(self.hashes))


@dataclass(frozen=True)
class UnitChoice:
    """Which units are read.

    Parameters
    ----------
    areas : sequence of str
        Empty for all.
    least : mapping of str to float
        Least value of columns of the units: {"snr": 1.0}.
    """

    areas: Sequence[str] = ()
    least: Mapping[str, float] | None = None

    def __call__(self, pairs: PicturePairs) -> tuple[PicturePairs, list[str]]:
        """Choose, and say what a reader should know of the choice.

        Units without a finite value in training are left out as well.

        Raises
        ------
        ConfigError
            If an area or a column is not there.
        DataError
            If no unit is left.
        """
        units, notes = pairs.units, []
        keep = np.ones(pairs.num_units, dtype=bool)
        known = sorted(set(units.area.tolist()))
        for area in self.areas:
            if area not in known:
                there = ", ".join(each or "(unknown)" for each in known)
                raise ConfigError(f"{pairs.id}: no units in {area}: there are {there}")
        if self.areas:
            keep &= np.isin(units.area, list(self.areas))
        for name, least in (self.least or {}).items():
            if name not in units.columns:
                there = ", ".join(sorted(units.columns)) or "none"
                raise ConfigError(f"{pairs.id}: units have no column {name}: there are {there}")
            with np.errstate(invalid="ignore"):
                keep &= np.asarray(units.columns[name], dtype=np.float64) >= least
            if name in FROM_TEST:
                notes.append(f"units chosen by {name}, which the source took from test responses")
        train = pairs.values[pairs.part[pairs.picture] == "train"]
        silent = ~np.isfinite(train).any(axis=tuple(i for i in range(train.ndim) if i != 1))
        if np.any(silent & keep):
            first = units.id[np.flatnonzero(silent & keep)[0]]
            notes.append(
                f"{np.sum(silent & keep)} of {np.sum(keep)} units left out: no training picture "
                f"has a value of theirs (the first is {first})"
            )
        if silent.all():
            raise DataError(f"{pairs.id}: no response to a training picture is a finite number")
        keep &= ~silent
        if not keep.any():
            raise DataError(f"{pairs.id}: no unit is left: choose other areas or lower limits")
        return (pairs if keep.all() else pairs.select_units(np.flatnonzero(keep))), notes
