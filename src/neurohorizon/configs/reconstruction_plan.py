"""What `bridge reconstruct` is asked for, and what pictures are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from neurohorizon.configs.records import load_bridge_run
from neurohorizon.configs.run_embeddings import Predicted, PredictedBank, Reading, predict_rows
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.pictures.reported import (
    REPORTED,
    REPORTED_PICTURES,
    ReportedRow,
    ReportedSet,
)
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.encoders import open_encoder_of
from neurohorizon.imaging.generators.best_of import Ranking
from neurohorizon.imaging.generators.generator import Generator
from neurohorizon.imaging.generators.open import DrawSettings
from neurohorizon.imaging.spaces import bank_in, spaces_of
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.image_encoder.labels import find_world

Progress = Callable[[str, int, int], None]
Prior = Literal["ridge", "flow", "none"]
LowLevel = Literal["ridge", "network"]


@dataclass(frozen=True)
class OtherRun:
    """A second run of bridges, to another space that the generator draws from.

    Parameters
    ----------
    folder : path
        Of bridges to that space, on the same recordings.
    row : str, optional
        Whose embeddings are drawn from; the best by default.
    """

    folder: Path
    row: RowName | None = None


@dataclass(frozen=True)
class ReconstructionPlan:
    """What is drawn, and by whom it is judged.

    Parameters
    ----------
    generator : path
    places : sequence of path
        Folders and archives of the pictures.
    row : str, optional
        Whose embeddings are drawn from; by default the one that explains most of the embeddings
        of held-out training pictures.
    other_runs : sequence of OtherRun
        Of a generator that draws from several spaces.
    num_trials : int, optional
        Of each test picture; all by default.
    prior : {"ridge", "flow", "none"}
        How predictions become embeddings such as pictures have: the nearest, or some that could be
        true, another one from each seed; or as they are, of a generator that learned from such.
    low_level : {"ridge", "network"}
        What draws from responses without an embedding: a regression, or that and a convolutional
        decoder.
    judge : path, optional
        Of a drawn world: says what pictures show, and judges the gate.
    networks : sequence of str
        Image encoders whose features are compared, as NAME or NAME=CHECKPOINT; the first judges
        the gate if there is no judge.
    reported : {"tvsd"}, optional
        Published numbers to stand beside: those on the 100 test pictures of TVSD.
    drawing : DrawSettings
        Of a flow, or of Stable Diffusion.
    num_seeds : int
    best_of : int
        Of so many pictures, the one that agrees most with the response is shown in rows of its
        own; 1 leaves them out.
    checkpoint : path or str, optional
        Of what embedded the pictures of the run's bank, where its name is not enough.
    device : str
    """

    generator: Path
    places: Sequence[Path]
    row: RowName | None = None
    other_runs: Sequence[OtherRun] = ()
    num_trials: int | None = None
    prior: Prior = "ridge"
    low_level: LowLevel = "ridge"
    judge: Path | None = None
    networks: Sequence[str] = ()
    reported: ReportedSet | None = None
    drawing: DrawSettings = field(default_factory=DrawSettings)
    num_seeds: int = 3
    best_of: int = 1
    checkpoint: Path | str | None = None
    device: str = "cpu"

    def reported_rows(self, num_test: Sequence[int]) -> Sequence[ReportedRow]:
        """Return the published rows that may stand beside recordings with so many test pictures.

        Raises
        ------
        ConfigError
            If they are of other pictures.
        """
        if self.reported is None:
            return ()
        drawn = [str(each) for each in self.places if find_world(each) is not None]
        if drawn or set(num_test) != {REPORTED_PICTURES[self.reported]}:
            found = f"drawn ones, of {drawn[0]}" if drawn else f"{max(num_test)} others"
            raise ConfigError(
                f"--reported {self.reported}: those numbers are of "
                f"{REPORTED_PICTURES[self.reported]} test pictures, and these are {found}: leave "
                "it out"
            )
        return REPORTED[self.reported]


def open_ranking(plan: ReconstructionPlan, bank: EmbeddingBank) -> Ranking | None:
    """Return what chooses the best of several pictures; None if it is not asked for.

    Parameters
    ----------
    plan : ReconstructionPlan
    bank : EmbeddingBank
        Of the run.

    Raises
    ------
    ConfigError, DataError, CheckpointError, MissingExtraError
        If the encoder of the bank cannot be opened.
    """
    if plan.best_of < 2:
        if plan.checkpoint is not None:
            raise ConfigError(
                f"{plan.checkpoint}: an encoder chooses the best of several pictures: say of how "
                "many with --best-of, or leave the checkpoint out"
            )
        return None
    encoder = open_encoder_of(bank.fingerprint, checkpoint=plan.checkpoint, device=plan.device)
    return Ranking(encoder, plan.best_of)


def predict_best(
    folder: Path,
    row: RowName | None,
    *,
    num_trials: int | None = None,
    progress: Progress | None = None,
) -> tuple[dict[tuple[str, Predicted], PredictedBank], str]:
    """Return what a row predicts, by regression or by retrieval, and what it is called.

    Parameters
    ----------
    folder : path
        A finished run.
    row : str or None
        None: the one that explains most of the embeddings of held-out training pictures. That
        also chooses between regression and retrieval.
    num_trials : int, optional
        Of each test picture; all by default.
    progress : callable or None

    Returns
    -------
    dict of (str, {"out_of_fold", "test"}) to PredictedBank, str
        By recording and part.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        As :func:`~neurohorizon.configs.run_embeddings.predict_rows`.
    """
    readings = get_args(Reading)
    every = predict_rows(
        folder,
        [row] if row else (),
        readings=readings,
        num_trials=num_trials,
        progress=progress,
    )
    explained: dict[tuple[str, Reading], list[float]] = {}
    for each in every:
        if each.part == "out_of_fold":
            explained.setdefault((each.row, each.reading), []).append(each.score.explained)
    best = max(explained, key=lambda name: float(np.mean(explained[name])))
    chosen = [each for each in every if (each.row, each.reading) == best]
    name = best[0] + (" by retrieval" if best[1] == "retrieval" else "")
    return {(each.recording, each.part): each for each in chosen}, name


@dataclass(frozen=True, eq=False)
class Sources:
    """Embeddings that a generator may be fed with: true ones, and what responses predict.

    Parameters
    ----------
    true : sequence of EmbeddingBank
        One a run.
    predicted : mapping of (str, {"out_of_fold", "test"}) to list of EmbeddingBank
        By recording and part, one a run.
    rows : sequence of str
        Whose predictions they are, one a run.
    """

    true: Sequence[EmbeddingBank]
    predicted: Mapping[tuple[str, Predicted], Sequence[EmbeddingBank]]
    rows: Sequence[str]

    @classmethod
    def of(
        cls, folder: Path, plan: ReconstructionPlan, generator: Generator, progress: Progress | None
    ) -> Sources:
        """Predict embeddings by the bridges of all runs.

        Raises
        ------
        ConfigError, DataError, CheckpointError
            If a run is not finished, is of other recordings, or of a space that the generator does
            not draw from, or no run is of one that it does.
        """
        runs = [OtherRun(folder, plan.row), *plan.other_runs]
        true = [EmbeddingBank.load(load_bridge_run(run.folder).config.data.bank) for run in runs]
        wanted = spaces_of(generator.needs)
        for space in wanted:
            bank_in(space, true, what=f"the generator {plan.generator}")
        if len(runs) > len(wanted):
            raise ConfigError(
                f"{plan.generator}: draws from {len(wanted)} of the spaces of {len(runs)} runs: "
                "leave the others out"
            )
        found = [
            predict_best(run.folder, run.row, num_trials=plan.num_trials, progress=progress)
            for run in runs
        ]
        for run, (of_run, _) in zip(runs, found, strict=True):
            if of_run.keys() != found[0][0].keys():
                raise ConfigError(
                    f"{run.folder}: is of other recordings than {folder}: fit bridges to the same"
                )
        predicted = {part: [of_run[part].bank for of_run, _ in found] for part in found[0][0]}
        return cls(true, predicted, [row for _, row in found])

    @property
    def row(self) -> str:
        """What drawn pictures are called after: the rows that predicted."""
        return " and ".join(dict.fromkeys(self.rows))
