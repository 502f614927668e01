"""Identity: what stands for a unit, computed from its reference.

All modes share one interface, so a recipe changes the mode by its name and nothing else.

Shapes: S references, N units, D width.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurohorizon.nn.identity_samples import EventIdentity, UnitSamples, WindowIdentity

IdentityMode = Literal[
    "functional", "statistics", "windows", "events", "learned", "random", "linear"
]

_RANDOM_ROWS = 4096


class Standardise(nn.Module):
    """Standardise features with statistics that travel in the checkpoint."""

    log: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("log", torch.zeros(num_features, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))

    def set(self, *, log: ArrayLike, mean: ArrayLike, scale: ArrayLike) -> None:
        """Take over fitted statistics, each (F,): which columns are logged, mean, scale."""
        for buffer, values in ((self.log, log), (self.mean, mean), (self.scale, scale)):
            buffer.copy_(torch.as_tensor(np.asarray(values)))

    def forward(self, features: Tensor) -> Tensor:
        """Return (..., F) features standardised and clipped to five deviations."""
        logged = torch.log(features.clamp(min=1e-3))
        values = (torch.where(self.log, logged, features) - self.mean) / self.scale
        return values.clamp(-5.0, 5.0)


class Identity(nn.Module):
    """Turn what the reference says about each unit into a vector.

    Parameters
    ----------
    mode : str
        ``functional``: three layers over the 33 statistics and the functional identity;
        ``statistics``: three layers over the 33 statistics alone;
        ``windows``: binned counts in windows of the reference
        (:class:`~neurohorizon.nn.identity_samples.WindowIdentity`);
        ``events``: attention over raw spikes of the reference
        (:class:`~neurohorizon.nn.identity_samples.EventIdentity`);
        ``linear``: one linear map of the 33 statistics (ablation);
        ``learned``: a table of the training units (new units get its zero row: an upper
        bound within sessions, of no use outside);
        ``random``: a fixed random vector a unit (ablation: distinct, and says nothing).
    num_statistics, num_functional : int
        Features of the two kinds.
    width : int
    standardise : bool
        False takes the features as they are, in Hz, seconds and counts.
    num_known_units : int
        Rows of the learned table.
    noise : float
        Standard deviation of noise on standardised features, in training only.
    num_window_bins : int
        Bins of a window, for ``windows``.
    num_heads : int
        Of attention, for ``events``.
    """

    def __init__(
        self,
        *,
        mode: IdentityMode,
        num_statistics: int,
        num_functional: int,
        width: int,
        standardise: bool = True,
        num_known_units: int = 0,
        noise: float = 0.0,
        num_window_bins: int = 0,
        num_heads: int = 1,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.noise = noise
        self.standardise = standardise
        self.standardise_statistics = Standardise(num_statistics)
        self.standardise_functional = Standardise(num_functional)
        num_inputs = num_statistics + (num_functional if mode == "functional" else 0)
        if mode in ("functional", "statistics"):
            self.layers = nn.Sequential(
                nn.Linear(num_inputs, width),
                nn.GELU(),
                nn.Linear(width, width),
                nn.GELU(),
                nn.Linear(width, width),
                nn.LayerNorm(width),
            )
        elif mode == "linear":
            self.layers = nn.Linear(num_inputs, width)
        elif mode == "learned":
            self.layers = nn.Embedding(num_known_units + 1, width, padding_idx=0)
        elif mode == "windows":
            self.layers = WindowIdentity(num_bins=num_window_bins, width=width)
        elif mode == "events":
            self.layers = EventIdentity(width=width, num_heads=num_heads)
        else:
            drawn = np.random.default_rng(0).standard_normal((_RANDOM_ROWS, width))
            table = torch.as_tensor(drawn, dtype=torch.float32)
            self.register_buffer("table", table, persistent=False)

    def forward(
        self,
        statistics_SNF: Tensor,
        functional_SNF: Tensor,
        known_unit_SN: Tensor,
        samples: UnitSamples | None = None,
    ) -> Tensor:
        """Return identities, (S, N, D).

        Parameters
        ----------
        statistics_SNF, functional_SNF : Tensor
            Raw features of the reference.
        known_unit_SN : Tensor of int64
            Row in the learned table, 0 for a unit that was not in training.
        samples : UnitSamples, optional
            Read by ``windows`` and ``events`` alone.
        """
        if self.mode in ("windows", "events"):
            assert samples is not None, f"identity {self.mode} reads samples of the reference"
            return self.layers(samples)
        if self.mode == "learned":
            return self.layers(known_unit_SN)
        if self.mode == "random":
            row = torch.arange(statistics_SNF.shape[1], device=statistics_SNF.device)
            vectors = self.get_buffer("table")[row % _RANDOM_ROWS]
            return vectors.expand(len(statistics_SNF), -1, -1)
        features = (
            self.standardise_statistics(statistics_SNF) if self.standardise else statistics_SNF
        )
        if self.mode == "functional":
            if self.standardise:
                functional_SNF = self.standardise_functional(functional_SNF)
            features = torch.cat([features, functional_SNF], dim=-1)
        if self.training and self.noise > 0:
            features = features + self.noise * torch.randn_like(features)
        return self.layers(features)
