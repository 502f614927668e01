"""The rows of a reconstruction: what is drawn, what is retrieved, and what knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from neurohorizon.configs.bridge_sessions import BridgeSession
from neurohorizon.configs.reconstruction_pictures import RunPictures
from neurohorizon.configs.reconstruction_plan import LowLevel, Prior, Sources
from neurohorizon.configs.reconstruction_starts import Starts
from neurohorizon.configs.run_end_to_end import hear_test
from neurohorizon.evaluation.pictures.references import (
    MEAN,
    RANDOM,
    SAME_CATEGORY,
    blend,
    mean_picture,
    random_training,
    same_category,
)
from neurohorizon.evaluation.pictures.results import ReconstructionRow
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.generators.best_of import Ranking
from neurohorizon.imaging.generators.direct import DirectGenerator
from neurohorizon.imaging.generators.drawn import draw_to_folder, save_picture
from neurohorizon.imaging.generators.generator import Generator, seeds_of, select_embeddings
from neurohorizon.imaging.generators.moved import NUM_CANDIDATES, Move, find_moves
from neurohorizon.imaging.generators.retrieval import RetrievalGenerator
from neurohorizon.imaging.generators.tiny import TinyGenerator
from neurohorizon.imaging.pictures import Pixels
from neurohorizon.imaging.small import stack_pictures
from neurohorizon.imaging.spaces import join_spaces
from neurohorizon.models.pictures.response_head import ResponseHead
from neurohorizon.ops.files import write_json
from neurohorizon.training.generator.flow_prior import fit_flow_prior
from neurohorizon.training.generator.low_level import fit_low_level
from neurohorizon.training.generator.low_level_network import fit_low_level_network
from neurohorizon.training.generator.prior import fit_ridge_prior

Progress = Callable[[str, int, int], None]
Candidate = TypeVar("Candidate")
Drawn = dict[str, list[list[Pixels]]]
"""Pictures of each row, by seed."""
FROM_RESPONSES = ", from responses"
RETRIEVED, NEAREST = "retrieved picture", "mean of the 10 nearest"
START, TRUE_START = "its start", "its start, from true embeddings"
MOVED = "retrieved, moved to what is drawn"
LOW_LEVEL, BLENDED = "low-level path", "blended with the low-level path"
#: Of a row of the best: which of its candidates was chosen for each picture; of drawn ones, a seed.
CHOSEN = "chosen.json"
_LOW_LEVEL_TOLD: dict[LowLevel, str] = {
    "ridge": "ridge regression from responses to pixels",
    "network": "ridge regression and a convolutional decoder, from responses to pixels",
}
TRUE_EMBEDDING, TRUE_PICTURE = "from true embeddings", "true pictures, as small"


@dataclass(frozen=True, eq=False)
class RowDrawer:
    """Draws the rows of a recording.

    Parameters
    ----------
    name : str
        Of the generator.
    generator : Generator
    sources : Sources
    pictures : RunPictures
    starts : Starts
    num_seeds : int
    folder : Path
        Receives what is drawn, by recording.
    prior : {"ridge", "flow", "none"}
    low_level : {"ridge", "network"}
    num_trials : int or None
        Of each test picture; None for all.
    head : ResponseHead or None
        Of a generator that was trained end to end: it reads responses, in place of any prediction.
    ranking : Ranking or None
        Chooses the best of several pictures, in rows of their own.
    """

    name: str
    generator: Generator
    sources: Sources
    pictures: RunPictures
    starts: Starts
    num_seeds: int
    folder: Path
    prior: Prior = "ridge"
    low_level: LowLevel = "ridge"
    num_trials: int | None = None
    head: ResponseHead | None = None
    ranking: Ranking | None = None

    def best(self, row: str) -> str:
        """Return what a row is called whose pictures are the best of several."""
        return f"{row}, best of {1 if self.ranking is None else self.ranking.num}"

    def rows(self) -> list[ReconstructionRow]:
        """Return all rows in the order of the tables."""
        drawn, (begun, oracle) = self.name + FROM_RESPONSES, self.starts.about()
        told = f"what {self.sources.row} predicts" if self.head is None else "responses, end to end"
        return [
            ReconstructionRow(drawn, "generator", f"from {told}{begun}"),
            ReconstructionRow(
                self.best(drawn), "generator", "that whose embedding is most like the predicted one"
            ),
            ReconstructionRow(START, "generator", "what the flow starts at, from responses"),
            ReconstructionRow(LOW_LEVEL, "generator", _LOW_LEVEL_TOLD[self.low_level]),
            ReconstructionRow(BLENDED, "generator", "three quarters drawn, a quarter low-level"),
            ReconstructionRow(
                MOVED, "generator", "of the nearest, moved, the one that fits the blend"
            ),
            ReconstructionRow(
                self.best(MOVED), "generator", "of those that fit, the most like what is predicted"
            ),
            ReconstructionRow(RETRIEVED, "control", "the nearest of the training pictures"),
            ReconstructionRow(NEAREST, "control", "weighted by a softmax of their cosines"),
            ReconstructionRow(SAME_CATEGORY, "control"),
            ReconstructionRow(
                TRUE_EMBEDDING, "oracle", f"what {self.name} can draw at best{oracle}"
            ),
            ReconstructionRow(TRUE_START, "oracle", "what the flow starts at there"),
            ReconstructionRow(TRUE_PICTURE, "oracle", "what its size allows"),
            ReconstructionRow(MEAN, "chance"),
            ReconstructionRow(RANDOM, "chance"),
        ]

    def draw(
        self,
        session: BridgeSession,
        *,
        progress: Progress | None = None,
    ) -> Drawn:
        """Draw what the responses of a recording speak for, beside what does not need them.

        Parameters
        ----------
        session : BridgeSession
        progress : callable, optional

        Returns
        -------
        dict of str to list of list of picture
            By row and seed; but for the row from true embeddings.
        """
        test, train = hashes_of(session, "test"), hashes_of(session, "train")
        recording, row = session.pairs.id, self.name + FROM_RESPONSES
        into = self.folder / recording
        # From the same embedding a direct decoder draws one picture, whatever the seed.
        random = self.prior == "flow" or not isinstance(self.generator, DirectGenerator)
        num_best = 1 if self.ranking is None else self.ranking.num
        num_seeds = max(self.num_seeds, num_best) if random else self.num_seeds
        mapped = self._map(session, test, num_seeds, progress)
        fingerprint = join_spaces(self.sources.predicted[recording, "test"])
        for seed, each in enumerate(mapped):
            told = f"{slug(row)}-{seed}" if len(mapped) > 1 else slug(row)
            EmbeddingBank(each, test, test, fingerprint).save(into / f"{told}.embeddings")
        drawn: Drawn = {}
        small = self.pictures.small
        predicted = self.sources.predicted[recording, "test"][0].select(test)
        for control, num_nearest in ((RETRIEVED, 1), (NEAREST, 10)):
            retrieval = self._retrieval(train, num_nearest)
            drawn[control] = [list(retrieval.generate(predicted, [0] * len(test)))]
        low_level = self._draw_low_level(session, progress)
        drawn[LOW_LEVEL] = [low_level]
        by_seed = draw_to_folder(
            self.generator,
            mapped if len(mapped) > 1 else mapped[0],
            test,
            into / slug(row),
            num_seeds=num_seeds,
            starts_ISS3=self.starts.of_responses(low_level, drawn[RETRIEVED][0]),
            progress=None if progress is None else _named(progress, recording),
        )
        drawn[row] = by_seed[: self.num_seeds]
        if isinstance(self.generator, TinyGenerator) and self.generator.has_start:
            drawn[START] = [list(self.generator.draw_starts(mapped[0]))]
            drawn[TRUE_START] = [list(self.generator.draw_starts(self.true(test)))]
        drawn[BLENDED] = [
            [blend(one, other) for one, other in zip(each, low_level, strict=True)]
            for each in drawn[row]
        ]
        moves = self._moves(train, predicted, drawn[BLENDED][0], num_best)
        drawn[MOVED] = [self._show([each[0] for each in moves])]
        shown = [RETRIEVED, NEAREST, LOW_LEVEL, MOVED]
        if self.ranking is not None:
            best_moved, best_drawn = self.best(MOVED), self.best(row)
            mean = self.sources.true[0].select(train).mean(axis=0)
            candidates: dict[str, Sequence[Sequence[Pixels]]] = {
                best_moved: [[move.show(small[one]) for one, move in each] for each in moves]
            }
            if random:
                candidates[best_drawn] = list(zip(*by_seed[:num_best], strict=True))
            for best, several in candidates.items():
                chosen = self.ranking.choose(several, predicted, mean).tolist()
                write_json(into / slug(best) / CHOSEN, dict(zip(test, chosen, strict=True)))
                if best == best_drawn:
                    drawn[best] = [_take(several, chosen)]
                else:
                    drawn[best] = [self._show(_take(moves, chosen))]
            shown += candidates
        for each in shown:
            (into / slug(each) / "0").mkdir(parents=True, exist_ok=True)
            for one, picture in zip(test, drawn[each][0], strict=True):
                save_picture(picture, into / slug(each) / "0" / f"{one}.png")
        return drawn | self._references(session, train, test)

    def true(self, hashes: Sequence[str]) -> NDArray[np.float32]:
        """Return the true embeddings of some pictures, as the generator reads them."""
        return select_embeddings(self.generator, self.sources.true, hashes)

    def _draw_low_level(self, session: BridgeSession, progress: Progress | None) -> list[Pixels]:
        """Draw the test pictures from responses, without an embedding."""
        trained = session.pairs.only("train").mean_over_trials()
        seen = np.stack([self.pictures.small[one] for one in trained.hashes.tolist()])
        areas = session.pairs.units.area.tolist()
        if self.low_level == "ridge":
            path = fit_low_level(trained.values, seen, areas=areas)
        else:
            told = None if progress is None else _named(progress, f"{session.pairs.id}: low level")
            path = fit_low_level_network(trained.values, seen, areas=areas, progress=told)
        return list(path.draw(session.test_responses(num_trials=self.num_trials).values))

    def _map(
        self,
        session: BridgeSession,
        test: Sequence[str],
        num_seeds: int,
        progress: Progress | None,
    ) -> NDArray[np.float32]:
        """Return what the generator draws from, (1, I, D), or of a flow (num_seeds, I, D)."""
        if self.head is not None:
            return hear_test(self.head, session, num_trials=self.num_trials)[None]
        recording = session.pairs.id
        of_test = self.sources.predicted[recording, "test"]
        predicted = select_embeddings(self.generator, of_test, test)
        if self.prior == "none":
            return predicted[None]
        known = self.sources.predicted[recording, "out_of_fold"]
        hashes = [one for one in known[0].hashes if all(one in bank for bank in known)]
        foretold = select_embeddings(self.generator, known, hashes)
        if self.prior == "ridge":
            return fit_ridge_prior(foretold, self.true(hashes))(predicted)[None]
        told = None if progress is None else _named(progress, f"{recording}: prior")
        prior = fit_flow_prior(foretold, self.true(hashes), progress=told)
        return np.stack([prior(predicted, seeds_of(test, seed)) for seed in range(num_seeds)])

    def _retrieval(self, train: Sequence[str], num_nearest: int) -> RetrievalGenerator:
        return RetrievalGenerator(
            self.sources.true[0],
            train,
            places=self.pictures.places,
            size_px=self.generator.size_px,
            num_nearest=min(num_nearest, len(train)),
        )

    def _moves(
        self,
        train: Sequence[str],
        predicted_ID: NDArray[np.float32],
        blobs: Sequence[Pixels],
        num_best: int,
    ) -> list[list[tuple[str, Move]]]:
        """Return which training pictures fit best, and where they are moved to, best first."""
        small = self.pictures.small
        nearest = self._retrieval(train, NUM_CANDIDATES).nearest(predicted_ID)
        blobs_ISS3 = stack_pictures(blobs, size_px=self.pictures.small_px)
        found = []
        for rows, shares, blob in zip(*nearest, blobs_ISS3, strict=True):
            names = [train[int(each)] for each in rows]
            candidates = np.stack([small[one] for one in names])
            moves = find_moves(candidates, np.log(shares), blob, num_best=num_best)
            found.append([(names[move.row], move) for move in moves])
        return found

    def _show(self, moves: Sequence[tuple[str, Move]]) -> list[Pixels]:
        """Return training pictures where they are moved to, as large as what is drawn."""
        pictures = self.pictures.in_full([one for one, _ in moves])
        return [move.show(each) for each, (_, move) in zip(pictures, moves, strict=True)]

    def _references(
        self, session: BridgeSession, train: Sequence[str], test: Sequence[str]
    ) -> Drawn:
        """Return the rows that know nothing of the response, the category alone, or all."""
        pictures = self.pictures
        other = random_training(len(test), len(train)).tolist()
        mean = mean_picture((pictures.small[one] for one in train), size_px=pictures.small_px)
        rows: Drawn = {
            TRUE_PICTURE: [pictures.in_full(test)],
            MEAN: [[mean] * len(test)],
            RANDOM: [pictures.in_full([train[int(each)] for each in other])],
        }
        pairs = session.pairs
        category = dict(zip(pairs.hashes.tolist(), pairs.category.tolist(), strict=True))
        mine, theirs = [category[one] for one in test], [category[one] for one in train]
        if set(mine) <= set(theirs) - {""}:
            same = same_category(mine, theirs).tolist()
            rows[SAME_CATEGORY] = [pictures.in_full([train[int(each)] for each in same])]
        return rows


def hashes_of(session: BridgeSession, part: str) -> list[str]:
    """Return the pictures of a part of a recording, in order."""
    pairs = session.pairs
    return [one for one, of in zip(pairs.hashes.tolist(), pairs.part, strict=True) if of == part]


def slug(row: str) -> str:
    """Return what a row's folder is called."""
    return row.replace(",", "").replace(" ", "-")


def _take(several: Sequence[Sequence[Candidate]], chosen: Sequence[int]) -> list[Candidate]:
    """Return the one of each that was chosen."""
    return [each[number] for each, number in zip(several, chosen, strict=True)]


def _named(progress: Progress, recording: str) -> Progress:
    return lambda told, done, total: progress(f"{recording}: {told}", done, total)
