"""Scheduled sampling: how a model that feeds counts back learns to live with its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from neurohorizon.models.autoregressive import Autoregressive, Direct
from neurohorizon.models.decoders import DecoderInput

Schedule = Literal["constant", "linear", "exponential", "inverse_sigmoid"]
#: How steep the inverse sigmoid is: its logit goes from half of it to minus half of it.
_STEEPNESS = 10.0


@dataclass(frozen=True)
class TeacherForcing:
    r"""Share of bins whose true counts are fed back in training, by progress.

    Parameters
    ----------
    schedule : {"constant", "linear", "exponential", "inverse_sigmoid"}
        ``constant`` stays at 1: teacher forcing throughout, the exact likelihood.
    warmup_share : float
        Share of the steps in which it is 1.
    floor : float
        Where it ends, above 0 and at most 1.

    Notes
    -----
    With u from 0 at the end of the warm-up to 1 at the last step, and floor f,

    .. math::

        \text{linear: } 1 - (1 - f) u, \qquad
        \text{exponential: } f^u, \qquad
        \text{inverse sigmoid: } f + (1 - f)
        \frac{\sigma(k (1/2 - u)) - \sigma(-k/2)}{\sigma(k/2) - \sigma(-k/2)}

    with k = 10.

    Only ``constant`` gives paths that are drawn from what the data say. Where few counts are
    true, a model learns to make much of each, and overdoes it where all bins are fed back; fed
    with samples of its own it learns, as the share goes to 0, the distribution of each bin by
    itself (Huszar 2015). The other schedules are for forecasts with expected feedback.

    References
    ----------
    Bengio et al. 2015 (scheduled sampling), arXiv:1506.03099; Mihaylova & Martins 2019 (two
    passes in parallel), arXiv:1906.07651; Huszar 2015, arXiv:1511.05101.

    Examples
    --------
    >>> forcing = TeacherForcing(schedule="linear", warmup_share=0.2, floor=0.1)
    >>> [round(forcing.share(progress), 2) for progress in (0.0, 0.2, 0.6, 1.0)]
    [1.0, 1.0, 0.55, 0.1]
    """

    schedule: Schedule = "constant"
    warmup_share: float = 0.1
    floor: float = 0.1

    def __post_init__(self) -> None:
        assert 0 <= self.warmup_share < 1
        assert 0 < self.floor <= 1

    def share(self, progress: float) -> float:
        """Return the share of bins that are told the truth.

        Parameters
        ----------
        progress : float
            Share of the training's steps that were taken.
        """
        if self.schedule == "constant" or progress <= self.warmup_share:
            return 1.0
        u = min((progress - self.warmup_share) / (1.0 - self.warmup_share), 1.0)
        if self.schedule == "linear":
            return 1.0 - (1.0 - self.floor) * u
        if self.schedule == "exponential":
            return self.floor**u
        ends = _sigmoid(-_STEEPNESS / 2), _sigmoid(_STEEPNESS / 2)
        fallen = (_sigmoid(_STEEPNESS * (0.5 - u)) - ends[0]) / (ends[1] - ends[0])
        return self.floor + (1.0 - self.floor) * fallen


def mix_counts(
    decoder: Autoregressive,
    given: DecoderInput,
    direct: Direct,
    counts_WNB: Tensor,
    *,
    share: float,
) -> Tensor:
    """Mix true counts with a model's own, by window and bin.

    Parameters
    ----------
    decoder : Autoregressive
    given : DecoderInput
    direct : Direct
        The decoder's forecast before anything is fed back.
    counts_WNB : Tensor
        What was observed.
    share : float
        Probability of the truth. A bin of a window is true, or the model's, for all units:
        a population of which some units are true and others invented has never been.

    Returns
    -------
    (W, N, B) Tensor
        What the model is to be told in a second pass.

    Notes
    -----
    The model's own counts come from a first pass over all bins at once. That pass is told the same
    true counts as the second, and direct forecasts in place of the others. Were it told all true
    counts, its forecasts would carry the withheld ones on to the second pass, which would learn to
    read them there and meet nothing of the kind in a roll-out.
    """
    true_W1B = torch.rand_like(counts_WNB[:, :1]) < share
    with torch.no_grad():
        first_WNBP = decoder.correct(
            replace(given, units_WQ=None),
            direct,
            torch.where(true_W1B, counts_WNB, direct.expected_WNB),
        )
        if decoder.feedback == "expected":
            own_WNB = decoder.likelihood.mean(first_WNBP)
        else:
            own_WNB = decoder.likelihood.sample(first_WNBP)
    return torch.where(true_W1B, counts_WNB, own_WNB)


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))
