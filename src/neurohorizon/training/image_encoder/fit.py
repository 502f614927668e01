"""Fitting the small encoder: to labels of the pictures, or contrastively without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.small import SmallNetwork
from neurohorizon.nn.contrastive import Temperature, info_nce
from neurohorizon.training.image_encoder.augment import Augmentation
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress, train

UNKNOWN = -1
FOR_LABELS = Augmentation(least_area=0.85, flip=True, light=0.08)
FOR_CONTRAST = Augmentation(least_area=0.4, flip=True, light=0.3, colour=0.04, soft=0.2)


@dataclass(frozen=True)
class LabelColumn:
    """One thing that pictures are labelled with.

    Parameters
    ----------
    words : tuple of str
        What it can be.
    code : (n,) int
        Row of `words` of each picture; -1 where nobody knows.
    """

    words: tuple[str, ...]
    code: NDArray[np.int64]


@dataclass(frozen=True)
class Fitted:
    """An encoder that was trained.

    Parameters
    ----------
    network : SmallNetwork
        On the CPU, in evaluation mode.
    curve : list of (step, loss)
    """

    network: SmallNetwork
    curve: list[tuple[int, float]]


class _WithHeads(nn.Module):
    """The encoder and a linear classifier of each label, which is thrown away afterwards."""

    def __init__(self, network: SmallNetwork, num_words: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList(nn.Linear(network.num_dimensions, num) for num in num_words)


class _WithTemperature(nn.Module):
    """The encoder and the temperature of its contrastive loss."""

    def __init__(self, network: SmallNetwork) -> None:
        super().__init__()
        self.network = network
        self.temperature = Temperature(start=5.0)


def fit_to_labels(
    pixels: Tensor,
    labels: Mapping[str, LabelColumn],
    *,
    settings: LoopSettings,
    augmentation: Augmentation = FOR_LABELS,
    network: SmallNetwork | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train an encoder whose embedding tells apart what labels tell apart.

    Parameters
    ----------
    pixels : (n, 3, S, S) Tensor of uint8
    labels : mapping of str to LabelColumn
        The losses (cross entropy of linear heads) are added, each with the same weight.
    settings : LoopSettings
    augmentation : Augmentation
    network : SmallNetwork, optional
        Untrained; one of the pictures' size by default.
    progress : callable, optional
        Called with ("train", steps done, steps in all).

    Raises
    ------
    ConfigError
        If there are fewer than two pictures, or a label says nothing.
    """
    _require_enough(pixels)
    for name, column in labels.items():
        known = column.code[column.code != UNKNOWN]
        if len(np.unique(known)) < 2:
            raise ConfigError(f"label {name}: the same for every picture; leave it out")
    if not labels:
        raise ConfigError("no labels: name some, or train without (contrastively)")
    torch.manual_seed(settings.seed)
    network = network or SmallNetwork(size_px=pixels.shape[-1])
    model = _WithHeads(network, [len(column.words) for column in labels.values()])
    codes = torch.from_numpy(np.stack([column.code for column in labels.values()]))
    views = _Views(pixels, augmentation, settings)

    def loss_of(model: _WithHeads, rows: Tensor) -> Tensor:
        embedding = model.network(views(rows))
        wanted = codes[:, rows].to(settings.device)
        losses = [
            functional.cross_entropy(head(embedding).float(), code, ignore_index=UNKNOWN)
            for head, code in zip(model.heads, wanted, strict=True)
            if bool((code != UNKNOWN).any())
        ]
        return torch.stack(losses).sum() if losses else 0.0 * embedding.sum()

    fitted, curve = train(
        model.to(settings.device).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        loss_of,
        num_pictures=len(pixels),
        settings=settings,
        progress=progress,
    )
    return Fitted(fitted.network, curve)


def fit_contrastively(
    pixels: Tensor,
    *,
    settings: LoopSettings,
    augmentation: Augmentation = FOR_CONTRAST,
    network: SmallNetwork | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train an encoder that knows two views of one picture among the views of others.

    Parameters
    ----------
    pixels, settings, augmentation, network, progress
        As of :func:`fit_to_labels`. Without augmentation there is nothing to learn.

    Raises
    ------
    ConfigError
        If there are fewer than two pictures, or the views do not differ.

    References
    ----------
    Chen et al. 2020, "A simple framework for contrastive learning of visual representations".
    Here a pair is told from the other pictures' views of the other kind only, symmetrically.
    """
    _require_enough(pixels)
    if augmentation == Augmentation():
        raise ConfigError("no augmentation: two views of a picture would be the same picture")
    torch.manual_seed(settings.seed)
    model = _WithTemperature(network or SmallNetwork(size_px=pixels.shape[-1]))
    views = _Views(pixels, augmentation, settings)

    def loss_of(model: _WithTemperature, rows: Tensor) -> Tensor:
        both = model.network(torch.cat([views(rows), views(rows)])).float()
        one, other = functional.normalize(both, dim=1).chunk(2)
        return info_nce(model.temperature() * one @ other.T)

    fitted, curve = train(
        model.to(settings.device).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        loss_of,
        num_pictures=len(pixels),
        settings=settings,
        progress=progress,
    )
    return Fitted(fitted.network, curve)


def _require_enough(pixels: Tensor) -> None:
    """Refuse to train on fewer than two pictures."""
    if len(pixels) < 2:
        raise ConfigError(f"{len(pixels)} pictures to train on: expected 2 or more")


class _Views:
    """Rows of pictures as the network sees them in training."""

    def __init__(self, pixels: Tensor, augmentation: Augmentation, settings: LoopSettings) -> None:
        self.pixels = pixels
        self.augmentation = augmentation
        self.device = settings.device
        self.generator = torch.Generator().manual_seed(settings.seed + 1)

    def __call__(self, rows: Tensor) -> Tensor:
        pictures = self.pixels[rows].to(self.device).float() / 255
        # In full precision: a grid in bfloat16 would be off by a quarter of a pixel.
        with torch.autocast(pictures.device.type, enabled=False):
            return self.augmentation(pictures, self.generator)
