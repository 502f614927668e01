"""Dropout that draws four features at once drops as torch's does."""

import pytest
import torch
from torch.nn import functional

from neurohorizon.nn.dropout import add_dropped, draw_kept, gate


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_features_stay_by_the_rate_each_on_its_own(rate):
    factors = draw_kept(torch.zeros(1001, 999), rate)
    kept, scale = factors != 0, factors.max().item()
    deviation = (rate * (1 - rate) / kept.numel()) ** 0.5
    assert abs(kept.float().mean().item() - (1 - rate)) < 5 * deviation
    assert abs(scale * (1 - rate) - 1) < 2e-4
    flat = kept.flatten()[: 4 * 249_999].view(-1, 4).double()
    # The four of one draw, and neighbours of two draws, do not go together.
    apart = torch.cat([flat, flat.roll(1, 0)], dim=1).T.corrcoef()
    off_diagonal = apart - torch.eye(8)
    assert off_diagonal.abs().max() < 5 / 250_000**0.5


def test_nothing_and_all():
    assert draw_kept(torch.zeros(100), 0.0).eq(1).all()
    assert draw_kept(torch.zeros(100), 1.0).eq(0).all()
    tokens, update = torch.randn(3, 5), torch.randn(3, 5)
    assert torch.equal(add_dropped(tokens, update, 0.0), tokens + update)
    assert torch.equal(add_dropped(tokens, update, 1.0), tokens)


def test_the_same_seed_drops_the_same():
    tokens, update = torch.zeros(7, 9), torch.ones(7, 9)
    torch.manual_seed(3)
    first = add_dropped(tokens, update, 0.4)
    second = add_dropped(tokens, update, 0.4)
    torch.manual_seed(3)
    assert torch.equal(add_dropped(tokens, update, 0.4), first)
    assert not torch.equal(first, second)


def test_an_update_is_dropped_and_scaled_and_tokens_are_not():
    tokens = torch.randn(50, 30, requires_grad=True)
    update = torch.randn(50, 30, requires_grad=True)
    total = add_dropped(tokens, update, 0.25)
    kept = (total - tokens).detach() != 0
    expected = tokens + torch.where(kept, update / 0.75, torch.zeros(()))
    torch.testing.assert_close(total, expected)
    weights = torch.randn(50, 30)
    found = torch.autograd.grad((total * weights).sum(), (tokens, update))
    told = torch.autograd.grad((expected * weights).sum(), (tokens, update))
    for one, other in zip(found, told, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_the_gate_is_geglu_with_its_gradient(rate):
    expanded = torch.randn(40, 16, requires_grad=True)
    gated = gate(expanded, rate)
    values, gates = expanded.chunk(2, dim=-1)
    expected = values * functional.gelu(gates)
    if rate:
        kept = gated.detach() != 0
        assert 0.7 < kept.float().mean() < 0.9
        expected = torch.where(kept, expected / (1 - rate), torch.zeros(()))
    torch.testing.assert_close(gated, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(gate(expanded, 0.0), values * functional.gelu(gates))
    weights = torch.randn(40, 8)
    found = torch.autograd.grad((gated * weights).sum(), expanded)[0]
    told = torch.autograd.grad((expected * weights).sum(), expanded)[0]
    torch.testing.assert_close(found, told, rtol=1e-4, atol=1e-5)
