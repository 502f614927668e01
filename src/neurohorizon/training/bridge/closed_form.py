r"""Bridges that are solved, not trained: ridge towards pictures, and encoding models.

Shapes: K responses of N units (time bins, where there are any, count as units of their own),
pictures in a target space of k components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.towers import LinearTower, TowerSpec
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.bridge.samples import Samples

NUM_COMPONENTS = (20, 40, 80, 160, 320)
#: Folds in which an encoding model's errors are found.
ERROR_FOLDS = 5


@dataclass(frozen=True)
class RidgeSettings:
    """Of a ridge regression from responses to the target space.

    Parameters
    ----------
    num_components : int
    penalty : float
        Over the number of responses, on responses of variance 1.
    whitening : float
        Of the target space.
    root : bool
        Take the square root of the responses.
    """

    num_components: int = 80
    penalty: float = 0.1
    whitening: float = 0.0
    root: bool = False

    @classmethod
    def draw(cls, generator: np.random.Generator) -> RidgeSettings:
        """Draw settings to try."""
        return cls(
            num_components=int(generator.choice(NUM_COMPONENTS)),
            penalty=float(10 ** generator.uniform(-3, 0.5)),
            root=bool(generator.integers(2)),
        )


@dataclass(frozen=True)
class WhitenedRidgeSettings(RidgeSettings):
    """Of a ridge regression whose targets are whitened."""

    whitening: float = 0.5

    @classmethod
    def draw(cls, generator: np.random.Generator) -> WhitenedRidgeSettings:
        """Draw settings to try."""
        ridge = RidgeSettings.draw(generator)
        return cls(
            num_components=ridge.num_components,
            penalty=ridge.penalty,
            root=ridge.root,
            whitening=float(generator.uniform(0.25, 1)),
        )


@dataclass(frozen=True)
class EncodingSettings:
    """Of an encoding model: from pictures to responses, and the covariance of what is left.

    Parameters
    ----------
    num_components : int
        Of the pictures' space.
    penalty : float
        Over the number of responses and the mean variance of a component.
    shrinkage : float
        Share of the diagonal in the covariance of the errors.
    root : bool
        Take the square root of the responses.
    """

    num_components: int = 80
    penalty: float = 0.1
    shrinkage: float = 0.1
    root: bool = True

    @classmethod
    def draw(cls, generator: np.random.Generator) -> EncodingSettings:
        """Draw settings to try."""
        return cls(
            num_components=int(generator.choice(NUM_COMPONENTS)),
            penalty=float(10 ** generator.uniform(-2, 1)),
            shrinkage=float(generator.uniform(0.02, 0.5)),
            root=bool(generator.integers(2)),
        )


def fit_ridge(samples: Samples, settings: RidgeSettings) -> Bridge:
    r"""Solve a ridge regression from responses to pictures.

    Notes
    -----
    :math:`W = (X^\top X + K p I)^{-1} X^\top Y` on standardised responses X and centred targets Y;
    similarity is the cosine. Targets are one row a response.
    """
    bridge = _make(samples, settings.num_components, settings.whitening, settings.root)
    values = bridge.scale.read(samples.values).numpy().astype(np.float64)
    places = bridge.space.read(samples.paired).numpy().astype(np.float64)
    _set(bridge.neural, solve_ridge(values.reshape(len(values), -1), places, settings.penalty))
    return bridge


def fit_encoding(samples: Samples, settings: EncodingSettings) -> Bridge:
    r"""Fit an encoding model, by which a picture is likely or not given a response.

    Notes
    -----
    Responses are normal around a linear function of the picture, with the covariance C of the
    errors that cross-validation leaves, shrunk towards its diagonal. The log-likelihood of a
    response x under a picture y, :math:`-\frac12 (x - By)^\top C^{-1} (x - By)`, is minus half of
    a squared distance where both were multiplied by :math:`C^{-1/2}`: so it is a bridge. Less the
    log-likelihood of x under all pictures, it also says which response is a picture's. Where
    units are few and share noise, this identifies pictures better than a regression towards them,
    which must say things of a picture that no unit knows.

    References
    ----------
    Kay, Naselaris, Prenger and Gallant 2008, "Identifying natural images from human brain
    activity"; Naselaris et al. 2009, "Bayesian reconstruction of natural images from human brain
    activity".
    """
    num_units = math.prod(samples.values.shape[1:])
    bridge = _make(samples, settings.num_components, 0.0, settings.root, num_outputs=num_units)
    values = bridge.scale.read(samples.values).numpy().astype(np.float64)
    flat = values.reshape(len(values), -1)
    places = bridge.space.read(samples.paired).numpy().astype(np.float64)
    penalty = settings.penalty * float(np.mean(places**2))
    weight = solve_ridge(places, flat, penalty)
    # Folds of pictures, not of rows: trials of one picture are never on two sides.
    fold = np.random.default_rng(0).permutation(len(samples.embeddings))[samples.picture]
    fold %= ERROR_FOLDS
    errors = np.empty_like(flat)
    for number in range(ERROR_FOLDS):
        held, rest = fold == number, fold != number
        errors[held] = flat[held] - places[held] @ solve_ridge(places[rest], flat[rest], penalty)
    covariance = errors.T @ errors / len(errors)
    diagonal = np.maximum(np.diag(covariance), 1e-6)
    covariance = (1 - settings.shrinkage) * covariance + settings.shrinkage * np.diag(diagonal)
    # C = U S U', so rows times U S^-1/2 have errors of covariance 1.
    spread, axes = np.linalg.eigh(covariance)
    whiten = axes / np.sqrt(np.maximum(spread, 1e-3 * spread.max()))
    _set(bridge.neural, whiten)
    _set(bridge.image, weight @ whiten)
    # Over pictures, whitened responses vary by their errors (1) and by what pictures add.
    predicted = places @ weight @ whiten
    over_pictures = np.eye(num_units) + predicted.T @ predicted / len(predicted)
    bridge.marginal.copy_(torch.from_numpy(np.linalg.inv(over_pictures)))
    return bridge


def _make(
    samples: Samples,
    num_components: int,
    whitening: float,
    root: bool,
    *,
    num_outputs: int | None = None,
) -> Bridge:
    """Make a linear bridge whose inputs are scaled: to the pictures' space, or to another."""
    num_dimensions = samples.embeddings.shape[1]
    num_components = min(num_components, *samples.embeddings.shape)
    to = num_components if num_outputs is None else num_outputs
    bridge = Bridge(
        num_dimensions=num_dimensions,
        num_components=num_components,
        whitening=whitening,
        root=root,
        neural=TowerSpec("linear", samples.values.shape[1:], to, bias=False),
        image=(
            None if num_outputs is None else TowerSpec("linear", (num_components,), to, bias=False)
        ),
        measure="cosine" if num_outputs is None else "likelihood",
    ).requires_grad_(False)
    bridge.scale.fit(samples.for_scale)
    bridge.space.fit(samples.embeddings)
    return bridge.eval()


def solve_ridge(inputs: FloatArray, targets: FloatArray, penalty: float) -> FloatArray:
    """Return the weights of a ridge regression, (n, m); the penalty is over the number of rows."""
    gram = inputs.T @ inputs
    gram[np.diag_indices_from(gram)] += penalty * len(inputs)
    return np.asarray(np.linalg.solve(gram, inputs.T @ targets), dtype=np.float64)


def _set(tower: nn.Module, weight: NDArray[np.floating]) -> None:
    """Set the weight of a linear tower, (inputs, outputs)."""
    assert isinstance(tower, LinearTower)
    tower.to_space.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T)))
