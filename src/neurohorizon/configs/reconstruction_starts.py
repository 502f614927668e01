"""Where a diffusion starts: at what the low-level path draws, or at a retrieved picture.

What judges a generator, or shows what it can do at best, tells it true or shuffled embeddings, and
must not be helped by a start that knows more than those do. A start that is retrieved follows the
embedding, true or shuffled. What the low-level path draws follows the responses: from true and
shuffled embeddings the same weights draw from noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.generators.generator import Generator
from neurohorizon.imaging.generators.open import Start
from neurohorizon.imaging.generators.retrieval import RetrievalGenerator
from neurohorizon.imaging.generators.stable_diffusion import StableDiffusionGenerator
from neurohorizon.imaging.pictures import Pixels
from neurohorizon.imaging.small import stack_pictures


@dataclass(frozen=True, eq=False)
class Starts:
    """What a generator starts at, beside each embedding.

    Parameters
    ----------
    kind : {"low-level", "retrieved"}, optional
        None: at noise, or at what it draws itself.
    generator : Generator
    true : EmbeddingBank
        What is retrieved by.
    train : sequence of str
        Training pictures of all recordings.
    places : sequence of Path
        Where pictures are.
    """

    kind: Start | None
    generator: Generator
    true: EmbeddingBank
    train: Sequence[str]
    places: Sequence[Path]

    @cached_property
    def judged(self) -> Generator:
        """The generator that is told true and shuffled embeddings."""
        if self.kind == "low-level" and isinstance(self.generator, StableDiffusionGenerator):
            return self.generator.from_noise()
        return self.generator

    def of_true(self, hashes: Sequence[str]) -> NDArray[np.uint8] | None:
        """Return where the true embeddings of some pictures start, (I, S, S, 3)."""
        if self.kind != "retrieved":
            return None
        return self._retrieval.generate(self.true.select(hashes), [0] * len(hashes))

    def of_responses(
        self, low_level: Sequence[Pixels], retrieved: Sequence[Pixels]
    ) -> NDArray[np.uint8] | None:
        """Return where what responses say starts, of what two rows show, (I, S, S, 3)."""
        if self.kind is None:
            return None
        begun = low_level if self.kind == "low-level" else retrieved
        return stack_pictures(begun, size_px=self.generator.size_px)

    def about(self) -> tuple[str, str]:
        """Return what the table adds about rows from responses, and from true embeddings."""
        if self.kind is None:
            return "", ""
        if self.kind == "low-level":
            return ", started at the low-level path's picture", ", from noise"
        retrieved = ", started at the retrieved picture"
        return retrieved, retrieved

    @cached_property
    def _retrieval(self) -> RetrievalGenerator:
        size_px = self.generator.size_px
        return RetrievalGenerator(self.true, self.train, places=self.places, size_px=size_px)
