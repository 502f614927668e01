"""Draw batches of different pictures, and one response to each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurohorizon.training.bridge.samples import Samples


class PictureDraws:
    """Go through the pictures in a new order every time; of a picture with several rows draw one.

    Parameters
    ----------
    samples : Samples
    size : int
        Of a batch; at most all pictures.
    generator : torch.Generator
        On the CPU.
    """

    def __init__(self, samples: Samples, size: int, generator: torch.Generator) -> None:
        order = np.argsort(samples.picture, kind="stable")
        self.order = torch.from_numpy(order)
        count = np.bincount(samples.picture, minlength=len(samples.embeddings))
        self.count = torch.from_numpy(count)
        self.start = torch.from_numpy(np.cumsum(count) - count)
        self.size = min(size, len(count))
        self.generator = generator
        self.waiting = torch.empty(0, dtype=torch.int64)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return rows of responses and of pictures."""
        if len(self.waiting) < self.size:
            self.waiting = torch.randperm(len(self.count), generator=self.generator)
        picture, self.waiting = self.waiting[: self.size], self.waiting[self.size :]
        chance = torch.rand(len(picture), generator=self.generator)
        place = self.start[picture] + (chance * self.count[picture]).long()
        return self.order[place], picture
