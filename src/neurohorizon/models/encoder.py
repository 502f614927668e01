"""The forecaster's encoder: latents that read what the context holds.

Shapes: S references, W windows, N units, E event slots, L slots of the context, T tokens,
D width, K keys and values (2 D), M latents.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from neurohorizon.models.conditions import ConditionTokens
from neurohorizon.nn.attention import Attention, CrossBlock, SelfBlock
from neurohorizon.nn.ragged import parts_of_windows
from neurohorizon.nn.rotary import RotaryTime
from neurohorizon.recordings.batches import ForecastBatch, slot_edges
from neurohorizon.recordings.window_spec import WindowSpec

Injection = Literal["layers", "input"]


class Encoder(nn.Module):
    """Latents that read the context.

    Parameters
    ----------
    spec : WindowSpec
    width, num_heads, num_layers, num_latents : int
    use_events, use_unit_tokens, use_population_tokens : bool
        Which tokens are read.
    dropout : float
    conditions : ConditionTokens, optional
        Tokens of behaviour and pictures.
    inject : {"layers", "input"}
        Whether latents read those by themselves, after every `inject_every`-th layer, or beside
        the spikes.
    inject_every : int

    Notes
    -----
    Before rotation a spike's key and value depend on its unit alone, so they are projected
    once a unit and gathered for each spike. A softmax over hundreds of near-identical
    spikes learns slowly; population tokens carry the same events pooled by slot, as
    surprise: counts minus their expectation.

    Windows differ much in their number of events. They are read in parts, those with as many
    events together, so that each part is padded to its own longest window: exact, since
    padding is masked.
    """

    slot_times_L: Tensor

    def __init__(
        self,
        *,
        spec: WindowSpec,
        width: int,
        num_heads: int,
        num_layers: int,
        num_latents: int,
        use_events: bool,
        use_unit_tokens: bool,
        use_population_tokens: bool,
        dropout: float,
        conditions: ConditionTokens | None = None,
        inject: Injection = "layers",
        inject_every: int = 1,
    ) -> None:
        super().__init__()
        assert use_events or use_unit_tokens or use_population_tokens, "the encoder reads nothing"
        self.use_events = use_events
        self.use_unit_tokens = use_unit_tokens
        self.use_population_tokens = use_population_tokens
        rotary = RotaryTime(head_width=width // num_heads, longest_s=4 * spec.context_s)
        edges = torch.as_tensor(slot_edges(spec.context_s), dtype=torch.float32)
        self.register_buffer("slot_times_L", -(edges[1:] + edges[:-1]) / 2, persistent=False)
        self.token_type = nn.Parameter(0.02 * torch.randn(3, width))
        self.slot_embedding = nn.Parameter(0.02 * torch.randn(len(edges) - 1, width))
        self.from_population = nn.Linear(width, width)
        self.latents = nn.Parameter(0.02 * torch.randn(num_latents, width))
        self.read = CrossBlock(width=width, num_heads=num_heads, rotary=rotary, dropout=dropout)
        self.layers = nn.ModuleList(
            SelfBlock(width=width, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )
        self.conditions = conditions
        self.inject = inject
        self.condition_layers = nn.ModuleDict()
        if conditions is not None and inject == "layers":
            longest_s = 4 * max(spec.conditions.span_s, spec.horizon_s)
            slow = RotaryTime(head_width=width // num_heads, longest_s=longest_s)
            for index in range(inject_every - 1, num_layers, inject_every):
                self.condition_layers[str(index)] = CrossBlock(
                    width=width, num_heads=num_heads, rotary=slow, dropout=dropout
                )

    def forward(
        self,
        batch: ForecastBatch,
        identity_SND: Tensor,
        state_WND: Tensor,
        surprise_WNL: Tensor,
    ) -> Tensor:
        """Return the latents, (W, M, D)."""
        tokens_WTD, mask_WT, times_T = self._tokens(batch, identity_SND, state_WND, surprise_WNL)
        times_WT = times_T.expand(len(batch), -1)
        known = None if self.conditions is None else self.conditions(batch)
        if known is not None and self.inject == "input":
            tokens_WTD, mask_WT, times_WT = (
                torch.cat(pair, dim=1)
                for pair in zip((tokens_WTD, mask_WT, times_WT), known, strict=True)
            )
        latents_WMD = self._read_in_parts(batch, identity_SND, tokens_WTD, mask_WT, times_WT)
        for index, layer in enumerate(self.layers):
            latents_WMD = layer(latents_WMD)
            if known is not None and str(index) in self.condition_layers:
                latents_WMD = self._read_conditions(
                    latents_WMD, self.condition_layers[str(index)], *known
                )
        return latents_WMD

    @staticmethod
    def _read_conditions(
        latents_WMD: Tensor, block: nn.Module, tokens_WTD: Tensor, mask_WT: Tensor, times_WT: Tensor
    ) -> Tensor:
        """Let the latents read what is known besides spikes."""
        assert isinstance(block, CrossBlock)
        return block(
            latents_WMD,
            block.attention.project(tokens_WTD),
            key_mask_BT=mask_WT,
            key_times_BT=times_WT,
        )

    def _tokens(
        self,
        batch: ForecastBatch,
        identity_SND: Tensor,
        state_WND: Tensor,
        surprise_WNL: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens of units and population, with their mask and times."""
        # From no token on, since an encoder may read events alone.
        tokens, masks = [state_WND[:, :0]], [batch.unit_mask_WN[:, :0]]
        times = [self.slot_times_L[:0]]
        if self.use_unit_tokens:
            tokens.append(state_WND + self.token_type[1])
            masks.append(batch.unit_mask_WN)
            times.append(self.slot_times_L.new_zeros(state_WND.shape[1]))
        if self.use_population_tokens:
            num_real_W = batch.unit_mask_WN.sum(dim=1).clamp(min=1)
            pooled_WLD = torch.einsum("wnl,wnd->wld", surprise_WNL, identity_SND[batch.reference_W])
            pooled_WLD = pooled_WLD / torch.sqrt(num_real_W)[:, None, None]
            tokens_WLD = self.from_population(pooled_WLD) + self.slot_embedding
            tokens.append(tokens_WLD + self.token_type[2])
            masks.append(torch.ones_like(tokens_WLD[..., 0], dtype=torch.bool))
            times.append(self.slot_times_L)
        return torch.cat(tokens, dim=1), torch.cat(masks, dim=1), torch.cat(times)

    def _read_in_parts(
        self,
        batch: ForecastBatch,
        identity_SND: Tensor,
        tokens_WTD: Tensor,
        mask_WT: Tensor,
        times_WT: Tensor,
    ) -> Tensor:
        """Let latents read events and tokens, windows with as many events together."""
        attention: Attention = self.read.attention
        projected_SNK = attention.project(identity_SND + self.token_type[0])
        if self.use_events:
            parts = event_parts(batch, others=tokens_WTD.shape[1])
        else:
            parts = [(torch.arange(len(batch), device=mask_WT.device), 0)]
        order_W = torch.cat([window_W for window_W, _ in parts])
        # Put in order once and split: the gradient of many slices is as many full tensors.
        tokens_WTK = attention.project(tokens_WTD.index_select(0, order_W))
        tokens = tokens_WTK.split([len(window_W) for window_W, _ in parts])
        latents = []
        for (window_W, num_slots), part_WTK in zip(parts, tokens, strict=True):
            unit_WE = batch.event_unit_WE[window_W, :num_slots]
            event_WE = batch.reference_W[window_W, None] * projected_SNK.shape[1] + unit_WE
            event_mask_WE = batch.event_mask_WE[window_W, :num_slots]
            event_times_WE = batch.event_time_WE[window_W, :num_slots]
            queries_WMD = self.latents.expand(len(window_W), -1, -1)
            read_WMD = attention(
                queries_WMD,
                torch.cat([projected_SNK.flatten(0, 1)[event_WE], part_WTK], dim=1),
                key_mask_BT=torch.cat([event_mask_WE, mask_WT[window_W]], dim=1),
                key_times_BT=torch.cat([event_times_WE, times_WT[window_W]], dim=1),
            )
            latents.append(read_WMD)
        latents_WMD = self.latents + torch.cat(latents).index_select(0, order_W.argsort())
        return latents_WMD + self.read.feed_forward(latents_WMD)


def event_parts(batch: ForecastBatch, *, others: int) -> list[tuple[Tensor, int]]:
    """Divide the windows of a batch into parts with about as many events.

    Parameters
    ----------
    batch : ForecastBatch
    others : int
        Tokens that each window holds beside its events.

    Returns
    -------
    list of (Tensor of int64, int)
        The windows of each part, and the event slots that they need.
    """
    return parts_of_windows(batch.event_mask_WE, others=others)
