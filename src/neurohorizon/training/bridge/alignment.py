"""One recording's responses as another's: a linear map, fitted on pictures that both saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.inputs import ResponseScale
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.bridge.ridge_maps import RidgeMap, fit_ridge_map


@dataclass(frozen=True, eq=False)
class AlignedBridge:
    """A source's bridge that reads a target's responses as if its own units had given them.

    Parameters
    ----------
    source : Bridge
        Nothing of it is changed.
    scale : ResponseScale
        Of the target's responses.
    to_source : RidgeMap
        From standardised responses of the target to standardised ones of the source.
    gain : float
        Responses that are mapped vary less than those that were recorded: by this factor.
    """

    source: Bridge
    scale: ResponseScale
    to_source: RidgeMap
    gain: float

    @torch.no_grad()
    def similarity(
        self, values: NDArray[np.floating], embeddings: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return the similarity of every response of the target to every picture, (K, I)."""
        mapped = self.gain * self.to_source(_flat(self.scale, values))
        responses = torch.from_numpy(mapped).float().unflatten(1, self.source.scale.shape)
        places = self.source.neural(responses)
        return self.source.compare(places, self.source.read_pictures(embeddings)).numpy()


def align(
    source: Bridge, values: NDArray[np.floating], of_source: NDArray[np.floating]
) -> AlignedBridge:
    """Fit the map from a target's responses to a source's, on pictures that both saw.

    Parameters
    ----------
    source : Bridge
    values : (K, N[, B]) array
        Mean responses of the target, one row a picture.
    of_source : (K, M[, B]) array
        Those of the source to the same pictures.
    """
    scale = ResponseScale(values.shape[1:], root=source.scale.root).fit(values)
    targets = _flat(source.scale, of_source)
    to_source = fit_ridge_map(_flat(scale, values), targets)
    mapped, there = to_source.held_out.std(axis=0), targets.std(axis=0)
    gain = np.sqrt(np.mean(there**2) / max(float(np.mean(mapped**2)), 1e-12))
    return AlignedBridge(source, scale, to_source, float(gain))


def _flat(scale: ResponseScale, values: NDArray[np.floating]) -> FloatArray:
    return scale.read(values).flatten(1).numpy().astype(np.float64)
