"""Say hidden responses from those that can be read: what a bridge's Perceiver can start from.

The trunk of the Perceiver reads what is not hidden. Each hidden place asks the region tokens by a
query of its own, made of its electrode, area and time bin, and an electrode's own weights, times
those of the time bin, turn what the query found into a standardised response: linearly, as the
trunk does the work, and only the trunk goes on to a bridge. Pictures play no part, so responses to
any pictures teach, whether their embeddings are known or not.

Azabou et al. 2025 (CaPOYO); He et al. 2022 (masked autoencoders: the encoder sees only what is not
hidden); Jaegle et al. 2022 (Perceiver IO: outputs by queries).

Shapes: K responses, T places (electrodes times bins), P hidden places of all responses together, D
width, L region tokens, C categories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurohorizon.models.bridge.inputs import ResponseScale
from neurohorizon.models.bridge.perceiver import PerceiverTrunk
from neurohorizon.nn.attention import split_heads


@dataclass(frozen=True)
class MaskedSpec:
    """What a model of hidden responses is made of.

    Parameters
    ----------
    shape : tuple of int
        Of one response: (N,) or (N, B).
    areas : tuple of int
        Area of each electrode, from 0.
    root : bool
        Take the square root of the responses.
    width, num_layers, num_heads, num_latents, dropout
        As of :class:`~neurohorizon.models.bridge.perceiver.PerceiverTrunk`.
    num_categories : int
        C; 0 for none.
    """

    shape: tuple[int, ...]
    areas: tuple[int, ...]
    root: bool = False
    width: int = 128
    num_layers: int = 2
    num_heads: int = 4
    num_latents: int = 2
    dropout: float = 0.2
    num_categories: int = 0

    @property
    def num_bins(self) -> int:
        """Time bins; 1 where there are none."""
        return math.prod(self.shape[1:])


class MaskedModel(PerceiverTrunk):
    """Predict hidden places of standardised responses.

    Parameters
    ----------
    spec : MaskedSpec

    Raises
    ------
    ConfigError
        If heads do not share the width evenly.
    """

    def __init__(self, spec: MaskedSpec) -> None:
        super().__init__(
            spec.areas,
            spec.num_bins,
            width=spec.width,
            num_layers=spec.num_layers,
            num_heads=spec.num_heads,
            num_latents=spec.num_latents,
            dropout=spec.dropout,
        )
        self.spec = spec
        self.scale = ResponseScale(spec.shape, root=spec.root)
        num_units, width = len(spec.areas), spec.width
        # Not the embeddings of the reading: by those an electrode is found, by these it is asked.
        self.ask_unit = nn.Parameter(0.5 * torch.randn(num_units, width))
        self.ask_area = nn.Parameter(0.5 * torch.randn(max(spec.areas) + 1, width))
        self.ask_bin = nn.Parameter(0.5 * torch.randn(spec.num_bins, width))
        self.norm_ask, self.norm_token = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_key_value = nn.Linear(width, 2 * width, bias=False)
        self.dropout = nn.Dropout(spec.dropout)
        # Near 0, so that the untrained model says about the mean.
        self.answer = nn.Parameter(0.1 * width**-0.5 * torch.randn(num_units, width))
        self.answer_bin = nn.Parameter(torch.ones(spec.num_bins, width))
        self.classifier = None
        if spec.num_categories:
            self.classifier = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, spec.num_categories)
            )

    def forward(
        self, responses_KT: Tensor, hidden_KT: Tensor, there_KT: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Predict what is hidden.

        Parameters
        ----------
        responses_KT : (K, T) Tensor
            Standardised.
        hidden_KT : (K, T) bool Tensor
            What is to be said.
        there_KT : (K, T) bool Tensor
            What was measured: the rest is not read, and not said either.

        Returns
        -------
        (P,) Tensor
            Response by response, in the order of places.
        (K, C) Tensor or None
            Logits of categories.
        """
        tokens_KLD = self.region_tokens(responses_KT, hidden_KT | ~there_KT)
        logits_KC = None if self.classifier is None else self.classifier(tokens_KLD.mean(dim=1))
        return self._say(tokens_KLD, hidden_KT), logits_KC

    def _say(self, tokens_KLD: Tensor, hidden_KT: Tensor) -> Tensor:
        """Ask region tokens for hidden places, (P,)."""
        num_heads = self.spec.num_heads
        area_N = torch.tensor(self.spec.areas, device=tokens_KLD.device)
        ask_ND = self.ask_unit + self.ask_area[area_N]
        ask_TD = (ask_ND[:, None] + self.ask_bin).flatten(0, 1)
        answer_TD = (self.answer[:, None] * self.answer_bin).flatten(0, 1)
        asks_HTF, answers_HTF = (
            split_heads(each[None], num_heads)[0] for each in (self.norm_ask(ask_TD), answer_TD)
        )
        keys_values = self.dropout(self.to_key_value(self.norm_token(tokens_KLD)))
        keys_KHLF, values_KHLF = split_heads(keys_values, 2 * num_heads).chunk(2, dim=1)
        # Asks and answers are the same for every response, and tokens few: what each token would
        # say comes before the mean over tokens, which then is of numbers, not of vectors.
        scores_KHLT = keys_KHLF @ asks_HTF.mT * keys_KHLF.shape[-1] ** -0.5
        said_KHLT = values_KHLF @ answers_HTF.mT
        return (scores_KHLT.softmax(dim=2) * said_KHLT).sum(dim=(1, 2))[hidden_KT]
