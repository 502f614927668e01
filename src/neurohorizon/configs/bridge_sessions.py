"""Open what bridges are fitted to: recordings of responses, banks, one split over all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.configs.bridge_schema import (
    BridgeConfig,
    BridgeTraining,
    ResponsesConfig,
    StoredPictures,
)
from neurohorizon.configs.masked_schema import MaskedConfig
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.layout import LayoutEncoder
from neurohorizon.ops.files import checksum
from neurohorizon.recordings.pictured.pairs import PicturePairs, UnitChoice
from neurohorizon.recordings.pictured.splits import (
    alike_pictures,
    chance_of,
    fold_pictures,
    group_pictures,
    split_pictures,
)
from neurohorizon.recordings.responses_store import open_responses
from neurohorizon.recordings.schema import IntArray
from neurohorizon.recordings.store import list_recordings
from neurohorizon.training.bridge.samples import Samples


@dataclass(frozen=True, eq=False)
class BridgeSession:
    """One recording, ready to be bridged.

    Parameters
    ----------
    path : Path
    pairs : PicturePairs
        All its presentations, of the units that are read, with the run's split.
    fold : (I,) int
        Of each of its pictures, -1 where no fold holds it out.
    labelled : (I,) bool
        Whether a training picture's embedding is used.
    notes : list of str
        What a reader should know of it.
    """

    path: Path
    pairs: PicturePairs
    fold: IntArray
    labelled: NDArray[np.bool_]
    notes: list[str]

    @property
    def areas(self) -> tuple[int, ...]:
        """Area of each unit, from 0."""
        return tuple(np.unique(self.pairs.units.area, return_inverse=True)[1].tolist())

    @property
    def num_training(self) -> int:
        """Training pictures whose embeddings are used."""
        return int(np.sum((self.pairs.part == "train") & self.labelled))

    def test_responses(self, *, num_trials: int | None = None) -> PicturePairs:
        """Return one response to each test picture: the mean of all trials, or of so many.

        Parameters
        ----------
        num_trials : int, optional
            Drawn at random for each picture, always the same ones.

        Raises
        ------
        ConfigError
            If a picture has fewer.
        """
        pairs = self.pairs.only("test")
        if num_trials is None:
            return pairs.mean_over_trials()
        fewest = int(pairs.trials_per_picture.min())
        if not 1 <= num_trials <= fewest:
            raise ConfigError(
                f"{pairs.id}: {num_trials} trials of each test picture: expected 1 to {fewest}, "
                "the fewest that one has"
            )
        return pairs.mean_over_trials(most=num_trials, generator=np.random.default_rng(0))

    def training(self, bank: EmbeddingBank, *, single_trials: bool) -> Samples:
        """Return the training pictures and the responses to them."""
        pairs = self.pairs.only("train")
        if not single_trials:
            pairs = pairs.mean_over_trials()
        # Hashes are in order here and there.
        row = np.searchsorted(self.pairs.hashes, pairs.hashes)
        samples = Samples(
            values=pairs.values,
            embeddings=bank.select(pairs.hashes.tolist()),
            picture=pairs.picture,
            fold=self.fold[row],
            areas=self.areas,
            category=pairs.category,
        )
        labelled = self.labelled[row]
        if labelled.all():
            return samples
        return replace(samples.of_pictures(labelled), responses=samples.values)


@dataclass(frozen=True, eq=False)
class BridgeSessions:
    """What a run is fitted to.

    Parameters
    ----------
    sessions : list of BridgeSession
    bank : EmbeddingBank
    grey_bank : EmbeddingBank or None
    num_alike : int
        Pictures that look like another one.
    """

    sessions: list[BridgeSession]
    bank: EmbeddingBank
    grey_bank: EmbeddingBank | None
    num_alike: int = 0


def open_bridge_sessions(config: BridgeConfig | MaskedConfig) -> BridgeSessions:
    """Open recordings and banks, and split the pictures of all of them at once.

    Raises
    ------
    ConfigError, DataError
        If something is missing, damaged, or does not fit.
    """
    data = config.data
    bank = EmbeddingBank.load(data.bank)
    grey = None if data.grey_bank is None else EmbeddingBank.load(data.grey_bank)
    opened = [(path, PicturePairs.of(open_responses(path))) for path in _files(data)]
    opened = [each for each in opened if each[1].id not in data.leave_out]
    for name in data.leave_out:
        if all(name != pairs.id for _, pairs in opened) and not _has(data, name):
            raise ConfigError(f"data.leave_out: there is no recording {name}")
    if not opened:
        raise DataError(f"{data.places[0]}: no recording is left")
    hashes = np.unique(np.concatenate([pairs.hashes for _, pairs in opened]))
    bank.select(hashes.tolist())
    if grey is not None:
        grey.select(hashes.tolist())
    group = _groups(data, bank, hashes)
    part, fold = _split(config, hashes, group, [pairs for _, pairs in opened])
    for each in (bank, grey):
        if each is not None:
            each.check_unseen(hashes[part == "test"].tolist())
    part_of = dict(zip(hashes.tolist(), part.tolist(), strict=True))
    fold_of = dict(zip(hashes.tolist(), fold.tolist(), strict=True))
    choose = UnitChoice(areas=data.units.areas, least=data.units.least)
    sessions = []
    for path, pairs in opened:
        chosen, notes = choose(pairs.with_parts(part_of))
        left_out = int(np.sum(chosen.part == ""))
        if left_out:
            notes.append(f"{left_out} training pictures left out: they look like test pictures")
        for name in ("train", "test"):
            if not np.any(chosen.part == name):
                raise DataError(f"{path}: none of its pictures is in the part {name!r}")
        folds = np.array([fold_of[one] for one in chosen.hashes.tolist()])
        labelled = np.ones(len(folds), dtype=bool)
        if isinstance(config, BridgeConfig):
            labelled = _labelled(chosen.hashes, config.training)
        sessions.append(BridgeSession(path, chosen, folds, labelled, notes))
    _, sizes = np.unique(group, return_counts=True)
    return BridgeSessions(sessions, bank, grey, int(sizes[sizes > 1].sum()))


def require_names(found: BridgeSessions) -> None:
    """Refuse two recordings of one name, which would write to one folder.

    Raises
    ------
    DataError
    """
    ids = [session.pairs.id for session in found.sessions]
    double = next((one for one in ids if ids.count(one) > 1), None)
    if double is not None:
        raise DataError(f"two recordings are called {double}: leave one of the files out")


def describe_bridge_data(
    found: BridgeSessions, config: BridgeConfig | MaskedConfig
) -> dict[str, Any]:
    """Return the content of ``data.json``."""
    folder = Path(os.path.commonpath([each.path.resolve().parent for each in found.sessions]))

    def bank(path: Path | None) -> dict[str, Any] | None:
        if path is None:
            return None
        loaded = EmbeddingBank.load(path)
        return {
            "file": os.path.relpath(loaded.where, config.run.folder),
            "sha256": checksum(Path(loaded.where)),
            "fingerprint": loaded.fingerprint.to_json(),
        }

    return {
        "folder": Path(os.path.relpath(folder, config.run.folder.resolve())).as_posix(),
        "training": [
            {
                "id": each.pairs.id,
                "subject": each.pairs.subject,
                "file": os.path.relpath(each.path.resolve(), folder),
                "sha256": checksum(each.path),
                "num_units": each.pairs.num_units,
                "num_training_pictures": each.num_training,
                "num_test_pictures": int(np.sum(each.pairs.part == "test")),
            }
            for each in found.sessions
        ],
        "held_out": [],
        "bank": bank(config.data.bank),
        "grey_bank": bank(config.data.grey_bank),
    }


def _files(data: ResponsesConfig) -> list[Path]:
    paths = []
    for place in data.places:
        if not place.exists():
            raise DataError(
                f"{place}: there is no such recording or folder: prepare the data "
                "(`neurohorizon data prepare`), or say where it lies with data.recordings="
            )
        paths += list_recordings(place)
    if data.source is not None:
        paths = [path for path in paths if open_responses(path).source == data.source]
        if not paths:
            raise DataError(f"{data.places[0]}: holds no recording of the source {data.source}")
    return paths


def _has(data: ResponsesConfig, name: str) -> bool:
    return any(open_responses(path).id == name for path in _files(data))


def _groups(data: ResponsesConfig, bank: EmbeddingBank, hashes: NDArray[np.str_]) -> IntArray:
    """Return which pictures look alike; each alone where nothing says what they look like."""
    looks = bank if data.looks_bank is None else EmbeddingBank.load(data.looks_bank)
    if looks.fingerprint.encoder != LayoutEncoder.name:
        if data.looks_bank is not None:
            raise ConfigError(
                f"data.looks_bank is of {looks.fingerprint.encoder}, which says what pictures "
                "show: give one of the encoder layout"
            )
        return np.arange(len(hashes))
    alike = alike_pictures(looks.select(hashes.tolist()), least_correlation=data.alike)
    return group_pictures(len(hashes), alike)


def _labelled(hashes: NDArray[np.str_], config: BridgeTraining) -> NDArray[np.bool_]:
    """Return whose embeddings are used; those of a share are among those of a larger one."""
    words = [f"label {one}" for one in hashes.tolist()]
    chance = np.array([chance_of(word, config.label_seed) for word in words])
    return chance < config.label_share


def _split(
    config: BridgeConfig | MaskedConfig,
    hashes: NDArray[np.str_],
    group: IntArray,
    every: list[PicturePairs],
) -> tuple[NDArray[np.str_], IntArray]:
    """Return part and fold of each picture, the same in every recording."""
    split = config.data.split
    row = {one: place for place, one in enumerate(hashes.tolist())}
    stored = np.full(len(hashes), "train", dtype="<U5")
    category = np.full(len(hashes), "", dtype=object)
    for pairs in every:
        places = np.array([row[one] for one in pairs.hashes.tolist()])
        stored[places[pairs.part == "test"]] = "test"
        category[places] = pairs.category
    words = category.astype(np.str_)
    part = split_pictures(
        hashes,
        group,
        kind=split.name,
        test_share=0.0 if isinstance(split, StoredPictures) else split.test_share,
        seed=0 if isinstance(split, StoredPictures) else split.seed,
        stored=stored,
        category=words,
    )
    num_folds, held_out_share = config.folds
    fold = fold_pictures(
        hashes,
        group,
        kind=split.name,
        num_folds=num_folds,
        held_out_share=held_out_share,
        category=words,
    )
    return part, fold
