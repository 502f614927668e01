"""What goes into a bridge: responses on one scale, and pictures in a space of few dimensions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray


class ResponseScale(nn.Module):
    """Standardise responses by what training pictures gave; what is missing becomes 0.

    Shapes: N units, or N x B with time bins.

    Parameters
    ----------
    shape : tuple of int
        Of one response: (N,) or (N, B).
    root : bool
        Take the square root first, which makes the variance of counts even; of negative values
        it is that of their size, with their sign.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], *, root: bool = False) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.root = root
        self.register_buffer("mean", torch.zeros(self.shape))
        self.register_buffer("scale", torch.ones(self.shape))

    @torch.no_grad()
    def fit(self, values: NDArray[np.floating]) -> ResponseScale:
        """Learn mean and scale of each unit (and bin) from training responses, (K, N[, B])."""
        values = self._rooted(np.asarray(values, dtype=np.float64))
        there = np.isfinite(values)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, values, 0).sum(axis=0) / count
        variance = np.where(there, (values - mean) ** 2, 0).sum(axis=0) / count
        spread = np.sqrt(variance)
        self.mean.copy_(torch.from_numpy(mean))
        # A unit that never changes tells nothing: 0 whatever comes.
        self.scale.copy_(torch.from_numpy(np.divide(1, spread, where=spread > 0, out=0 * spread)))
        return self

    def read(self, values: NDArray[np.floating]) -> Tensor:
        """Return standardised responses as float32, (K, N[, B]).

        Raises
        ------
        DataError
            If they are of other units.
        """
        if values.shape[1:] != self.shape:
            raise DataError(
                f"responses of shape {values.shape[1:]} a picture, and the model was trained on "
                f"{self.shape}: give the recording that it was trained on"
            )
        rooted = torch.from_numpy(self._rooted(np.asarray(values, dtype=np.float32)))
        standard = (rooted.to(self.mean) - self.mean) * self.scale
        return torch.nan_to_num(standard, nan=0.0, posinf=0.0, neginf=0.0)

    def _rooted(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.sign(values) * np.sqrt(np.abs(values)) if self.root else values


class TargetSpace(nn.Module):
    r"""The leading components of pictures' embeddings, centred, and whitened as far as one says.

    .. math:: y = \Lambda^{-\alpha/2} V^\top (e - \bar e)

    Parameters
    ----------
    num_dimensions : int
        D, of an embedding.
    num_components : int
        k, how many are kept.
    whitening : float
        :math:`\alpha`: 0 leaves the components' variances as they are, 1 makes them equal.

    Notes
    -----
    All are learned from training pictures alone, and so is the variance of each component in the
    space. Components are scaled by one number, so
    that their mean square is 1 at any whitening.
    """

    mean: Tensor
    axes: Tensor
    scale: Tensor
    variance: Tensor

    def __init__(self, num_dimensions: int, num_components: int, *, whitening: float = 0.0) -> None:
        super().__init__()
        self.num_dimensions = num_dimensions
        self.num_components = num_components
        self.whitening = whitening
        self.register_buffer("mean", torch.zeros(num_dimensions))
        self.register_buffer("axes", torch.zeros(num_components, num_dimensions))
        self.register_buffer("scale", torch.ones(num_components))
        self.register_buffer("variance", torch.ones(num_components))

    @torch.no_grad()
    def fit(self, embeddings: NDArray[np.floating]) -> TargetSpace:
        """Learn centre, axes and scales from embeddings of training pictures, (I, D).

        Raises
        ------
        DataError
            If there are fewer pictures than components.
        """
        if min(embeddings.shape) < self.num_components:
            raise DataError(
                f"{embeddings.shape[0]} training pictures with embeddings of "
                f"{embeddings.shape[1]} numbers have fewer than {self.num_components} components: "
                "ask for fewer"
            )
        given = np.asarray(embeddings, dtype=np.float64)
        mean = given.mean(axis=0)
        spread, axes = _principal_axes(given - mean)
        spread = np.maximum(spread[: self.num_components], 1e-12)
        axes = axes[: self.num_components]
        # The sign of a component is anybody's: the same on every machine.
        largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
        axes = axes * np.sign(largest)[:, None]
        scale = spread**-self.whitening
        scale = scale / np.sqrt(np.mean((spread * scale) ** 2))
        variance = (spread * scale) ** 2
        learned = {"mean": mean, "axes": axes, "scale": scale, "variance": variance}
        for name, found in learned.items():
            getattr(self, name).copy_(torch.from_numpy(found))
        return self

    def read(self, embeddings: NDArray[np.floating]) -> Tensor:
        """Return pictures in the space, (I, k).

        Raises
        ------
        DataError
            If the embeddings are of another length.
        """
        if embeddings.shape[1] != self.num_dimensions:
            raise DataError(
                f"embeddings of {embeddings.shape[1]} numbers, and the model was trained on "
                f"{self.num_dimensions}: give the bank that it was trained on"
            )
        given = torch.from_numpy(np.asarray(embeddings, dtype=np.float32)).to(self.mean)
        return ((given - self.mean) @ self.axes.T) * self.scale

    def embeddings(self, places: Tensor) -> Tensor:
        """Return the embeddings that lie at places of the space, (I, D)."""
        return (places / self.scale) @ self.axes + self.mean


def _principal_axes(centred: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return standard deviations, the largest first, and axes (k, D) of centred rows, (I, D)."""
    if len(centred) < centred.shape[1]:
        _, singular, axes = np.linalg.svd(centred, full_matrices=False)
        return singular / np.sqrt(len(centred)), axes
    # Many rows: the same by their covariance, many times as fast.
    variance, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    return np.sqrt(np.maximum(variance[::-1], 0.0)), axes[:, ::-1].T
