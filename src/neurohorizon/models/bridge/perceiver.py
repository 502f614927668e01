r"""A Perceiver over electrodes: region tokens read their area, are mixed, and read out.

Azabou et al. 2025 (CaPOYO); Jaegle et al. 2021 (Perceiver). A token is one electrode (and time
bin), linear in its value v: :math:`t = b + v d`, b of the electrode, its area and its bin, d of the
electrode. (CaPOYO has one d for all: then a head of a token's query tells the electrodes it reads
by how much it reads them alone, and cannot subtract one from another.)

Queries of region tokens are the same for every response, so nothing of a response is ever
projected. With the layer norm's :math:`s(v) = (\sigma_b^2 + 2 v \sigma_{bd} + v^2 \sigma_d^2 +
\epsilon)^{-1/2}` (b and d centred), a query q and a head's keys :math:`K`, values :math:`V`,

.. math:: q \cdot K_n = s_n \, (q \cdot K^b_n + v_n \, q \cdot K^d_n) + \text{a constant}, \qquad
   \sum_n w_n V_n = \sum_n w_n s_n V^b_n + \sum_n w_n s_n v_n V^d_n + V^\beta

where :math:`K^b, K^d, V^b, V^d` are projected once for all responses: exact.

What is hidden is no token: it has no weight, and its value is not looked at. A region token whose
whole area is hidden reads nothing and remains what it was.

An untrained region token weighs all N electrodes of its area alike, and the mean of N responses is
small beside whatever is the same for every response: then all responses look alike to the layers
above, and hundreds of steps of training do nothing but undo it. So what is read is multiplied by a
gain, at first :math:`\sqrt N`, and what is the same for every response (region tokens, readout
queries, bins) starts near 0; its norm restores it where it asks. Embeddings of electrodes start
small, because their norm makes their size irrelevant, and a step of Adam turns small ones further.

Shapes: K responses, T tokens (electrodes times bins), D width, H heads, F features of a head, L
region tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.bridge.tower import Tower
from neurohorizon.nn.attention import CrossBlock, FeedForward, SelfBlock, attend, join_heads
from neurohorizon.nn.recompute import recompute as work_again

#: Standard deviation of what starts near 0.
SMALL = 0.02


class ElectrodeReading(nn.Module):
    """Region tokens read the electrodes of their area.

    Parameters
    ----------
    areas : sequence of int
        Area of each electrode, from 0.
    num_bins : int
    width, num_heads : int
    num_latents : int
        Region tokens of each area.
    """

    def __init__(
        self,
        areas: Sequence[int],
        *,
        num_bins: int = 1,
        width: int = 128,
        num_heads: int = 4,
        num_latents: int = 2,
    ) -> None:
        super().__init__()
        num_units, num_areas = len(areas), max(areas) + 1
        self.num_heads, self.num_bins = num_heads, num_bins
        self.units = nn.Parameter(SMALL * torch.randn(num_units, width))
        self.slopes = nn.Parameter(SMALL * torch.randn(num_units, width))
        self.bins = nn.Parameter(torch.zeros(num_bins, width))
        self.latents = nn.Parameter(SMALL * torch.randn(num_areas * num_latents, width))
        # Tokens of each area; region tokens come in the same order of areas.
        area = torch.tensor(list(areas)).repeat_interleave(num_bins)
        self.members = [torch.nonzero(area == number).ravel() for number in range(num_areas)]
        self.gains = nn.Parameter(torch.tensor([float(len(each)) for each in self.members]).sqrt())
        self.norm_query, self.norm_token = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_query = nn.Linear(width, width, bias=False)
        self.to_key_value = nn.Linear(width, 2 * width, bias=False)
        self.to_output = nn.Linear(width, width)
        self.feed_forward = FeedForward(width=width)

    def forward(self, values_KT: Tensor, hidden_KT: Tensor | None = None) -> Tensor:
        """Return region tokens, (K, L, D); what is hidden is not read."""
        still_TD, slope_TD = self.tokens()
        still_TD = still_TD - still_TD.mean(dim=-1, keepdim=True)
        slope_TD = slope_TD - slope_TD.mean(dim=-1, keepdim=True)
        if hidden_KT is not None:
            values_KT = values_KT.masked_fill(hidden_KT, 0.0)
        variance_KT = (
            still_TD.square().mean(dim=-1)
            + 2 * values_KT * (still_TD * slope_TD).mean(dim=-1)
            + values_KT.square() * slope_TD.square().mean(dim=-1)
        )
        size_KT = torch.rsqrt(variance_KT + self.norm_token.eps)
        scale = self.norm_token.weight
        key_still, value_still = self._heads(self.to_key_value(still_TD * scale))
        key_slope, value_slope = self._heads(self.to_key_value(slope_TD * scale))
        # What the norm's offset adds is alike for every token: it moves values, no score.
        _, offset_H1F = self._heads(self.to_key_value(self.norm_token.bias[None]))
        offset_H11F = offset_H1F[:, None]
        queries_HLF = self._queries()
        queries_HLF = queries_HLF * queries_HLF.shape[-1] ** -0.5
        read = []
        for member, query, gain in zip(
            self.members, queries_HLF.chunk(len(self.members), 1), self.gains, strict=True
        ):
            # Heads first: then what all responses share is multiplied once, by all of them.
            size_1K1T = size_KT[None, :, None, member]
            moved_1K1T = size_1K1T * values_KT[None, :, None, member]
            still_H1LT = (query @ key_still[:, member].transpose(1, 2))[:, None]
            slope_H1LT = (query @ key_slope[:, member].transpose(1, 2))[:, None]
            scores_HKLT = torch.addcmul(still_H1LT * size_1K1T, slope_H1LT, moved_1K1T)
            if hidden_KT is None:
                weights_HKLT, added = scores_HKLT.softmax(dim=-1), offset_H11F
            else:
                hidden_1K1T = hidden_KT[None, :, None, member]
                # Not -inf: where all is hidden, a softmax over nothing would be no number.
                lowest = torch.finfo(scores_HKLT.dtype).min
                weights_HKLT = scores_HKLT.masked_fill(hidden_1K1T, lowest).softmax(dim=-1)
                weights_HKLT = weights_HKLT.masked_fill(hidden_1K1T, 0.0)
                added = offset_H11F * ~hidden_1K1T.all(dim=-1, keepdim=True)
            read_HKLF = (
                (weights_HKLT * size_1K1T).flatten(1, 2) @ value_still[:, member]
                + (weights_HKLT * moved_1K1T).flatten(1, 2) @ value_slope[:, member]
            ).unflatten(1, weights_HKLT.shape[1:3])
            read.append((read_HKLF + added) * gain)
        return self._finish(join_heads(torch.cat(read, dim=2).transpose(0, 1)))

    def read_plainly(self, values_KT: Tensor, hidden_KT: Tensor | None = None) -> Tensor:
        """Return the same by projecting every token of every response: what it is held equal to."""
        still_TD, slope_TD = self.tokens()
        tokens_KTD = still_TD + values_KT[..., None] * slope_TD
        keys_values = self.to_key_value(self.norm_token(tokens_KTD))
        heads = keys_values.unflatten(-1, (2 * self.num_heads, -1)).transpose(1, 2)
        keys, values = heads.chunk(2, dim=1)
        read = [
            attend(
                query.expand(len(values_KT), -1, -1, -1),
                keys[:, :, member],
                values[:, :, member],
                key_mask_BT=None if hidden_KT is None else ~hidden_KT[:, member],
            )
            * gain
            for member, query, gain in zip(
                self.members, self._queries().chunk(len(self.members), 1), self.gains, strict=True
            )
        ]
        return self._finish(join_heads(torch.cat(read, dim=2)))

    def tokens(self) -> tuple[Tensor, Tensor]:
        """Return b and d of every token, (T, D) each."""
        still_NBD = self.units[:, None] + self.bins
        slope_NBD = self.slopes[:, None].expand_as(still_NBD)
        return still_NBD.flatten(0, 1), slope_NBD.flatten(0, 1)

    def _queries(self) -> Tensor:
        """Return the queries of the region tokens, (H, L, F)."""
        heads = self.to_query(self.norm_query(self.latents)).unflatten(-1, (self.num_heads, -1))
        return heads.transpose(0, 1)

    def _heads(self, projected_TE: Tensor) -> tuple[Tensor, Tensor]:
        """Return heads of keys and of values, (H, T, F) each."""
        heads = projected_TE.unflatten(-1, (2 * self.num_heads, -1)).transpose(0, 1)
        return heads[: self.num_heads], heads[self.num_heads :]

    def _finish(self, read_KLD: Tensor) -> Tensor:
        tokens_KLD = self.latents + self.to_output(read_KLD)
        return tokens_KLD + self.feed_forward(tokens_KLD)


class PerceiverTrunk(nn.Module):
    """Read electrodes by region tokens, and mix these: what masked pretraining learns.

    Parameters
    ----------
    areas : sequence of int
        Area of each unit, from 0; without gaps.
    num_bins : int
    width, num_layers : int
        Of the self-attention layers.
    num_heads, num_latents : int
        Region tokens of each area.
    dropout : float

    Raises
    ------
    ConfigError
        If heads do not share the width evenly.
    """

    def __init__(
        self,
        areas: Sequence[int],
        num_bins: int,
        *,
        width: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        num_latents: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ConfigError(f"a width of {width} is not shared evenly by {num_heads} heads")
        self.reading = ElectrodeReading(
            areas, num_bins=num_bins, width=width, num_heads=num_heads, num_latents=num_latents
        )
        self.layers = nn.ModuleList(
            SelfBlock(width=width, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )

    def region_tokens(self, responses_KN: Tensor, hidden_KT: Tensor | None = None) -> Tensor:
        """Return region tokens that know of each other, (K, L, D)."""
        tokens_KLD = self.reading(responses_KN.flatten(1), hidden_KT)
        for layer in self.layers:
            tokens_KLD = layer(tokens_KLD)
        return tokens_KLD

    def parts(self) -> list[nn.Module]:
        """Return what the trunk is made of, from what reads responses upwards."""
        return [self.reading, *self.layers]

    def take(self, other: PerceiverTrunk) -> None:
        """Take the weights of another trunk of the same sizes."""
        for mine, theirs in zip(self.parts(), other.parts(), strict=True):
            mine.load_state_dict(theirs.state_dict())


class PerceiverTower(Tower):
    """Read region tokens out by learned queries.

    Parameters
    ----------
    areas, num_bins, width, num_layers, num_heads, num_latents, dropout
        As of :class:`PerceiverTrunk`.
    num_outputs : int
    num_queries : int
        Of the readout.
    recompute : bool
        Keep no activations of the reading and the layers, and compute them again in the backward
        pass.
    """

    def __init__(
        self,
        areas: Sequence[int],
        num_bins: int,
        num_outputs: int,
        *,
        width: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        num_latents: int = 2,
        num_queries: int = 8,
        dropout: float = 0.3,
        recompute: bool = False,
    ) -> None:
        super().__init__(num_queries * width, num_outputs)
        self.trunk = PerceiverTrunk(
            areas,
            num_bins,
            width=width,
            num_layers=num_layers,
            num_heads=num_heads,
            num_latents=num_latents,
            dropout=dropout,
        )
        if recompute:
            for part in self.trunk.parts():
                work_again(part)
        self.queries = nn.Parameter(SMALL * torch.randn(num_queries, width))
        self.readout = CrossBlock(width=width, num_heads=num_heads, dropout=dropout)
        self.norm = nn.Sequential(nn.LayerNorm(num_queries * width), nn.Dropout(dropout))

    def hidden(self, responses_KN: Tensor) -> Tensor:
        """Return what the queries read, (K, W)."""
        tokens_KLD = self.trunk.region_tokens(responses_KN)
        queries = self.queries.expand(len(tokens_KLD), -1, -1)
        read = self.readout(queries, self.readout.attention.project(tokens_KLD))
        return self.norm(read.flatten(1))
