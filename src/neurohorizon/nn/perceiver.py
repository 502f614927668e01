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

from neurohorizon.nn.attention import Attention, attend
from neurohorizon.nn.dropout import add_dropped, gate
from neurohorizon.nn.rotary_pairs import RotaryPairs, split_and_turn_, turn, turn_back_


class GatedFeedForward(nn.Module):
    """Pre-norm two-layer network with gated units (GEGLU), to be added to its input.

    Parameters
    ----------
    width : int
    expansion : int
        Gated units over the width.
    dropout : float
        On the gated units.
    """

    def __init__(self, *, width: int, expansion: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the update of the tokens."""
        rate = self.dropout if self.training else 0.0
        return self.contract(gate(self.expand(self.norm(tokens)), rate))


class SelfAttention(nn.Module):
    """Pre-norm self-attention whose queries, keys and values share one norm, all of them turned.

    Parameters
    ----------
    width, num_heads, head_width : int
    attention_dropout : float
        On what each token attends to.
    """

    def __init__(
        self, *, width: int, num_heads: int, head_width: int, attention_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.norm = nn.LayerNorm(width)
        self.to_query_key_value = nn.Linear(width, 3 * num_heads * head_width, bias=False)
        self.to_output = nn.Linear(num_heads * head_width, width)

    def forward(self, tokens_WMD: Tensor, turns: Tensor) -> Tensor:
        """Return the update of tokens, given the turns of their times."""
        queries, keys, values = split_and_turn_(
            self.to_query_key_value(self.norm(tokens_WMD)),
            turns,
            num_heads=self.num_heads,
            num_parts=3,
            num_turned=3,
        )
        read = attend(
            queries, keys, values, dropout=self.attention_dropout if self.training else 0.0
        )
        return self.to_output(turn_back_(read.transpose(1, 2), turns).flatten(2))


class Layer(nn.Module):
    """Self-attention and a feed-forward network, both residual, with dropout on both."""

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        head_width: int,
        dropout: float,
        layer_dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.dropout = layer_dropout
        self.attention = SelfAttention(
            width=width,
            num_heads=num_heads,
            head_width=head_width,
            attention_dropout=attention_dropout,
        )
        self.feed_forward = GatedFeedForward(width=width, dropout=dropout)

    def forward(self, tokens_WMD: Tensor, turns: Tensor) -> Tensor:
        """Return the updated tokens, given the turns of their times."""
        rate = self.dropout if self.training else 0.0
        tokens_WMD = add_dropped(tokens_WMD, self.attention(tokens_WMD, turns), rate)
        return add_dropped(tokens_WMD, self.feed_forward(tokens_WMD), rate)


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
    latent_turns: Tensor

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
        self.rotary = RotaryPairs(head_width=head_width, shortest_s=shortest_s, longest_s=longest_s)
        # The bound is closed to where the last step would add but a rounding error.
        times_T = torch.arange(0.0, length_s - 1e-9, latent_step_s, dtype=torch.float64)
        times_M = (times_T + latent_step_s / 2).repeat_interleave(num_latents_per_step)
        self.register_buffer("latent_times_M", times_M.float(), persistent=False)
        # Of the times in float64, which some devices do not have.
        self.register_buffer("latent_turns", self.rotary.turns(times_M[None]), persistent=False)
        self.num_steps = len(times_T)
        self.latents = nn.Parameter(scale * torch.randn(num_latents_per_step, width))
        self.reading = Attention(
            width=width,
            num_heads=num_cross_heads,
            head_width=head_width,
            attention_dropout=attention_dropout,
        )
        self.after_reading = GatedFeedForward(width=width, dropout=dropout)
        self.layers = nn.ModuleList(
            Layer(
                width=width,
                num_heads=num_self_heads,
                head_width=head_width,
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
            attention_dropout=attention_dropout,
        )
        self.after_answering = GatedFeedForward(width=width, dropout=dropout)

    def read(self, keys_values_WEK: Tensor, times_WE: Tensor, mask_WE: Tensor) -> Tensor:
        """Let the latents read tokens, (W, M, D).

        Parameters
        ----------
        keys_values_WEK : Tensor
            As ``reading.project`` projects tokens. It is overwritten: nothing else may hold it.
        times_WE : Tensor
            Seconds since the window's start.
        mask_WE : Tensor of bool
            False for padding.

        Returns
        -------
        Tensor
            What they read, to be added to them in :meth:`work`.
        """
        queries, keys, values = self._meet(keys_values_WEK, times_WE)
        read = self.reading.attend(queries, keys, values, key_mask_BT=mask_WE)
        read = turn_back_(read.transpose(1, 2), self.latent_turns)
        return self.reading.to_output(read.flatten(2))

    def attended(self, keys_values_WEK: Tensor, times_WE: Tensor, mask_WE: Tensor) -> Tensor:
        """Return how much the latents attend to each token as :meth:`read` reads it, (W, E).

        The mean over latents and heads; it sums to 1 over the tokens of a window.
        """
        queries, keys, _ = self._meet(keys_values_WEK, times_WE)
        scores = queries @ keys.transpose(2, 3) / queries.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask_WE[:, None, None], -torch.inf)
        return scores.softmax(dim=-1).mean(dim=(1, 2))

    def _meet(self, keys_values_WEK: Tensor, times_WE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries of the latents, and keys and values of tokens, all turned."""
        attention = self.reading
        # A latent's query depends on its kind alone before it is turned.
        kinds = attention.project_queries(self.latents).repeat(self.num_steps, 1)
        queries = turn(kinds.unflatten(-1, (attention.num_heads, -1))[None], self.latent_turns)
        keys, values = split_and_turn_(
            keys_values_WEK,
            self.rotary.turns(times_WE),
            num_heads=attention.num_heads,
            num_parts=2,
            num_turned=2,
        )
        return queries.transpose(1, 2).expand(len(keys), -1, -1, -1), keys, values

    def work(self, read_WMD: Tensor) -> Tensor:
        """Return the latents after all layers, (W, M, D)."""
        latents_WMD = self.latents.repeat(self.num_steps, 1) + read_WMD
        latents_WMD = latents_WMD + self.after_reading(latents_WMD)
        for layer in self.layers:
            latents_WMD = layer(latents_WMD, self.latent_turns)
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
        attention = self.answering
        window_W1 = torch.arange(len(kind_WQ), device=kind_WQ.device)[:, None]
        asked_WQE = attention.project_queries(queries_WGD)[window_W1, kind_WQ]
        (queries,) = split_and_turn_(
            asked_WQE,
            self.rotary.turns(times_WQ),
            num_heads=attention.num_heads,
            num_parts=1,
            num_turned=1,
        )
        keys, values = split_and_turn_(
            attention.project(latents_WMD),
            self.latent_turns,
            num_heads=attention.num_heads,
            num_parts=2,
            num_turned=1,
        )
        read = attention.attend(queries, keys, values).transpose(1, 2).flatten(2)
        window_n, _ = mask_WQ.nonzero(as_tuple=True)
        queries_nD = queries_WGD[window_n, kind_WQ[mask_WQ]] + attention.to_output(read[mask_WQ])
        return queries_nD + self.after_answering(queries_nD)
