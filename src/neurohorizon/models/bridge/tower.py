"""What all towers are: a hidden layer, and a linear way from it to the common space."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Tower(nn.Module, ABC):
    """Take standardised inputs to the space that responses share with pictures.

    Shapes: K inputs, W hidden dimensions, d dimensions of the common space.

    Parameters
    ----------
    num_hidden : int
        W, what other heads can read.
    num_outputs : int
        d.
    bias : bool
        Of the way from one to the other.
    """

    def __init__(self, num_hidden: int, num_outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.num_hidden = num_hidden
        self.to_space = nn.Linear(num_hidden, num_outputs, bias=bias)

    @abstractmethod
    def hidden(self, responses: Tensor) -> Tensor:
        """Return the hidden layer, (K, W)."""

    def forward(self, responses: Tensor) -> Tensor:
        """Return places in the common space, (K, d)."""
        return self.to_space(self.hidden(responses))
