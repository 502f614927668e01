import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional

from neurohorizon.nn.contrastive import (
    Temperature,
    info_nce,
    mix_responses,
    soft_clip,
    towards,
)


def logits(num=7, seed=0):
    return torch.randn(num, num, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_info_nce_is_the_mean_of_both_ways():
    given = logits()
    forth = -np.diag(log_softmax(given.numpy(), axis=1)).mean()
    back = -np.diag(log_softmax(given.numpy(), axis=0)).mean()
    assert info_nce(given).item() == pytest.approx((forth + back) / 2)


def test_nothing_known_costs_the_logarithm_of_the_batch():
    assert info_nce(torch.zeros(9, 9)).item() == pytest.approx(math.log(9))


def test_soft_clip_tends_to_info_nce_where_pictures_are_unlike():
    given, pictures = logits(), torch.eye(7, dtype=torch.float64)
    assert soft_clip(given, pictures, temperature=1e-3).item() == pytest.approx(
        info_nce(given).item()
    )
    same = torch.ones(7, 3, dtype=torch.float64)
    uniform = torch.full((7, 7), 1 / 7, dtype=torch.float64)
    assert soft_clip(given, same).item() == pytest.approx(towards(given, uniform).item())


def test_mixed_responses_have_the_target_that_mixed_them():
    responses = torch.randn(50, 4, 3, dtype=torch.float64)
    mixed, target = mix_responses(responses, generator=np.random.default_rng(0))
    assert torch.allclose(target.sum(dim=1), torch.ones(50, dtype=torch.float64))
    assert torch.allclose(mixed, torch.einsum("ij,jnb->inb", target, responses))
    assert (target > 0).sum(dim=1).max() == 2
    back = target.T / target.sum(dim=0)[:, None]
    there = functional.cross_entropy(logits(50), target)
    and_back = functional.cross_entropy(logits(50).T, back)
    both = (there + and_back).item() / 2
    assert towards(logits(50), target).item() == pytest.approx(both)


def test_the_temperature_is_clamped_and_learned():
    temperature = Temperature(start=10.0, most=20.0)
    assert temperature().item() == pytest.approx(10.0)
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    assert temperature().item() == pytest.approx(20.0)
    assert sum(each.numel() for each in temperature.parameters()) == 1
