"""Bridges that are trained: contrastive losses, augmentation, early stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurohorizon.evaluation.retrieval.identification import count_better, identified
from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.masked import MaskedModel
from neurohorizon.models.bridge.new_input import with_new_input
from neurohorizon.models.bridge.perceiver import PerceiverTower
from neurohorizon.models.bridge.towers import TowerKind, TowerSpec
from neurohorizon.nn.contrastive import Temperature, info_nce, mix_responses, soft_clip, towards
from neurohorizon.training.bridge.draws import PictureDraws
from neurohorizon.training.bridge.loop import Descended, Progress, descend, weight_groups
from neurohorizon.training.bridge.samples import Samples

Loss = Literal["info_nce", "soft_clip", "bimixco"]
Trunk = Literal["untrained", "frozen", "gradual", "tuned"]
GALLERY = 100
#: Responses that the second head is solved from, at least; each is read several times if need be.
REGRESSION_ROWS = 8192


@dataclass(frozen=True)
class ContrastiveSettings:
    """Of a contrastive bridge.

    Parameters
    ----------
    tower : {"linear", "mlp", "temporal", "perceiver"}
        From responses; "temporal" wants time bins.
    num_components, whitening, root
        Of the pictures' space and the responses, as of ridge.
    project : bool
        Learn a linear map of the pictures' space too; else responses are brought to it as it is.
    num_dimensions : int
        Of the common space, with `project`.
    width, num_layers, dropout
        Of the tower.
    num_latents, num_queries : int
        Of a Perceiver.
    recompute : bool
        Whether a Perceiver keeps no activations.
    trunk : {"untrained", "frozen", "gradual", "tuned"}
        What a Perceiver's trunk is at the start, and what becomes of it: it starts untrained; or
        pretrained, and remains as it is; or is tuned as well, part by part from the top; or all of
        it from the first step.
    trunk_share : float
        Learning rate of a pretrained trunk over that of the rest.
    thaw_every : int
        Steps after which one more part is tuned, with "gradual".
    loss : {"info_nce", "soft_clip", "bimixco"}
    smoothing : float
        Of the labels, with InfoNCE.
    noise, unit_dropout : float
        Of the responses in training: standard deviation of what is added, and share of units that
        are set to their mean.
    learning_rate, weight_decay : float
    batch_size : int
        Pictures; at most all of them.
    max_steps : int
    patience : int
        Checks without gain after which training stops; a check every 20 steps.
    ema_decay : float
        Of the average of the weights, which is what is kept.
    """

    tower: TowerKind = "linear"
    num_components: int = 80
    whitening: float = 0.5
    root: bool = False
    project: bool = False
    num_dimensions: int = 64
    width: int = 512
    num_layers: int = 1
    dropout: float = 0.3
    num_latents: int = 2
    num_queries: int = 8
    recompute: bool = False
    trunk: Trunk = "untrained"
    trunk_share: float = 0.3
    thaw_every: int = 40
    loss: Loss = "info_nce"
    smoothing: float = 0.0
    noise: float = 0.3
    unit_dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    batch_size: int = 512
    max_steps: int = 1000
    patience: int = 10
    ema_decay: float = 0.98
    check_every: int = 20

    def draw(self, generator: np.random.Generator) -> ContrastiveSettings:
        """Draw settings to try, of the same tower and loss; of a pretrained trunk all remains."""
        # A Perceiver's sizes are the user's, and a linear tower has none.
        narrow = self.tower in ("mlp", "temporal")
        drawn = replace(
            self,
            num_components=int(generator.choice((40, 80, 160, 320))),
            whitening=float(generator.uniform(0, 1)),
            root=bool(generator.integers(2)),
            project=bool(generator.integers(2)),
            dropout=float(generator.choice((0.1, 0.3, 0.5))),
            width=int(self.width * generator.choice((0.5, 1, 2))) if narrow else self.width,
            noise=float(generator.uniform(0, 1)),
            unit_dropout=float(generator.uniform(0, 0.4)),
            learning_rate=float(10 ** generator.uniform(-3.3, -2.3)),
            weight_decay=float(10 ** generator.uniform(-2, 0)),
        )
        if self.trunk == "untrained":
            return drawn
        # Drawn apart, so that what is drawn next is what a row without a trunk draws.
        apart = generator.spawn(1)[0]
        share = float(10 ** apart.uniform(-1.5, 0)) if self.trunk != "frozen" else 1.0
        return replace(drawn, width=self.width, root=self.root, trunk_share=share)


def fit_contrastive(
    samples: Samples,
    settings: ContrastiveSettings,
    *,
    held_out: Samples | None = None,
    num_steps: int | None = None,
    trunk: Bridge | None = None,
    pretrained: MaskedModel | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Descended[Bridge]:
    """Train a bridge.

    Parameters
    ----------
    samples : Samples
        Of a picture with several rows, one is drawn every time.
    settings : ContrastiveSettings
    held_out : Samples, optional
        Scored every few steps; training stops when they gain no more, and the best weights are
        kept.
    num_steps : int, optional
        Without `held_out`: how long to train.
    trunk : Bridge, optional
        A fitted one for other units, of the same settings: only a new input layer is trained.
    pretrained : MaskedModel, optional
        Whose trunk and scale of responses a pretrained Perceiver starts from.
    seed : int
    device : str
    progress : callable, optional
        Called with steps done, and steps at most.

    Raises
    ------
    ConfigError
        If the tower and the responses do not fit.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    if trunk is None:
        bridge = make_bridge(samples, settings, pretrained=pretrained)
    else:
        bridge = _on_trunk(trunk, samples)
    bridge.to(device)
    temperature = Temperature().to(device)
    responses = bridge.scale.read(samples.values).to(device)
    places = bridge.space.read(samples.embeddings).to(device)
    draws = PictureDraws(samples, settings.batch_size, generator)

    def loss() -> Tensor:
        row, picture = draws()
        return _loss(bridge, temperature, responses[row], places[picture], settings, generator)

    done = descend(
        bridge,
        _optimizer(bridge, temperature, settings),
        loss,
        pace=settings,
        num_steps=settings.max_steps if num_steps is None else num_steps,
        score=None if held_out is None else partial(identification_score, samples=held_out),
        before_step=partial(_thaw, bridge.neural, settings),
        progress=progress,
    )
    shown = torch.from_numpy(samples.picture)
    _fit_regression(done.model.to(device), responses, places[shown], settings, generator)
    done.model.cpu()
    return done


def _thaw(tower: torch.nn.Module, settings: ContrastiveSettings, step: int) -> None:
    """Hold those parts of a pretrained trunk that are not tuned yet; what is held drops nothing."""
    if settings.trunk in ("untrained", "tuned"):
        return
    assert isinstance(tower, PerceiverTower)
    thawed = (step - 1) // settings.thaw_every if settings.trunk == "gradual" else 0
    for number, part in enumerate(reversed(tower.trunk.parts())):
        part.requires_grad_(number < thawed)
        part.train(number < thawed)


def identification_score(bridge: Bridge, samples: Samples) -> float:
    """Return what settings are chosen by: the mean of top 1 and top 5 out of 100 pictures."""
    device = bridge.scale.mean.device
    similarity = bridge.cpu().similarity(samples.values, samples.embeddings)
    bridge.to(device)
    num = len(samples.embeddings)
    better = count_better(similarity, samples.picture)
    gallery = min(GALLERY, num)
    found = [
        identified(better, num_candidates=num, gallery=gallery, first=first).mean()
        for first in (1, min(5, gallery - 1))
    ]
    return float(np.mean(found))


def make_bridge(
    samples: Samples, settings: ContrastiveSettings, *, pretrained: MaskedModel | None = None
) -> Bridge:
    """Make an untrained bridge whose inputs are scaled by the samples, or one with a trained trunk.

    Raises
    ------
    ConfigError
        If a temporal tower is asked for and there are no bins.
    """
    num_components = min(settings.num_components, *samples.embeddings.shape)
    num_outputs = settings.num_dimensions if settings.project else num_components
    bridge = Bridge(
        num_dimensions=samples.embeddings.shape[1],
        num_components=num_components,
        whitening=settings.whitening,
        root=settings.root,
        neural=TowerSpec(
            settings.tower,
            samples.values.shape[1:],
            num_outputs,
            width=settings.width,
            num_layers=settings.num_layers,
            dropout=settings.dropout,
            areas=samples.areas if settings.tower == "perceiver" else (),
            num_latents=settings.num_latents,
            num_queries=settings.num_queries,
            recompute=settings.recompute,
        ),
        image=TowerSpec("linear", (num_components,), num_outputs) if settings.project else None,
        regression=True,
    )
    bridge.space.fit(samples.embeddings)
    if settings.trunk == "untrained":
        bridge.scale.fit(samples.for_scale)
        return bridge
    assert pretrained is not None
    assert pretrained.spec.root == settings.root
    assert isinstance(bridge.neural, PerceiverTower)
    bridge.scale.load_state_dict(pretrained.scale.state_dict())
    bridge.neural.trunk.take(pretrained)
    return bridge


def _on_trunk(trunk: Bridge, samples: Samples) -> Bridge:
    """Make a bridge with a new input layer, whose inputs are scaled by the samples."""
    bridge = with_new_input(trunk, samples.values.shape[1:], samples.areas)
    bridge.scale.fit(samples.values)
    return bridge


def _loss(
    bridge: Bridge,
    temperature: Temperature,
    responses: Tensor,
    places: Tensor,
    settings: ContrastiveSettings,
    generator: torch.Generator,
) -> Tensor:
    target = None
    if settings.loss == "bimixco":
        responses, target = mix_responses(
            responses,
            generator=np.random.default_rng(int(torch.randint(2**31, (), generator=generator))),
        )
    responses = _augmented(responses, settings, generator)
    image = bridge.image(places)
    neural = functional.normalize(bridge.neural(responses), dim=1)
    logits = temperature() * neural @ functional.normalize(image, dim=1).T
    if target is not None:
        return towards(logits, target)
    if settings.loss == "soft_clip":
        return soft_clip(logits, image)
    return info_nce(logits, smoothing=settings.smoothing)


def _augmented(
    responses: Tensor, settings: ContrastiveSettings, generator: torch.Generator
) -> Tensor:
    if settings.noise:
        noise = torch.randn(responses.shape, generator=generator)
        responses = responses + settings.noise * noise.to(responses)
    if settings.unit_dropout:
        kept = torch.rand(responses.shape[:2], generator=generator) >= settings.unit_dropout
        responses = responses * kept.to(responses).reshape(
            *responses.shape[:2], *([1] * (responses.ndim - 2))
        )
    return responses


@torch.no_grad()
def _fit_regression(
    bridge: Bridge,
    responses: Tensor,
    places: Tensor,
    settings: ContrastiveSettings,
    generator: torch.Generator,
) -> None:
    """Solve the second head: ridge regression from the hidden layer to the pictures' space.

    The hidden layer is read as in training, with noise and dropout. It fits training pictures
    better than others, and a regression from it as it is would trust it too much.
    """
    assert bridge.regression is not None
    bridge.train()
    width, device = bridge.neural.num_hidden, responses.device
    gram = torch.zeros(width + 1, width + 1, dtype=torch.float64, device=device)
    moment = torch.zeros(width + 1, places.shape[1], dtype=torch.float64, device=device)
    passes = math.ceil(REGRESSION_ROWS / len(responses))
    for _ in range(passes):
        for some, theirs in zip(
            responses.split(settings.batch_size), places.split(settings.batch_size), strict=True
        ):
            hidden = bridge.neural.hidden(_augmented(some, settings, generator)).double()
            hidden = functional.pad(hidden, (0, 1), value=1.0)
            gram += hidden.T @ hidden
            moment += hidden.T @ theirs.double()
    # Next to nothing, so that a unit that is always silent leaves the system solvable.
    gram.diagonal()[:-1] += 1e-4 * gram.diagonal()[:-1].mean()
    weight = torch.linalg.solve(gram, moment).T
    bridge.regression.weight.copy_(weight[:, :-1])
    bridge.regression.bias.copy_(weight[:, -1])
    bridge.eval()


def _optimizer(
    bridge: Bridge, temperature: Temperature, settings: ContrastiveSettings
) -> torch.optim.Optimizer:
    pretrained: list[torch.nn.Parameter] = []
    if settings.trunk != "untrained":
        assert isinstance(bridge.neural, PerceiverTower)
        pretrained = [each for part in bridge.neural.trunk.parts() for each in part.parameters()]
    apart = {id(each) for each in pretrained}
    # Of a bridge on another one's trunk, what is kept wants no gradient, ever.
    fixed = {id(each) for each in bridge.parameters() if not each.requires_grad}
    every = [*bridge.parameters(), *temperature.parameters()]
    rest = [each for each in every if id(each) not in apart | fixed]
    groups = [
        *weight_groups(rest, settings.weight_decay),
        *weight_groups(pretrained, settings.weight_decay, share=settings.trunk_share),
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate)
