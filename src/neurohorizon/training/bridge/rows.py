"""The ladder of bridges: from a closed form to networks, each with what can be tuned of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.masked import MaskedModel
from neurohorizon.training.bridge.closed_form import (
    EncodingSettings,
    RidgeSettings,
    WhitenedRidgeSettings,
    fit_encoding,
    fit_ridge,
)
from neurohorizon.training.bridge.contrastive import ContrastiveSettings, fit_contrastive
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.bridge.samples import Samples

Settings = RidgeSettings | EncodingSettings | ContrastiveSettings
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FitWords:
    """How a row is fitted.

    Parameters
    ----------
    held_out : Samples or None
        On which a training is stopped.
    num_steps : int or None
        How long to train where nothing is held out.
    trunk : Bridge or None
        Of a training: a fitted one for other units, of which all but the input layer is kept.
    pretrained : MaskedModel or None
        What a pretrained row starts from.
    seed : int
    device : str
    progress : callable or None
    """

    held_out: Samples | None = None
    num_steps: int | None = None
    trunk: Bridge | None = None
    pretrained: MaskedModel | None = None
    seed: int = 0
    device: str = "cpu"
    progress: Progress | None = None


@dataclass(frozen=True)
class Row:
    """One kind of bridge.

    Parameters
    ----------
    name : str
    start : Settings
        What is tried first.
    trained : bool
        By steps of gradient descent, so that a seed matters.
    """

    name: RowName
    start: Settings
    trained: bool = False

    @property
    def pretrained(self) -> bool:
        """Whether it starts from what masked pretraining learned."""
        return isinstance(self.start, ContrastiveSettings) and self.start.trunk != "untrained"

    def of_sizes(self, pretrained: MaskedModel) -> Row:
        """Return the row with the sizes of a pretrained model, which its own must equal."""
        assert isinstance(self.start, ContrastiveSettings)
        spec = pretrained.spec
        start = replace(
            self.start,
            width=spec.width,
            num_layers=spec.num_layers,
            num_latents=spec.num_latents,
            root=spec.root,
        )
        return replace(self, start=start)

    def candidates(self, budget: int, *, seed: int = 0) -> list[Settings]:
        """Return settings to try: the start, then drawn ones; the first of them always the same.

        Rows that differ in what a Perceiver starts from try the same, as far as both have it.
        """
        name = "Perceiver" if self.pretrained else self.name
        generator = np.random.default_rng([seed, *name.encode()])
        return [self.start, *(self.start.draw(generator) for _ in range(budget - 1))]

    def fit(self, samples: Samples, settings: Settings, words: FitWords) -> tuple[Bridge, int]:
        """Fit a bridge, and say after how many steps it was kept (0 of a closed form)."""
        if isinstance(settings, ContrastiveSettings):
            trained = fit_contrastive(
                samples,
                settings,
                held_out=words.held_out,
                num_steps=words.num_steps,
                trunk=words.trunk,
                pretrained=words.pretrained,
                seed=words.seed,
                device=words.device,
                progress=words.progress,
            )
            return trained.model, trained.steps
        if isinstance(settings, EncodingSettings):
            return fit_encoding(samples, settings), 0
        return fit_ridge(samples, settings), 0


_MLP = ContrastiveSettings(tower="mlp", width=256)
_PERCEIVER = ContrastiveSettings(
    tower="perceiver", width=128, num_layers=2, dropout=0.1, batch_size=256
)

ROWS: dict[RowName, Row] = {
    row.name: row
    for row in (
        Row("ridge", RidgeSettings()),
        Row("whitened ridge", WhitenedRidgeSettings()),
        Row("encoding model", EncodingSettings()),
        Row("linear InfoNCE", ContrastiveSettings(), trained=True),
        Row("MLP InfoNCE", _MLP, trained=True),
        Row("MLP SoftCLIP", replace(_MLP, loss="soft_clip"), trained=True),
        Row("MLP BiMixCo", replace(_MLP, loss="bimixco"), trained=True),
        Row(
            "deep MLP BiMixCo",
            replace(_MLP, loss="bimixco", width=1024, num_layers=2),
            trained=True,
        ),
        Row("temporal attention", replace(_MLP, tower="temporal"), trained=True),
        Row("Perceiver", _PERCEIVER, trained=True),
        Row("Perceiver, pretrained, frozen", replace(_PERCEIVER, trunk="frozen"), trained=True),
        Row("Perceiver, pretrained, gradual", replace(_PERCEIVER, trunk="gradual"), trained=True),
        Row("Perceiver, pretrained", replace(_PERCEIVER, trunk="tuned"), trained=True),
    )
}
"""The ladder, from simple to deep."""
