"""From an embedding to tokens that a diffusion model reads in place of those of a text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.standard import Told
from neurohorizon.nn.attention import CrossBlock, SelfBlock

MOST_TOKENS = 77  # as many as a text of Stable Diffusion has


class TokenAdapter(Told):
    """Learned queries read the embedding, then each other, and become tokens.

    Parameters
    ----------
    num_dimensions : int
        Of the embeddings.
    num_outputs : int
        Width of the tokens: what the diffusion model's cross-attention reads, 768 of Stable
        Diffusion 1.5.
    num_tokens : int
        Up to 77.
    width : int
        Inside; a multiple of the number of heads.
    num_layers : int
        Blocks of self-attention that refine the tokens.
    num_heads : int
    num_parts : int
        Vectors that an embedding is split into, for the queries to choose from: of a single one
        all of them would read the same.

    Raises
    ------
    ConfigError
        If a size is out of its bounds.

    Notes
    -----
    Tokens end in a layer norm, as those of the text encoder do. Queries and blocks are as of the
    Q-Former (Li et al. 2023, "BLIP-2") and of IP-Adapter's resampler (Ye et al. 2023).
    """

    def __init__(
        self,
        *,
        num_dimensions: int,
        num_outputs: int,
        num_tokens: int = 16,
        width: int = 512,
        num_layers: int = 2,
        num_heads: int = 8,
        num_parts: int = 8,
    ) -> None:
        super().__init__(num_dimensions)
        if not 1 <= num_tokens <= MOST_TOKENS:
            raise ConfigError(f"{num_tokens} tokens: expected 1 to {MOST_TOKENS}")
        if min(num_outputs, num_heads, num_parts) < 1 or num_layers < 0:
            raise ConfigError(
                f"{num_outputs} outputs, {num_heads} heads, {num_parts} parts, {num_layers} "
                "layers: expected 1 or more, and no fewer than 0 layers"
            )
        if width < num_heads or width % num_heads:
            raise ConfigError(f"width is {width}: expected a multiple of the {num_heads} heads")
        self.num_outputs = num_outputs
        self.num_tokens = num_tokens
        self.width = width
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.num_parts = num_parts
        self.to_parts = nn.Linear(num_dimensions, num_parts * width)
        self.queries_TC = nn.Parameter(torch.randn(num_tokens, width))
        self.read = CrossBlock(width=width, num_heads=num_heads)
        self.refine = nn.ModuleList(
            SelfBlock(width=width, num_heads=num_heads) for _ in range(num_layers)
        )
        self.to_tokens = nn.Linear(width, num_outputs)
        self.norm = nn.LayerNorm(num_outputs)

    def forward(self, told_BD: Tensor) -> Tensor:
        """Return the tokens, (B, T, outputs), of what :meth:`Told.tell` made of embeddings."""
        parts = self.to_parts(told_BD).unflatten(1, (self.num_parts, self.width))
        tokens = self.queries_TC.expand(len(told_BD), -1, -1)
        tokens = self.read(tokens, self.read.attention.project(parts))
        for block in self.refine:
            tokens = block(tokens)
        return self.norm(self.to_tokens(tokens))
