"""Attention, with one seam for its backend.

Everything that attends goes through :func:`attend`, padded and masked
``scaled_dot_product_attention``: the form that runs and is tested everywhere.

Shapes: B batch, Q queries, T keys, D width, H heads, F features of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.nn.rotary import RotaryTime


def attend(
    queries_BHQF: Tensor,
    keys_BHTF: Tensor,
    values_BHTF: Tensor,
    *,
    key_mask_BT: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Attend to the keys that are there; a row with none of them returns zeros.

    `dropout` leaves out that share of what each query attends to.
    """
    if key_mask_BT is None:
        return functional.scaled_dot_product_attention(
            queries_BHQF, keys_BHTF, values_BHTF, is_causal=causal, dropout_p=dropout
        )
    assert not causal, "causal attention takes no padding mask: pad at the end instead"
    attended = functional.scaled_dot_product_attention(
        queries_BHQF,
        keys_BHTF,
        values_BHTF,
        attn_mask=key_mask_BT[:, None, None, :],
        dropout_p=dropout,
    )
    there_B = key_mask_BT.any(dim=1)
    if there_B.device.type == "cpu" and there_B.all():  # elsewhere asking costs more than doing
        return attended
    return torch.where(there_B[:, None, None, None], attended, 0.0)


def split_heads(features_BTD: Tensor, num_heads: int) -> Tensor:
    """Reshape (B, T, D) to (B, H, T, F)."""
    return features_BTD.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def join_heads(features_BHTF: Tensor) -> Tensor:
    """Reshape (B, H, T, F) to (B, T, D)."""
    return features_BHTF.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Pre-norm multi-head attention whose keys and values are projected by the caller.

    Projection is a method of its own because a spike's key and value, before rotation,
    depend only on its unit: they are projected once a unit and gathered for each spike. So do
    queries on what they ask for, whatever the window.

    Parameters
    ----------
    width : int
    num_heads : int
    head_width : int, optional
        Features of a head; by default heads share the width among them.
    rotary : RotaryTime, optional
        Rotates queries, keys and values where times are given (values are turned back by
        the query's time, so what arrives depends on time differences only).
    dropout : float
        On the output.
    attention_dropout : float
        On what each query attends to.
    """

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        head_width: int | None = None,
        rotary: RotaryTime | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        inner = width if head_width is None else num_heads * head_width
        self.num_heads = num_heads
        self.rotary = rotary
        self.attention_dropout = attention_dropout
        self.norm_query = nn.LayerNorm(width)
        self.norm_key = nn.LayerNorm(width)
        self.to_query = nn.Linear(width, inner, bias=False)
        self.to_key_value = nn.Linear(width, 2 * inner, bias=False)
        self.to_output = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def project(self, tokens_BTD: Tensor) -> Tensor:
        """Project tokens to keys and values, joined along the last axis: (B, T, 2 D)."""
        return self.to_key_value(self.norm_key(tokens_BTD))

    def project_queries(self, queries_BQD: Tensor) -> Tensor:
        """Project queries, (B, Q, H F)."""
        return self.to_query(self.norm_query(queries_BQD))

    def place(self, keys_values_BTE: Tensor, times_BT: Tensor) -> Tensor:
        """Rotate keys and values once, to be read many times; times of 0 change nothing."""
        return join_heads(self._heads(keys_values_BTE, times_BT))

    def _heads(self, keys_values_BTE: Tensor, times_BT: Tensor | None) -> Tensor:
        """Return the heads of the keys, then those of the values, rotated: (B, 2 H, T, F)."""
        heads = split_heads(keys_values_BTE, 2 * self.num_heads)
        if self.rotary is None or times_BT is None:
            return heads
        return self.rotary.rotate(heads, self.rotary.angles(times_BT))

    def forward(
        self,
        queries_BQD: Tensor,
        keys_values_BTE: Tensor,
        *,
        key_mask_BT: Tensor | None = None,
        query_times_BQ: Tensor | None = None,
        key_times_BT: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Return what the queries read, to be added to them.

        Without times, queries stand at 0; so do keys, unless they come from :meth:`place`.
        """
        queries = split_heads(self.project_queries(queries_BQD), self.num_heads)
        keys, values = self._heads(keys_values_BTE, key_times_BT).chunk(2, dim=1)
        query_angles = None
        if self.rotary is not None and query_times_BQ is not None:
            query_angles = self.rotary.angles(query_times_BQ)
            queries = self.rotary.rotate(queries, query_angles)
        read = self.attend(queries, keys, values, key_mask_BT=key_mask_BT, causal=causal)
        if self.rotary is not None and query_angles is not None:
            read = self.rotary.rotate(read, query_angles, inverse=True)
        return self.dropout(self.to_output(join_heads(read)))

    def attend(
        self,
        queries_BHQF: Tensor,
        keys_BHTF: Tensor,
        values_BHTF: Tensor,
        *,
        key_mask_BT: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Attend as :func:`attend` does, with this attention's dropout in training."""
        return attend(
            queries_BHQF,
            keys_BHTF,
            values_BHTF,
            key_mask_BT=key_mask_BT,
            causal=causal,
            dropout=self.attention_dropout if self.training else 0.0,
        )


class FeedForward(nn.Module):
    """Pre-norm two-layer network, to be added to its input."""

    def __init__(self, *, width: int, expansion: float = 2.0, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = int(width * expansion)
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the update of the tokens."""
        return self.layers(tokens)


class SelfBlock(nn.Module):
    """Self-attention and a feed-forward network, both residual."""

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        rotary: RotaryTime | None = None,
        expansion: float = 2.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention = Attention(width=width, num_heads=num_heads, rotary=rotary, dropout=dropout)
        self.feed_forward = FeedForward(width=width, expansion=expansion, dropout=dropout)

    def forward(
        self, tokens_BTD: Tensor, *, times_BT: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Return the updated tokens."""
        tokens_BTD = tokens_BTD + self.attention(
            tokens_BTD,
            self.attention.project(tokens_BTD),
            query_times_BQ=times_BT,
            key_times_BT=times_BT,
            causal=causal,
        )
        return tokens_BTD + self.feed_forward(tokens_BTD)

    def step(
        self, token_B1D: Tensor, past_BTE: Tensor | None, *, time_B1: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update one token that follows others, as causal attention over all of them would.

        Parameters
        ----------
        token_B1D : Tensor
        past_BTE : Tensor or None
            Keys and values of the tokens before it (the cache), rotated once by their times;
            None for the first token.
        time_B1 : Tensor
            Time of this token.

        Returns
        -------
        token_B1D, past_BTE : Tensor
            The second with this token's keys and values.
        """
        here_B1E = self.attention.place(self.attention.project(token_B1D), time_B1)
        past_BTE = here_B1E if past_BTE is None else torch.cat([past_BTE, here_B1E], dim=1)
        token_B1D = token_B1D + self.attention(token_B1D, past_BTE, query_times_BQ=time_B1)
        return token_B1D + self.feed_forward(token_B1D), past_BTE


class CrossBlock(nn.Module):
    """Cross-attention to given tokens and a feed-forward network, both residual."""

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        rotary: RotaryTime | None = None,
        expansion: float = 2.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention = Attention(width=width, num_heads=num_heads, rotary=rotary, dropout=dropout)
        self.feed_forward = FeedForward(width=width, expansion=expansion, dropout=dropout)

    def forward(
        self,
        queries_BQD: Tensor,
        keys_values_BTE: Tensor,
        *,
        key_mask_BT: Tensor | None = None,
        query_times_BQ: Tensor | None = None,
        key_times_BT: Tensor | None = None,
    ) -> Tensor:
        """Return the updated queries.

        `keys_values_BTE` comes from ``attention.project`` or, without times, ``attention.place``.
        """
        queries_BQD = queries_BQD + self.attention(
            queries_BQD,
            keys_values_BTE,
            key_mask_BT=key_mask_BT,
            query_times_BQ=query_times_BQ,
            key_times_BT=key_times_BT,
        )
        return queries_BQD + self.feed_forward(queries_BQD)
