"""CaPOYO: decode tasks from values on a clock: calcium, multi-unit activity, power of a field.

Azabou et al. 2025 (ICLR), "Multi-session, multi-task neural decoding from distinct cell-types and
brain regions". As POYO+ (:mod:`neurohorizon.models.poyo_plus`), but a token is one value of one
unit: a linear map of the value fills half of its features, the unit's embedding the other half.

Departures, besides POYO+'s: the embedding of the token's type is added, as in POYO (one public
version declares it and leaves it out); the direction in which a value counts depends on the unit
(published: one for all, so that a head could only average values, weighed by how much it attends
to each unit, and never subtract one from another); and no token is projected. A token is linear
in its value v: t = b + v d, b of its unit and type, d of its unit. So are its norm's centre and,
with the mean of products <.,.>, its variance: <b, b> + 2 v <b, d> + v^2 <d, d>. Keys and values
are then those of b (once a unit and type) plus v times those of d, over the deviation: exact.

Shapes: as in :mod:`neurohorizon.models.poyo_trunk`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import ConfigError
from neurohorizon.models.poyo_trunk import PopulationDecoder, UnitMode
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.tasks import Task


class CaPOYO(PopulationDecoder):
    """Decode several tasks, continuous and categorical, from signals of units.

    Its arguments are those of :class:`neurohorizon.models.poyo_trunk.PopulationDecoder`.

    Raises
    ------
    ConfigError
        If settings make no model.
    """

    system = "capoyo"
    unit_share = 0.5

    def __init__(
        self,
        *,
        tasks: Sequence[Task],
        width: int = 64,
        num_layers: int = 6,
        length_s: float = 1.0,
        latent_step_s: float = 0.125,
        num_latents_per_step: int = 16,
        head_width: int = 64,
        num_cross_heads: int = 2,
        num_self_heads: int = 8,
        units: UnitMode = "vocabulary",
        num_unit_features: int = 33,
        dropout: float = 0.2,
        layer_dropout: float = 0.4,
        attention_dropout: float = 0.0,
        shortest_s: float = 1e-4,
        longest_s: float = 2.0627,
        scale: float = 0.02,
    ) -> None:
        if width % 2:
            raise ConfigError(f"width is {width}: expected an even number, half for the value")
        super().__init__(
            tasks=tasks,
            width=width,
            num_layers=num_layers,
            length_s=length_s,
            latent_step_s=latent_step_s,
            num_latents_per_step=num_latents_per_step,
            head_width=head_width,
            num_cross_heads=num_cross_heads,
            num_self_heads=num_self_heads,
            units=units,
            num_unit_features=num_unit_features,
            dropout=dropout,
            layer_dropout=layer_dropout,
            attention_dropout=attention_dropout,
            shortest_s=shortest_s,
            longest_s=longest_s,
            scale=scale,
        )
        self.from_value = nn.Linear(1, width // 2)
        nn.init.normal_(self.from_value.weight, std=scale)
        nn.init.zeros_(self.from_value.bias)
        # From a unit's embedding to the direction of its values, as large as what all share.
        self.from_unit = nn.Linear(width // 2, width // 2, bias=False)
        nn.init.normal_(self.from_unit.weight, std=(width // 2) ** -0.5)

    def embed_tokens(self, batch: DecodeBatch) -> tuple[Tensor, Tensor]:
        """Return b, (U, Y, D), and d, (U, D): a token of value v is b + v d."""
        units_UD = self.embed_units(batch)
        zeros_UD = self.from_value.bias.expand(len(units_UD), -1)
        still_UYD = torch.cat([zeros_UD, units_UD], dim=-1)[:, None] + self.token_type
        slope_UV = self.from_value.weight[:, 0] + self.from_unit(units_UD)
        return still_UYD, torch.cat([slope_UV, torch.zeros_like(units_UD)], dim=-1)

    def project_units(self, batch: DecodeBatch) -> tuple[Tensor, ...]:
        """Return what keys and values are made of.

        Returns
        -------
        tuple of Tensor
            Projections of b and of d, (U Y, K) each, and of the norm's shift, (K,); and b's
            variance, its covariance with d, and d's variance, (U Y, 1) each.
        """
        reading = self.perceiver.reading
        still_UYD, slope_UD = self.embed_tokens(batch)
        still = still_UYD.flatten(0, 1)
        still = still - still.mean(dim=-1, keepdim=True)
        slope = slope_UD[:, None].expand_as(still_UYD).flatten(0, 1)
        slope = slope - slope.mean(dim=-1, keepdim=True)
        gain = reading.norm_key.weight
        return (
            reading.to_key_value(still * gain),
            reading.to_key_value(slope * gain),
            reading.to_key_value(reading.norm_key.bias),
            still.square().mean(dim=-1, keepdim=True),
            (still * slope).mean(dim=-1, keepdim=True),
            slope.square().mean(dim=-1, keepdim=True),
        )

    def place_tokens(
        self, projected: tuple[Tensor, ...], place_WE: Tensor, value_WE: Tensor
    ) -> Tensor:
        """Return keys and values of tokens, (W, E, K)."""
        still, slope, shift_K, variance, covariance, slope_variance = projected
        value_WE1 = value_WE.unsqueeze(-1)
        variance_WE1 = (
            functional.embedding(place_WE, variance)
            + 2 * value_WE1 * functional.embedding(place_WE, covariance)
            + value_WE1.square() * functional.embedding(place_WE, slope_variance)
        )
        scale_WE1 = torch.rsqrt(variance_WE1.clamp(min=0) + self.perceiver.reading.norm_key.eps)
        slope_WEK = functional.embedding(place_WE, slope)
        keys_values_WEK = functional.embedding(place_WE, still) + value_WE1 * slope_WEK
        return keys_values_WEK * scale_WE1 + shift_K
