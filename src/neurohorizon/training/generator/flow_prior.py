"""A flow from predicted embeddings to embeddings as pictures have them: one of many, not the mean.

What a response leaves open has many answers, and their mean is none of them: fed with it, a
generator draws a blur. The flow draws embeddings that could be true, another one from each seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.models.pictures.vector_flow import VectorFlow
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.generator.prior import LEAST_SPREAD, RidgePrior, fit_ridge_prior
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress, train

NUM_COMPONENTS = 192
SETTINGS = LoopSettings(steps=400, batch_size=256, learning_rate=1e-3, weight_decay=0.01)
STEPS = 16
#: Times nearer to the end weigh as this one.
_LEAST_TIME_LEFT = 0.3


@dataclass(frozen=True, eq=False)
class FlowPrior:
    """Draws embeddings that could be true of a prediction.

    Parameters
    ----------
    network : VectorFlow
        Of principal components of true embeddings, each with a spread of 1.
    ridge : RidgePrior
        From predictions to the mean of what could be true.
    centre : (D,) array
        Of the true embeddings.
    components : (C, D) array
    spread : (C,) array
        Of each component.
    """

    network: VectorFlow
    ridge: RidgePrior
    centre: FloatArray
    components: FloatArray
    spread: FloatArray

    def __call__(
        self, predicted: NDArray[np.floating], seeds: Sequence[int]
    ) -> NDArray[np.float32]:
        """Draw one embedding for each prediction, (I, D), and seed."""
        told = self.standard(self.ridge(predicted))
        shape = (self.network.num_dimensions,)
        noise = [
            torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds
        ]
        values = torch.stack(noise) if noise else torch.empty(0, *shape)
        with torch.inference_mode():
            for number in range(STEPS):
                time = number / STEPS
                ends = self.network(values, torch.full((len(values),), time), told)
                values = values + (ends - values) / (1 - time) / STEPS
        drawn = values.double().numpy() * self.spread @ self.components + self.centre
        return drawn.astype(np.float32)

    def standard(self, embeddings: NDArray[np.floating]) -> torch.Tensor:
        """Return scores on the components, each by its spread, (I, C)."""
        scores = (embeddings - self.centre) @ self.components.T / self.spread
        return torch.from_numpy(scores.astype(np.float32))


def fit_flow_prior(
    predicted: NDArray[np.floating],
    true: NDArray[np.floating],
    *,
    settings: LoopSettings = SETTINGS,
    progress: Progress | None = None,
) -> FlowPrior:
    """Train a flow from noise to true embeddings, told of predictions.

    Parameters
    ----------
    predicted, true : (I, D) array
        Of the same pictures, predicted out of fold.
    settings : LoopSettings
    progress : callable, optional
        Called with ("train", steps done, steps in all).

    Notes
    -----
    Flow matching (Lipman et al. 2023, *ICLR*) of the 192 first principal components of true
    embeddings; what is beyond them is the mean. The loss weighs components by their spread.

    Raises
    ------
    DataError
        If there are too few pictures, or they do not belong together.
    """
    from sklearn.decomposition import PCA

    ridge = fit_ridge_prior(predicted, true, keep_spread=False)
    num_components = min(NUM_COMPONENTS, *true.shape)
    pca = PCA(num_components, svd_solver="randomized", random_state=settings.seed)
    scores = pca.fit_transform(true.astype(np.float64))
    spread = np.maximum(scores.std(axis=0), LEAST_SPREAD)
    torch.manual_seed(settings.seed)
    prior = FlowPrior(
        VectorFlow(num_components),
        ridge,
        np.asarray(pca.mean_, np.float64),
        np.asarray(pca.components_, np.float64),
        spread,
    )
    told = prior.standard(ridge(predicted)).to(settings.device)
    ends_NC = prior.standard(true).to(settings.device)
    weight = torch.from_numpy((spread / spread.mean()).astype(np.float32)).to(settings.device)
    generator = torch.Generator().manual_seed(settings.seed + 1)

    def loss_of(network: VectorFlow, rows: torch.Tensor) -> torch.Tensor:
        ends = ends_NC[rows]
        time = torch.rand(len(rows), generator=generator).to(ends.device)
        noise = torch.randn(ends.shape, generator=generator).to(ends.device)
        on_the_way = torch.lerp(noise, ends, time[:, None])
        error = network(on_the_way, time, told[rows]).float() - ends
        left = (1 - time).clamp(min=_LEAST_TIME_LEFT)[:, None]
        return ((error / left).square() * weight).mean()

    network, _ = train(
        prior.network.to(settings.device),
        loss_of,
        num_pictures=len(true),
        settings=settings,
        progress=progress,
    )
    return FlowPrior(network, ridge, prior.centre, prior.components, spread)
