"""A bridge: two towers that take responses and pictures to one space, where they are compared."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import ConfigError
from neurohorizon.models.bridge.inputs import ResponseScale, TargetSpace
from neurohorizon.models.bridge.tower import Tower
from neurohorizon.models.bridge.towers import TowerSpec

Measure = Literal["cosine", "likelihood"]
CHUNK = 4096


class Bridge(nn.Module):
    """Say how similar a response is to a picture.

    Shapes: K responses of N units (and B time bins), I pictures with embeddings of D numbers.

    Parameters
    ----------
    num_dimensions : int
        D.
    num_components : int
        k, of the pictures' space.
    whitening : float
        Of the pictures' space.
    root : bool
        Take the square root of the responses.
    neural : TowerSpec
        From standardised responses, (N,) or (N, B), to d numbers.
    image : TowerSpec or None
        From the pictures' space, (k,), to d numbers; None where that space is the common one.
    measure : {"cosine", "likelihood"}
        Similarity in the space of d dimensions: the cosine, or the logarithm of how much more
        likely the response is under the picture than under any, both normal (up to a constant):
        minus half of the squared distance, plus half of the response's own by `marginal`.
    regression : bool
        Whether a second head reads the neural tower's hidden layer and says where in the pictures'
        space the picture lies. What a contrastive head says is like the right picture and unlike
        others, and not where any picture lies.

    Raises
    ------
    ConfigError
        If the towers do not meet.
    """

    marginal: Tensor

    def __init__(
        self,
        *,
        num_dimensions: int,
        num_components: int,
        whitening: float,
        root: bool,
        neural: TowerSpec,
        image: TowerSpec | None,
        measure: Measure = "cosine",
        regression: bool = False,
    ) -> None:
        super().__init__()
        self.neural_spec, self.image_spec = neural, image
        self.measure: Measure = measure
        self.scale = ResponseScale(neural.shape, root=root)
        self.space = TargetSpace(num_dimensions, num_components, whitening=whitening)
        self.neural = neural.build()
        self.image = nn.Identity() if image is None else image.build()
        self.regression = nn.Linear(self.neural.num_hidden, num_components) if regression else None
        if measure == "likelihood":
            # The precision of responses over all pictures, (d, d).
            self.register_buffer("marginal", torch.zeros(neural.num_outputs, neural.num_outputs))
        there = num_components if image is None else image.num_outputs
        if neural.num_outputs != there or (image is not None and image.shape != (num_components,)):
            raise ConfigError(
                f"responses go to {neural.num_outputs} dimensions, pictures to {there}: no "
                "common space"
            )

    @torch.no_grad()
    def read_responses(self, values: NDArray[np.floating]) -> Tensor:
        """Take responses, (K, N[, B]), to the common space, (K, d)."""
        parts = [
            self.neural(self.scale.read(values[first : first + CHUNK]))
            for first in range(0, len(values), CHUNK)
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def read_pictures(self, embeddings: NDArray[np.floating]) -> Tensor:
        """Take embeddings of pictures, (I, D), to the common space, (I, d)."""
        return self.image(self.space.read(embeddings))

    @torch.no_grad()
    def predict(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        r"""Return the embeddings that responses speak for, (K, D).

        Notes
        -----
        From the regression head; where the pictures' space is the common one, from the neural
        tower. By a likelihood it is the mean of the posterior under a normal prior with the
        components' variances S: :math:`(B^\top B + S^{-1})^{-1} B^\top x` for a whitened response
        x with the mean :math:`B y` under picture y.

        Raises
        ------
        ConfigError
            If the bridge can only compare.
        """
        parts = []
        for first in range(0, len(values), CHUNK):
            read = self.scale.read(values[first : first + CHUNK])
            if self.regression is not None:
                parts.append(self.regression(self.neural.hidden(read)))
            elif self.measure == "likelihood":
                parts.append(self._posterior_mean(self.neural(read)))
            elif self.image_spec is None:
                parts.append(self.neural(read))
            else:
                raise ConfigError("this bridge has no regression head: it compares, and no more")
        return self.space.embeddings(torch.cat(parts)).numpy()

    def _posterior_mean(self, neural_Kd: Tensor) -> Tensor:
        assert isinstance(self.image, Tower)
        weight_dk = self.image.to_space.weight.double()
        precision_kk = weight_dk.T @ weight_dk + torch.diag(1 / self.space.variance.double())
        evidence_kK = weight_dk.T @ neural_Kd.double().T
        return torch.linalg.solve(precision_kk, evidence_kK).T.to(neural_Kd)

    def similarity(
        self, values: NDArray[np.floating], embeddings: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return the similarity of every response to every picture, (K, I)."""
        return self.compare(self.read_responses(values), self.read_pictures(embeddings)).numpy()

    def compare(self, neural_KD: Tensor, image_ID: Tensor) -> Tensor:
        """Return the similarity of places in the common space, (K, I)."""
        if self.measure == "cosine":
            return functional.normalize(neural_KD, dim=1) @ functional.normalize(image_ID, dim=1).T
        own_K1 = (neural_KD @ self.marginal * neural_KD - neural_KD.square()).sum(1, keepdim=True)
        return neural_KD @ image_ID.T + (own_K1 - image_ID.square().sum(dim=1)) / 2
