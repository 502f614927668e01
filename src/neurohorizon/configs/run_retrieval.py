"""Score the bridges of a run: retrieval both ways, ceilings, numbers of trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.bridge_sessions import BridgeSession, BridgeSessions
from neurohorizon.configs.records import Run
from neurohorizon.configs.run_bridges import (
    Part,
    bank_of,
    load_part,
    open_finished,
    parts_of,
)
from neurohorizon.evaluation.retrieval.ceilings import (
    has_trials,
    noise_whitening,
    reliability,
    split_half_identification,
)
from neurohorizon.evaluation.retrieval.identification import count_better, hubness_corrected
from neurohorizon.evaluation.retrieval.result_files import (
    RETRIEVAL,
    Places,
    save_places,
    save_retrieval,
)
from neurohorizon.evaluation.retrieval.results import (
    Direction,
    RetrievalCase,
    RetrievalResult,
    RetrievalRow,
)
from neurohorizon.evaluation.retrieval.row_names import CEILING, CORRECTED, TOGETHER
from neurohorizon.evaluation.run_results import RESULTS_FOLDER
from neurohorizon.recordings.schema import FloatArray

Progress = Callable[[str, int, int], None]
TRIAL_DRAWS = 3
ABOUT = {
    TOGETHER: "the mean similarity of all seeds",
    CORRECTED: "each picture's similarity in standard deviations from held-out training responses",
    CEILING: (
        "a response of half of the trials among those of the other half: a lower bound of what all "
        "trials allow"
    ),
}
Better = dict[tuple[str, str, Direction], FloatArray]


@dataclass(frozen=True)
class Scored:
    """What `retrieve_run` computed.

    Parameters
    ----------
    result : RetrievalResult
        From all trials of every test picture.
    by_trials : dict of int to RetrievalResult
        From so many of them.
    """

    result: RetrievalResult
    by_trials: dict[int, RetrievalResult]


def retrieve_run(folder: Path, *, progress: Progress | None = None) -> Scored:
    """Score all bridges of a run, and write ``results/retrieval``.

    Raises
    ------
    CheckpointError, DataError
        If the run is not finished, or its recordings or banks have changed.
    """
    run, found = open_finished(folder)
    cases = [case_of(session) for session in found.sessions]
    better: Better = {}
    by_trials: dict[int, Better] = {}
    parts = list(parts_of(run.config, folder, found))
    places: dict[str, Places] = {}
    for number, part in enumerate(parts):
        _score(part, found, run.config, better, by_trials, places)
        if progress:
            progress("rows scored", number + 1, len(parts))
    for session in found.sessions:
        if has_trials(session.pairs.only("test")):
            better[CEILING, session.pairs.id, "picture"] = _ceiling(session)
    result = RetrievalResult(_title(run), _rows(better), cases, better)
    curves = {
        most: RetrievalResult(f"{_title(run)}, {most} trials", _rows(some), cases, some)
        for most, some in sorted(by_trials.items())
    }
    target = folder / RESULTS_FOLDER / RETRIEVAL
    save_retrieval(result, target, by_trials=curves, reliability=_reliabilities(found))
    save_places(places, target)
    return Scored(result, curves)


def _score(
    part: Part,
    found: BridgeSessions,
    config: BridgeConfig,
    better: Better,
    by_trials: dict[int, Better],
    places: dict[str, Places],
) -> None:
    """Score one row of one recording."""
    pairs, bank = part.session.pairs, bank_of(part, found)
    trials = pairs.only("test")
    test = trials.mean_over_trials()
    embeddings = bank.select(test.hashes.tolist())
    seeds = load_part(part, kind="seed")
    every = np.array([seed.similarity(test.values, embeddings) for seed in seeds])
    _count(better, part.name, pairs.id, every)
    if len(seeds) > 1:
        _count(better, part.name + TOGETHER, pairs.id, standardised(every).mean(axis=0)[None])
    if seeds[0].measure == "cosine":
        held_out = _out_of_fold(part, embeddings)
        corrected = np.array([hubness_corrected(seed, held_out) for seed in every])
        # The other way, it is the same correction: a candidate response has no training twins.
        better[part.name + CORRECTED, pairs.id, "picture"] = _better(corrected)
    places.setdefault(pairs.id, Places(test.hashes, {}, {}))
    places[pairs.id].responses[part.name] = seeds[0].read_responses(test.values).numpy()
    places[pairs.id].pictures[part.name] = seeds[0].read_pictures(embeddings).numpy()
    if not has_trials(trials):
        return
    most = int(trials.trials_per_picture.max())
    generator = np.random.default_rng(0)
    for number in (each for each in config.evaluation.trials if each < most):
        draws = [
            seeds[0].similarity(
                trials.mean_over_trials(most=number, generator=generator).values, embeddings
            )
            for _ in range(TRIAL_DRAWS)
        ]
        _count(by_trials.setdefault(number, {}), part.name, pairs.id, np.array(draws))


def _count(better: Better, row: str, recording: str, similarity_SKI: NDArray[np.floating]) -> None:
    """Count both ways; responses and pictures are in the same order."""
    better[row, recording, "picture"] = _better(similarity_SKI)
    better[row, recording, "response"] = _better(similarity_SKI.transpose(0, 2, 1))


def _better(similarity_SKI: NDArray[np.floating]) -> FloatArray:
    right = np.arange(similarity_SKI.shape[1])
    return np.array([count_better(each, right) for each in similarity_SKI])


def standardised(similarity_SKI: NDArray[np.floating]) -> NDArray[np.floating]:
    """Bring the similarities of all seeds, or of several bridges, to one scale."""
    spread = similarity_SKI.std(axis=(1, 2), keepdims=True)
    return (similarity_SKI - similarity_SKI.mean(axis=(1, 2), keepdims=True)) / spread


def _out_of_fold(part: Part, embeddings: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return the similarity of held-out training responses to the test pictures, (T, I)."""
    pairs = part.session.pairs.only("train").mean_over_trials()
    fold_of = dict(zip(part.session.pairs.hashes, part.session.fold, strict=True))
    fold = np.array([fold_of[one] for one in pairs.hashes])
    return np.concatenate(
        [
            bridge.similarity(pairs.values[fold == number], embeddings)
            for number, bridge in enumerate(load_part(part, kind="fold"))
        ]
    )


def _ceiling(session: BridgeSession) -> FloatArray:
    train = session.pairs.only("train")
    whiten = noise_whitening(train) if has_trials(train) else None
    return split_half_identification(session.pairs.only("test"), whiten=whiten)


def _reliabilities(found: BridgeSessions) -> dict[str, FloatArray]:
    """Return each unit's reliability over the test trials, where there are some."""
    tests = {each.pairs.id: each.pairs.only("test") for each in found.sessions}
    return {name: reliability(pairs) for name, pairs in tests.items() if has_trials(pairs)}


def case_of(session: BridgeSession) -> RetrievalCase:
    """Return what is scored of a recording."""
    test = session.pairs.only("test").mean_over_trials()
    count = session.pairs.only("test").trials_per_picture
    return RetrievalCase(
        recording=session.pairs.id,
        subject=session.pairs.subject,
        num_units=session.pairs.num_units,
        num_training=session.num_training,
        hashes=test.hashes,
        category=test.category,
        trials=np.where(session.pairs.only("test").averaged, 0, count),
        notes=tuple(session.notes),
    )


def _rows(better: Better) -> list[RetrievalRow]:
    """Return the rows in the order in which they were scored."""
    names = dict.fromkeys(row for row, _, _ in better)
    return [
        RetrievalRow(
            name,
            "ceiling" if name == CEILING else "bridge",
            next((about for ending, about in ABOUT.items() if name.endswith(ending)), ""),
        )
        for name in names
    ]


def _title(run: Run[BridgeConfig]) -> str:
    kind = {"stored": "the source's test pictures", "pictures": "pictures at random"}.get(
        run.config.data.split.name, "categories that were not trained on"
    )
    return f"{run.config.run.name}: {kind}"
