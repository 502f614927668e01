"""Who says how good drawn pictures are: networks, and a judge that knows what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.configs.reconstruction_plan import ReconstructionPlan
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.pictures.features import (
    EncoderFeatures,
    FeatureNetwork,
    Features,
    PixelFeatures,
)
from neurohorizon.evaluation.pictures.gate import require_other_network
from neurohorizon.evaluation.pictures.judge import Judge, open_judge
from neurohorizon.evaluation.pictures.scoring import (
    Scores,
    score_features,
    score_judged,
    score_pixels,
)
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.encoders import open_encoder
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.generator import Generator
from neurohorizon.imaging.layout import LayoutEncoder
from neurohorizon.imaging.pictures import Pixels
from neurohorizon.imaging.spaces import spaces_of
from neurohorizon.training.image_encoder.labels import find_world, read_world_labels

#: How often a judge must be right about true pictures to be asked about drawn ones.
LEAST_RIGHT = 0.9


@dataclass(frozen=True, eq=False)
class Judges:
    """What pictures are scored by, beside their pixels.

    Parameters
    ----------
    networks : sequence of FeatureNetwork
        Of different names; the first judges the gate, and none made what is drawn from.
    judge : Judge or None
        Of a drawn world: says what is shown.
    code : mapping of str to (I,) int
        What the test pictures show, in the judge's words, by what is judged.
    """

    networks: Sequence[FeatureNetwork]
    judge: Judge | None
    code: Mapping[str, NDArray[np.int64]]

    @classmethod
    def open(
        cls,
        plan: ReconstructionPlan,
        generator: Generator,
        bank: EmbeddingBank,
        hashes: Sequence[str],
    ) -> Judges:
        """Open all that a plan names, for the test pictures with these hashes.

        Raises
        ------
        ConfigError, DataError, CheckpointError, MissingExtraError
            If one is missing, made what is drawn from, or is named twice.
        """
        judge = None if plan.judge is None else open_judge(plan.judge, device=plan.device)
        networks: list[FeatureNetwork] = [] if judge is None else [judge]
        networks += [open_network(each, device=plan.device) for each in plan.networks]
        networks = networks or [default_network(generator)]
        for number, each in enumerate(networks):
            require_other_network(each.fingerprint, generator.needs)
            if each.name in [before.name for before in networks[:number]]:
                raise ConfigError(f"the network {each.name} is named twice: name it once")
        return cls(networks, judge, labels_of(judge, plan, bank, hashes))

    @property
    def first(self) -> FeatureNetwork:
        """What judges the gate."""
        return self.networks[0]

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        """What makes the features, by the name of the network."""
        return {each.name: each.fingerprint for each in self.networks}

    def see(self, pictures: Sequence[Pixels]) -> list[Features]:
        """Return the features of some pictures, by each network."""
        return [features_of(each, pictures) for each in self.networks]

    def score(
        self,
        by_seed: Sequence[Sequence[Pixels]],
        truth: Sequence[Pixels],
        true_features: Sequence[Features],
        rows: Sequence[int],
    ) -> tuple[Scores, Features]:
        """Score the pictures of one row and recording; return features of the first seed, too.

        Parameters
        ----------
        by_seed : sequence of sequence of picture
        truth : sequence of picture
        true_features : sequence of (Q, D) array
            Of :meth:`see`.
        rows : sequence of int
            Which of the test pictures they are.
        """
        scores = score_pixels(by_seed, truth)
        seen = [self.see(each) for each in by_seed]
        for number, (network, true) in enumerate(zip(self.networks, true_features, strict=True)):
            scores |= score_features([each[number] for each in seen], true, name=network.name)
        if self.judge is not None and self.code:
            judged = [self.judge(each) for each in by_seed]
            scores |= score_judged(judged, {key: of[rows] for key, of in self.code.items()})
        return scores, seen[0][0]

    def notes(self) -> list[str]:
        """Say what the judge is not asked about."""
        known = {} if self.judge is None else self.judge.known_accuracy
        return [
            f"{name} is not scored: the judge is right about {100 * right:.0f} % of true pictures"
            for name, right in known.items()
            if right < LEAST_RIGHT
        ]


def open_network(told: str, *, device: str) -> FeatureNetwork:
    """Open an encoder as a network that sees features: NAME, or NAME=CHECKPOINT.

    Raises
    ------
    ConfigError, DataError, CheckpointError, MissingExtraError
        As :func:`~neurohorizon.imaging.encoders.open_encoder`.
    """
    name, _, checkpoint = told.partition("=")
    here = None if name == LayoutEncoder.name else device
    return EncoderFeatures(open_encoder(name, checkpoint=checkpoint or None, device=here))


def default_network(generator: Generator) -> FeatureNetwork:
    """Return the layout, or pixels where that is drawn from."""
    layout = LayoutEncoder()
    if layout.fingerprint.encoder in [space.encoder for space in spaces_of(generator.needs)]:
        return PixelFeatures()
    return EncoderFeatures(layout)


def features_of(network: FeatureNetwork, pictures: Sequence[Pixels]) -> Features:
    """Return the features of a network's first layer, (Q, D)."""
    return next(iter(network.features(list(pictures)).values()))


def labels_of(
    judge: Judge | None, plan: ReconstructionPlan, bank: EmbeddingBank, hashes: Sequence[str]
) -> dict[str, NDArray[np.int64]]:
    """Return what is true of the pictures, in the judge's words, (I,) by what is judged.

    Raises
    ------
    ConfigError
        If the pictures are not those of a drawn world.
    """
    if judge is None:
        return {}
    world = next(filter(None, map(find_world, plan.places)), None)
    if world is None:
        raise ConfigError(
            "--judge is for the pictures of a drawn world, whose truth says what they show: give "
            "the world's folder as --pictures, or leave the judge out"
        )
    table = read_world_labels(world)
    name_of = dict(zip(bank.hashes, bank.names, strict=True))
    columns = table.of([name_of[one] for one in hashes])
    codes = {}
    for name, column in columns.items():
        if name in judge.words and judge.known_accuracy.get(name, 0.0) >= LEAST_RIGHT:
            where = {word: number for number, word in enumerate(judge.words[name])}
            codes[name] = np.array([where[column.words[each]] for each in column.code])
    return codes
