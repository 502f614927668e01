r"""Contrastive losses: each response to its own picture among those of the batch, and back.

Shapes: n pairs; ``logits_nn`` holds similarities times the inverse temperature, responses down,
pictures across, right pairs on the diagonal.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Temperature(nn.Module):
    """The learned inverse temperature of a contrastive loss, clamped.

    Parameters
    ----------
    start : float
        Inverse temperature at the start; 1 / 0.07 is CLIP's.
    most : float
        Above which it does not go: 100, as CLIP's.
    """

    def __init__(self, *, start: float = 1 / 0.07, most: float = 100.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)))
        self.most = math.log(most)

    def forward(self) -> Tensor:
        """Return the inverse temperature."""
        return self.log_scale.clamp(max=self.most).exp()


def info_nce(logits_nn: Tensor, *, smoothing: float = 0.0) -> Tensor:
    r"""Return the symmetric InfoNCE loss.

    .. math:: -\frac{1}{2n} \sum_i \Bigl( \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}
              + \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \Bigr)

    Parameters
    ----------
    logits_nn : Tensor
    smoothing : float
        Share of the target that goes to all pairs of the batch alike.

    References
    ----------
    van den Oord et al. 2018, "Representation learning with contrastive predictive coding";
    Radford et al. 2021 (CLIP).
    """
    right_n = torch.arange(len(logits_nn), device=logits_nn.device)
    forth = functional.cross_entropy(logits_nn, right_n, label_smoothing=smoothing)
    back = functional.cross_entropy(logits_nn.T, right_n, label_smoothing=smoothing)
    return (forth + back) / 2


def soft_clip(logits_nn: Tensor, image_nD: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Return InfoNCE towards how similar the pictures are among each other.

    Parameters
    ----------
    logits_nn : Tensor
    image_nD : Tensor
        Pictures in the common space.
    temperature : float
        Of the cosines between pictures; near 0 it is InfoNCE.

    References
    ----------
    Gao et al. 2024, "SoftCLIP: softer cross-modal alignment makes CLIP stronger"; used as in
    Scotti et al. 2023 (MindEye).
    """
    unit_nD = functional.normalize(image_nD.detach(), dim=1)
    target_nn = (unit_nD @ unit_nD.T / temperature).softmax(dim=1)
    return towards(logits_nn, target_nn)


def towards(logits_nn: Tensor, target_nn: Tensor) -> Tensor:
    """Return the symmetric cross entropy to a target whose rows are distributions.

    Its columns, made to sum to 1, are the target of the way back.
    """
    back_nn = target_nn.T / target_nn.sum(dim=0).clamp(min=1e-12)[:, None]
    forth = -(target_nn * logits_nn.log_softmax(dim=1)).sum(dim=1).mean()
    back = -(back_nn * logits_nn.T.log_softmax(dim=1)).sum(dim=1).mean()
    return (forth + back) / 2


def mix_responses(
    responses_nN: Tensor, *, generator: np.random.Generator, concentration: float = 0.15
) -> tuple[Tensor, Tensor]:
    """Mix each response with another one of the batch, as BiMixCo does.

    Parameters
    ----------
    responses_nN : Tensor
        (n, N) or (n, N, B).
    generator : numpy Generator
    concentration : float
        Of the symmetric Beta distribution from which the shares are drawn.

    Returns
    -------
    mixed_nN : Tensor
    target_nn : Tensor
        Shares of the pictures in each mixed response: the target of :func:`towards`.

    References
    ----------
    Kim et al. 2020, "MixCo: mix-up contrastive learning for visual representation"; Scotti et al.
    2023 (MindEye), where the loss goes both ways.
    """
    num = len(responses_nN)
    share_n = torch.from_numpy(generator.beta(concentration, concentration, num)).to(responses_nN)
    other_n = torch.from_numpy(generator.permutation(num)).to(responses_nN.device)
    wide = share_n.reshape(-1, *([1] * (responses_nN.ndim - 1)))
    mixed_nN = wide * responses_nN + (1 - wide) * responses_nN[other_n]
    target_nn = torch.diag(share_n)
    target_nn[torch.arange(num, device=share_n.device), other_n] += 1 - share_n
    return mixed_nN, target_nn
