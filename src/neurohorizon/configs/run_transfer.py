"""What the other recordings of a run are worth to one of them that has few pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.bridge_sessions import BridgeSessions
from neurohorizon.configs.records import Run
from neurohorizon.configs.run_bridges import (
    Part,
    load_part,
    load_tuned,
    open_finished,
    parts_of_row,
    require_fitted_anew,
)
from neurohorizon.configs.run_retrieval import case_of, standardised
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.transfer import (
    ALL,
    ALL_OTHERS,
    NEW_INPUT,
    OWN,
    SHARED,
    TransferKey,
    TransferResult,
    Way,
)
from neurohorizon.evaluation.retrieval.transfer_files import TRANSFER, save_transfer
from neurohorizon.evaluation.run_results import RESULTS_FOLDER
from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.recordings.pictured.pairs import PicturePairs
from neurohorizon.recordings.schema import FloatArray, IntArray
from neurohorizon.training.bridge.alignment import align
from neurohorizon.training.bridge.contrastive import ContrastiveSettings
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.bridge.picture_views import fit_on_views
from neurohorizon.training.bridge.rows import ROWS, Settings
from neurohorizon.training.bridge.samples import Samples
from neurohorizon.training.bridge.transfer import (
    Compares,
    fit_on_trunk,
    fit_own,
    nested_order,
)
from neurohorizon.training.bridge.tuning import Tuned

Progress = Callable[[str, int, int], None]
Similarity = NDArray[np.floating]
NUMBERS = (10, 30, 100, 300, 1000)
#: With fewer pictures that both saw, no map between two recordings is fitted.
FEWEST_SHARED = 10


@dataclass(frozen=True, eq=False)
class Member:
    """A recording of the run, as a source and as a target, with one row fitted to it.

    Parameters
    ----------
    part : Part
    bridges : list of Bridge
        Of each seed.
    tuned : Tuned
    samples : Samples
        Training pictures and the responses to them.
    train, test : PicturePairs
        Mean responses to training and to test pictures.
    """

    part: Part
    bridges: list[Bridge]
    tuned: Tuned
    samples: Samples
    train: PicturePairs
    test: PicturePairs

    @property
    def id(self) -> str:
        """Of the recording."""
        return self.train.id

    @property
    def area_names(self) -> list[str]:
        """Names of the areas, in the order of their numbers."""
        return np.unique(self.train.units.area).tolist()

    def draw(self, number: int, seed: int) -> NDArray[np.bool_]:
        """Draw training pictures, (I,); those of a smaller number are among them."""
        chosen = np.zeros(len(self.train.hashes), dtype=bool)
        order = nested_order(self.train.hashes.tolist(), seed=seed)
        chosen[order if number == ALL else order[:number]] = True
        return chosen


def score_transfer(
    folder: Path,
    rows: Sequence[RowName],
    *,
    num_draws: int = 5,
    progress: Progress | None = None,
) -> TransferResult:
    """Carry rows from recording to recording, and write ``results/transfer``.

    Parameters
    ----------
    folder : path
        A finished run.
    rows : sequence of str
        Of the run's.
    num_draws : int
        Of the pictures of the target that are learned from.
    progress : callable, optional

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the run has no such row, a single recording, or a share of the labels.
    """
    run, found = open_finished(folder)
    require_transferable(run, rows)
    better: dict[TransferKey, list[FloatArray]] = {}
    full: dict[tuple[str, str], FloatArray] = {}
    left_out: dict[str, None] = {}
    for row in rows:
        members = _members(run, found, row)
        _assert_unseen(members)
        left_out |= dict.fromkeys(_left_out(members))
        for target in members:
            others = [each for each in members if each is not target]
            embeddings = found.bank.select(target.test.hashes.tolist())
            right = np.arange(len(embeddings))
            full[row, target.id] = np.array(
                [
                    count_better(bridge.similarity(target.test.values, embeddings), right)
                    for bridge in target.bridges
                ]
            )
            numbers = [each for each in NUMBERS if each < len(target.train.hashes)]
            for done, number in enumerate([*numbers, ALL]):
                draws = num_draws if number != ALL or ROWS[row].trained else 1
                for seed in range(draws):
                    chosen = target.draw(number, seed)
                    compared = _compared(
                        target, others, chosen, embeddings, seed, run.config.training.device
                    )
                    for way, source, similarity in compared:
                        key = TransferKey(row, way, source, target.id, number)
                        better.setdefault(key, []).append(count_better(similarity, right))
                if progress:
                    progress(f"{row} for {target.id}", done + 1, len(numbers) + 1)
    result = TransferResult(
        f"{run.config.run.name}: transfer between recordings",
        list(rows),
        [case_of(session) for session in found.sessions],
        _complete(better),
        full,
        list(left_out),
    )
    save_transfer(result, folder / RESULTS_FOLDER / TRANSFER)
    return result


def require_transferable(run: Run[BridgeConfig], rows: Sequence[str]) -> None:
    """Refuse what cannot be carried from recording to recording.

    Raises
    ------
    ConfigError
        As :func:`score_transfer`.
    """
    require_fitted_anew(run.config, run.folder, rows)
    if len(run.data["training"]) < 2:
        raise ConfigError(
            f"{run.folder}: has one recording: two are needed to carry a bridge from one to the "
            "other"
        )
    if run.config.training.label_share < 1:
        raise ConfigError(
            f"{run.folder}: uses a share of the pictures' embeddings (training.label_share), and "
            "transfer draws pictures itself: fit a run with all of them"
        )


def _complete(better: Mapping[TransferKey, list[FloatArray]]) -> dict[TransferKey, FloatArray]:
    """Return what every draw has: one may hold too few shared pictures, and means are paired."""
    draws = {
        (key.row, key.target, key.number): len(each)
        for key, each in better.items()
        if key.way == OWN
    }
    return {
        key: np.array(each)
        for key, each in better.items()
        if len(each) == draws[key.row, key.target, key.number]
    }


def _members(run: Run[BridgeConfig], found: BridgeSessions, row: RowName) -> list[Member]:
    return [
        Member(
            part,
            load_part(part, kind="seed"),
            load_tuned(part),
            part.session.training(found.bank, single_trials=run.config.data.single_trials),
            part.session.pairs.only("train").mean_over_trials(),
            part.session.pairs.only("test").mean_over_trials(),
        )
        for part in parts_of_row(run.config, run.folder, found, row)
    ]


def _assert_unseen(members: Sequence[Member]) -> None:
    """Hold that no test picture was trained on anywhere: the split is one over all recordings."""
    trained = set().union(*(each.train.hashes.tolist() for each in members))
    tested = set().union(*(each.test.hashes.tolist() for each in members))
    assert not trained & tested, "a picture is in training here and in the test there"


def _settings_elsewhere(others: Sequence[Member]) -> Settings:
    """Return the settings that were best on the mean of other recordings' training pictures."""
    tried = [each.tuned.tried for each in others]
    scores = np.mean([[score for _, score in each] for each in tried], axis=0)
    return tried[0][int(np.argmax(scores))][0]


def _compared(
    target: Member,
    others: Sequence[Member],
    chosen: NDArray[np.bool_],
    embeddings: NDArray[np.float32],
    seed: int,
    device: str,
) -> Iterator[tuple[Way, str, Similarity]]:
    """Yield way, source, and the similarity of the target's test responses to test pictures."""
    row, values = ROWS[target.part.row], target.test.values
    samples = target.samples.of_pictures(chosen)
    steps = round(float(np.mean([each.tuned.steps for each in others])))
    settings = _settings_elsewhere(others)
    own = fit_own(row, samples, settings, steps=steps, seed=seed, device=device)
    yield OWN, "", own.similarity(values, embeddings)
    bridges = {each.id: each.bridges[seed % len(each.bridges)] for each in others}
    ways: tuple[tuple[Way, Iterator[tuple[str, Compares]]], ...] = (
        (SHARED, _aligned(target, others, chosen, bridges)),
        (NEW_INPUT, _carried(samples, settings, target, others, bridges, seed, device)),
    )
    for way, found in ways:
        by_source: dict[str, Similarity] = {}
        for source, bridge in found:
            by_source[source] = bridge.similarity(values, embeddings)
            yield way, source, by_source[source]
        if len(by_source) > 1 and ALL_OTHERS not in by_source:
            every = standardised(np.array(list(by_source.values())))
            yield way, ALL_OTHERS, every.mean(axis=0)


def _aligned(
    target: Member,
    others: Sequence[Member],
    chosen: NDArray[np.bool_],
    bridges: Mapping[str, Bridge],
) -> Iterator[tuple[str, Compares]]:
    """Yield bridges of sources that saw some of the pictures, with the target mapped to them."""
    for source in others:
        mine, theirs = _shared(target, source, chosen)
        if len(mine) >= FEWEST_SHARED:
            of_source = source.train.values[theirs]
            yield source.id, align(bridges[source.id], target.train.values[mine], of_source)


def _shared(target: Member, source: Member, chosen: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Return the rows of training pictures that both saw, by their content."""
    drawn = np.flatnonzero(chosen)
    _, mine, theirs = np.intersect1d(
        target.train.hashes[drawn], source.train.hashes, return_indices=True
    )
    return drawn[mine], theirs


def _carried(
    samples: Samples,
    settings: Settings,
    target: Member,
    others: Sequence[Member],
    bridges: Mapping[str, Bridge],
    seed: int,
    device: str,
) -> Iterator[tuple[str, Compares]]:
    """Yield bridges with a new input layer on a source's, or on all of them where they allow it."""
    row = ROWS[target.part.row]
    if isinstance(settings, ContrastiveSettings):
        for source in others:
            if row.name == "Perceiver" and source.area_names != target.area_names:
                continue
            yield (
                source.id,
                fit_on_trunk(
                    row,
                    samples,
                    source.tuned.settings,
                    trunk=bridges[source.id],
                    steps=source.tuned.steps,
                    seed=seed,
                    device=device,
                ),
            )
        return
    for source, bridge in bridges.items():
        yield source, fit_on_views(row, samples, settings, [bridge])
    if len(bridges) > 1:
        yield ALL_OTHERS, fit_on_views(row, samples, settings, list(bridges.values()))


def _left_out(members: Sequence[Member]) -> list[str]:
    """Say what cannot be done between recordings, and why."""
    few, areas = [], []
    pairs = list(itertools.combinations(members, 2))
    for one, other in pairs:
        number = len(np.intersect1d(one.train.hashes, other.train.hashes))
        if number < FEWEST_SHARED:
            few.append(f"{one.id} and {other.id} ({number})")
        if one.part.row == "Perceiver" and one.area_names != other.area_names:
            areas.append(f"{one.id} and {other.id}")
    notes = []
    if few:
        who = "no two recordings have them" if len(few) == len(pairs) else ""
        notes.append(
            f"shared pictures: {FEWEST_SHARED} training pictures that both saw are needed, known "
            f"by their content; {who or 'fewer have ' + ', '.join(few)}"
        )
    if areas:
        notes.append(
            "new input layer: a Perceiver's region tokens are of its areas; others have "
            + ", ".join(areas)
        )
    return notes
