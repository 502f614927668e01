"""Names of the rows of the ladder, apart from the code that fits them."""

from __future__ import annotations

from typing import Literal

RowName = Literal[
    "ridge",
    "whitened ridge",
    "encoding model",
    "linear InfoNCE",
    "MLP InfoNCE",
    "MLP SoftCLIP",
    "MLP BiMixCo",
    "deep MLP BiMixCo",
    "temporal attention",
    "Perceiver",
    "Perceiver, pretrained, frozen",
    "Perceiver, pretrained, gradual",
    "Perceiver, pretrained",
]
PRETRAINED = "Perceiver, pretrained"
"""How the names of rows begin that start from what masked pretraining learned."""
