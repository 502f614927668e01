"""What `bridge reconstruct` is asked for, and what pictures are drawn from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.configs.records import load_bridge_run
from neurohorizon.configs.run_embeddings import Predicted, PredictedBank, predict_rows
from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.direct import DirectGenerator
from neurohorizon.imaging.generators.generator import Generator, select_embeddings
from neurohorizon.imaging.generators.tiny import TinyGenerator
from neurohorizon.models.pictures.sampling import Sampling
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.generator.prior import fit_ridge_prior
from neurohorizon.training.image_encoder.made import MADE_BY

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Start:
    """Where a flow's starts come from: a direct decoder, fed by another run.

    Parameters
    ----------
    decoder : path
        That the flow was trained with.
    run : path
        A run of bridges to the space that the decoder draws from, on the same recordings.
    row : str, optional
        Of that run; the best by default.
    """

    decoder: Path
    run: Path
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
    start : Start, optional
    judge : path, optional
        Of a drawn world: says what pictures show, and judges the gate.
    sampling : Sampling, optional
        Of a flow.
    num_seeds : int
    device : str
    """

    generator: Path
    places: Sequence[Path]
    row: RowName | None = None
    start: Start | None = None
    judge: Path | None = None
    sampling: Sampling | None = None
    num_seeds: int = 3
    device: str = "cpu"


def predict_best(
    folder: Path, row: RowName | None, progress: Progress | None
) -> tuple[dict[tuple[str, Predicted], PredictedBank], str]:
    """Return what a row predicts, by recording and part, and its name.

    Parameters
    ----------
    folder : path
        A finished run.
    row : str or None
        None: the one that explains most of the embeddings of held-out training pictures.
    progress : callable or None

    Raises
    ------
    ConfigError, DataError, CheckpointError
        As :func:`~neurohorizon.configs.run_embeddings.predict_rows`.
    """
    every = predict_rows(folder, [row] if row else (), progress=progress)
    explained: dict[str, list[float]] = {}
    for each in every:
        if each.part == "out_of_fold":
            explained.setdefault(each.row, []).append(each.score.explained)
    best = max(explained, key=lambda name: float(np.mean(explained[name])))
    return {(each.recording, each.part): each for each in every if each.row == best}, best


class Starts:
    """Draws what a flow starts at: nothing, or a direct decoder's pictures."""

    def __init__(
        self,
        decoder: DirectGenerator | None = None,
        bank: EmbeddingBank | None = None,
        predicted: Mapping[str, EmbeddingBank] | None = None,
    ) -> None:
        self.decoder, self.bank, self.of_recording = decoder, bank, predicted or {}

    @classmethod
    def of(cls, plan: ReconstructionPlan, generator: Generator) -> Starts:
        """Open the decoder and what it is fed with.

        Raises
        ------
        ConfigError
            If starts are wanted and not given, or given and not wanted.
        """
        if plan.start is None:
            if generator.needs_starts:
                raise ConfigError(
                    f"{plan.generator}: starts at pictures of a direct decoder: name it (--start) "
                    "and the run that feeds it (--start-run)"
                )
            return cls()
        if not generator.needs_starts:
            raise ConfigError(f"{plan.generator}: starts at no picture: leave --start out")
        decoder = DirectGenerator(plan.start.decoder, device=plan.device)
        _require_its_decoder(generator, decoder, plan)
        predicted, _ = predict_best(plan.start.run, plan.start.row, None)
        bank = EmbeddingBank.load(load_bridge_run(plan.start.run).config.data.bank)
        of_test = {key[0]: each.bank for key, each in predicted.items() if key[1] == "test"}
        folds = {key[0]: each.bank for key, each in predicted.items() if key[1] == "out_of_fold"}
        mapped = {}
        for recording, each in of_test.items():
            prior = fit_ridge_prior(
                folds[recording].embeddings,
                bank.select(folds[recording].hashes),
                keep_spread=False,
            )
            mapped[recording] = replace(each, embeddings=prior(each.embeddings))
        return cls(decoder, bank, mapped)

    def true(self, hashes: Sequence[str]) -> NDArray[np.uint8] | None:
        """Return starts from true embeddings."""
        return self._draw(self.bank, hashes)

    def predicted(self, recording: str, hashes: Sequence[str]) -> NDArray[np.uint8] | None:
        """Return starts from what responses predict."""
        if self.decoder is None:
            return None
        if recording not in self.of_recording:
            raise ConfigError(
                f"--start-run has no recording {recording}: fit bridges to the same recordings"
            )
        return self._draw(self.of_recording[recording], hashes)

    def _draw(self, bank: EmbeddingBank | None, hashes: Sequence[str]) -> NDArray[np.uint8] | None:
        if self.decoder is None or bank is None:
            return None
        embeddings = select_embeddings(self.decoder, bank, hashes)
        return self.decoder.generate(embeddings, [0] * len(hashes))


def _require_its_decoder(
    generator: Generator, decoder: DirectGenerator, plan: ReconstructionPlan
) -> None:
    """Refuse a decoder whose pictures the flow did not learn to start at."""
    assert plan.start is not None
    assert isinstance(generator, TinyGenerator)
    try:
        made_by = json.loads(generator.about[MADE_BY])
        trained_with = Fingerprint.from_json(made_by["start"]["decoder"])
    except (KeyError, TypeError, ValueError, DataError) as error:
        raise CheckpointError(
            f"{plan.generator}: does not say at whose pictures it starts: train it again"
        ) from error
    if trained_with.weights != decoder.fingerprint.weights:
        raise ConfigError(
            f"{plan.start.decoder}: is not the direct decoder that {plan.generator} was trained "
            "with: give that one"
        )
