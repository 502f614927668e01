"""A Perceiver in time: latents on a grid of times read tokens, work, and are read by queries.

Shapes: W windows, E tokens, T steps of the grid, M latents (T steps of as many), Q queries,
G kinds of queries, D width, H heads, F features of a head, K keys and values.

References
----------
Jaegle et al. 2021, Perceiver IO, arXiv:2107.14795; Azabou et al. 2023 (POYO),
arXiv:2310.16046, for latents and queries that stand in time; Shazeer 2020, GLU variants,
arXiv:2002.05202, for the feed-forward network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.nn.attention import Attention, attend, join_heads
from neurohorizon.nn.rotary import Angles, RotaryTime


class GatedFeedForward(nn.Module):
    """Pre-norm two-layer network with gated units (GEGLU), to be added to its input."""

    def __init__(self, *, width: int, expansion: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * expansion * width)
        self.dropout = nn.Dropout(dropout)
        self.contract = nn.Linear(expansion * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the update of the tokens."""
        values, gates = self.expand(self.norm(tokens)).chunk(2, dim=-1)
        return self.contract(self.dropout(values * functional.gelu(gates)))


class SelfAttention(nn.Module):
    """Pre-norm self-attention whose queries, keys and values share one norm; rotary.

    Parameters
    ----------
    width, num_heads, head_width : int
    rotary : RotaryTime
        Rotates queries, keys and values, and turns what is read back.
    attention_dropout : float
        On what each token attends to.
    """

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        head_width: int,
        rotary: RotaryTime,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.rotary = rotary
        self.attention_dropout = attention_dropout
        self.norm = nn.LayerNorm(width)
        self.to_query_key_value = nn.Linear(width, 3 * num_heads * head_width, bias=False)
        self.to_output = nn.Linear(num_heads * head_width, width)

    def forward(self, tokens_WMD: Tensor, angles: Angles) -> Tensor:
        """Return the update of tokens that stand at given angles."""
        projected = self.to_query_key_value(self.norm(tokens_WMD))
        heads = projected.unflatten(-1, (3 * self.num_heads, -1)).transpose(1, 2)
        queries, keys, values = self.rotary.rotate(heads, angles).chunk(3, dim=1)
        read = attend(
            queries, keys, values, dropout=self.attention_dropout if self.training else 0.0
        )
        return self.to_output(join_heads(self.rotary.rotate(read, angles, inverse=True)))


class Layer(nn.Module):
    """Self-attention and a feed-forward network, both residual, with dropout on both."""

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        head_width: int,
        rotary: RotaryTime,
        dropout: float,
        layer_dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(
            width=width,
            num_heads=num_heads,
            head_width=head_width,
            rotary=rotary,
            attention_dropout=attention_dropout,
        )
        self.feed_forward = GatedFeedForward(width=width, dropout=dropout)
        self.dropout = nn.Dropout(layer_dropout)

    def forward(self, tokens_WMD: Tensor, angles: Angles) -> Tensor:
        """Return the updated tokens."""
        tokens_WMD = tokens_WMD + self.dropout(self.attention(tokens_WMD, angles))
        return tokens_WMD + self.dropout(self.feed_forward(tokens_WMD))


class Perceiver(nn.Module):
    """Latents on a grid of times, read and worked on.

    Parameters
    ----------
    width, num_layers : int
    length_s : float
        Of a window.
    latent_step_s : float
        Of the grid; latents stand in the middle of its steps.
    num_latents_per_step : int
        Kinds of latents; all of them stand at every step.
    head_width, num_cross_heads, num_self_heads : int
        Of attention; heads need not share the width among them.
    dropout : float
        In feed-forward networks.
    layer_dropout : float
        On what each layer adds.
    attention_dropout : float
    shortest_s, longest_s : float
        Range of the periods by which time is told.
    scale : float
        Standard deviation of the latents at initialisation.
    """

    latent_times_M: Tensor
    latent_cosine: Tensor
    latent_sine: Tensor

    def __init__(
        self,
        *,
        width: int,
        num_layers: int,
        length_s: float,
        latent_step_s: float,
        num_latents_per_step: int,
        head_width: int,
        num_cross_heads: int,
        num_self_heads: int,
        dropout: float,
        layer_dropout: float,
        attention_dropout: float,
        shortest_s: float,
        longest_s: float,
        scale: float,
    ) -> None:
        super().__init__()
        rotary = RotaryTime(
            head_width=head_width, shortest_s=shortest_s, longest_s=longest_s, precise=True
        )
        self.rotary = rotary
        # The bound is closed to where the last step would add but a rounding error.
        times_T = torch.arange(0.0, length_s - 1e-9, latent_step_s, dtype=torch.float64)
        times_M = (times_T + latent_step_s / 2).repeat_interleave(num_latents_per_step)
        self.register_buffer("latent_times_M", times_M.float(), persistent=False)
        # Of the times in float64, which some devices do not have.
        cosine, sine = rotary.angles(times_M[None])
        self.register_buffer("latent_cosine", cosine, persistent=False)
        self.register_buffer("latent_sine", sine, persistent=False)
        self.num_steps = len(times_T)
        self.latents = nn.Parameter(scale * torch.randn(num_latents_per_step, width))
        self.reading = Attention(
            width=width,
            num_heads=num_cross_heads,
            head_width=head_width,
            rotary=rotary,
            attention_dropout=attention_dropout,
        )
        self.after_reading = GatedFeedForward(width=width, dropout=dropout)
        self.layers = nn.ModuleList(
            Layer(
                width=width,
                num_heads=num_self_heads,
                head_width=head_width,
                rotary=rotary,
                dropout=dropout,
                layer_dropout=layer_dropout,
                attention_dropout=attention_dropout,
            )
            for _ in range(num_layers)
        )
        self.answering = Attention(
            width=width,
            num_heads=num_cross_heads,
            head_width=head_width,
            rotary=rotary,
            rotate_values=False,
            attention_dropout=attention_dropout,
        )
        self.after_answering = GatedFeedForward(width=width, dropout=dropout)

    @property
    def latent_angles(self) -> Angles:
        """Angles of the latents' times, the same in every window."""
        return self.latent_cosine, self.latent_sine

    def read(self, keys_values_WEK: Tensor, times_WE: Tensor, mask_WE: Tensor) -> Tensor:
        """Let the latents read tokens that ``reading.project`` projected, (W, M, D).

        Returns
        -------
        Tensor
            What they read, to be added to them in :meth:`work`.
        """
        # A latent's query depends on its kind alone before rotation.
        kinds = self.reading.project_queries(self.latents[None])
        return self.reading.read(
            kinds.repeat(1, 1, self.num_steps, 1),
            keys_values_WEK,
            key_mask_BT=mask_WE,
            query_angles=self.latent_angles,
            key_angles=self.rotary.angles(times_WE),
        )

    def work(self, read_WMD: Tensor) -> Tensor:
        """Return the latents after all layers, (W, M, D)."""
        latents_WMD = self.latents.repeat(self.num_steps, 1) + read_WMD
        latents_WMD = latents_WMD + self.after_reading(latents_WMD)
        for layer in self.layers:
            latents_WMD = layer(latents_WMD, self.latent_angles)
        return latents_WMD

    def answer(
        self,
        latents_WMD: Tensor,
        queries_WGD: Tensor,
        *,
        kind_WQ: Tensor,
        times_WQ: Tensor,
        mask_WQ: Tensor,
    ) -> Tensor:
        """Let queries read the latents.

        Parameters
        ----------
        latents_WMD : Tensor
        queries_WGD : Tensor
            One query of each kind; what it reads depends on when it is asked.
        kind_WQ : Tensor of int64
            Kind of each query asked.
        times_WQ : Tensor
            When, in seconds since the window's start.
        mask_WQ : Tensor of bool
            False for padding.

        Returns
        -------
        Tensor
            (n, D), a row for each query that is none of the padding, window after window.
        """
        heads_WHGF = self.answering.project_queries(queries_WGD)
        kinds_WHQF = kind_WQ[:, None, :, None].expand(
            -1, heads_WHGF.shape[1], -1, heads_WHGF.shape[3]
        )
        read_WQD = self.answering.read(
            heads_WHGF.gather(2, kinds_WHQF),
            self.answering.project(latents_WMD),
            query_angles=self.rotary.angles(times_WQ),
            key_angles=self.latent_angles,
        )
        window_n, _ = mask_WQ.nonzero(as_tuple=True)
        queries_nD = queries_WGD[window_n, kind_WQ[mask_WQ]] + read_WQD[mask_WQ]
        return queries_nD + self.after_answering(queries_nD)
