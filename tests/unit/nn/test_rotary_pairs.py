"""Turning by time: its formula, its gradient, and over many turns."""

import pytest
import torch

from neurohorizon.nn.rotary_pairs import RotaryPairs, split_and_turn_, turn, turn_back_


def drawn(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def formula(heads, turns):
    """Turn by the two-dimensional rotation, in real numbers."""
    cosine, sine = turns.real, turns.imag
    width = 2 * turns.shape[-1]
    even, odd = heads[..., :width:2], heads[..., 1:width:2]
    turned = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1)
    return torch.cat([turned.flatten(-2), heads[..., width:]], dim=-1)


@pytest.fixture
def turns():
    rotary = RotaryPairs(head_width=8, shortest_s=0.01, longest_s=2.0)
    return rotary.turns(torch.rand(3, 5, generator=torch.Generator().manual_seed(1)))


def test_angles_hold_over_ten_thousand_turns():
    rotary = RotaryPairs(head_width=64, shortest_s=1e-4, longest_s=2.0)
    times = torch.rand(1, 500)
    exact = times.double()[..., None] * rotary.frequency.double()
    turns = rotary.turns(times)[0, :, 0]
    torch.testing.assert_close(turns.real, exact[0].cos().float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(turns.imag, exact[0].sin().float(), rtol=0, atol=1e-6)


def test_a_period_is_one_turn_and_half_of_the_features_stay():
    rotary = RotaryPairs(head_width=8, shortest_s=0.25, longest_s=2.0)
    heads = drawn(1, 3, 2, 8)
    turned = turn(heads, rotary.turns(torch.tensor([[0.0, 0.25, 0.125]])))
    torch.testing.assert_close(turned[:, 0], heads[:, 0])
    torch.testing.assert_close(turned[:, 1, :, :2], heads[:, 1, :, :2], rtol=0, atol=1e-5)
    torch.testing.assert_close(turned[:, 2, :, :2], -heads[:, 2, :, :2], rtol=0, atol=1e-5)
    assert torch.equal(turned[..., 4:], heads[..., 4:])


def test_products_depend_on_differences_of_time_alone():
    rotary = RotaryPairs(head_width=8, shortest_s=0.1, longest_s=2.0)
    query, key = drawn(1, 1, 1, 8), drawn(2, 1, 1, 8)[1:]
    products = [
        (turn(query, rotary.turns(torch.tensor([[t]]))) * turn(key, rotary.turns(s))).sum()
        for t, s in ((0.3, torch.tensor([[0.1]])), (0.9, torch.tensor([[0.7]])))
    ]
    torch.testing.assert_close(*products)


def test_turning_is_the_rotation_and_so_is_its_gradient(turns):
    heads = drawn(3, 5, 2, 8)
    for inverse in (turns, turns.conj()):
        one, other = heads.clone().requires_grad_(), heads.clone().requires_grad_()
        turned, expected = turn(one, inverse), formula(other, inverse.resolve_conj())
        torch.testing.assert_close(turned, expected)
        weights = drawn(*turned.shape)
        (turned * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(one.grad, other.grad)
    torch.testing.assert_close(turn(turn(heads, turns), turns.conj()), heads)
    torch.testing.assert_close(turn_back_(turn(heads, turns), turns), heads)
    with torch.no_grad():
        torch.testing.assert_close(turn_back_(turn(heads, turns), turns), heads)


@pytest.mark.parametrize(("num_parts", "num_turned"), [(3, 3), (2, 2), (2, 1), (1, 1)])
def test_splitting_turns_the_first_parts(turns, num_parts, num_turned):
    source = drawn(3, 5, num_parts * 2 * 8)
    one, other = source.clone().requires_grad_(), source.clone().requires_grad_()
    parts = split_and_turn_(
        one * 2.0, turns, num_heads=2, num_parts=num_parts, num_turned=num_turned
    )
    expected = list((other * 2.0).unflatten(-1, (num_parts, 2, 8)).unbind(2))
    expected[:num_turned] = [formula(part, turns) for part in expected[:num_turned]]
    assert len(parts) == num_parts
    total, other_total = torch.zeros(()), torch.zeros(())
    for index, (part, told) in enumerate(zip(parts, expected, strict=True)):
        torch.testing.assert_close(part, told.transpose(1, 2))
        weights = drawn(*told.shape) * (index + 1)
        total = total + (part * weights.transpose(1, 2)).sum()
        other_total = other_total + (told * weights).sum()
    total.backward()
    other_total.backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_a_gradient_may_reach_one_part_alone(turns):
    source = drawn(3, 5, 3 * 8).requires_grad_()
    _, keys, _ = split_and_turn_(source * 1.0, turns, num_heads=1, num_parts=3, num_turned=3)
    keys.sum().backward()
    assert source.grad[..., :8].eq(0).all()
    assert source.grad[..., 16:].eq(0).all()
    assert source.grad[..., 8:16].ne(0).all()


def test_what_is_overwritten_cannot_have_been_kept_for_a_gradient(turns):
    source = drawn(3, 5, 8).requires_grad_()
    kept = source.exp()  # Its gradient needs the result.
    (heads,) = split_and_turn_(kept, turns, num_heads=1, num_parts=1, num_turned=1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        heads.sum().backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_turns_too(turns, dtype):
    heads = drawn(3, 5, 2, 8, dtype=dtype)
    turned = turn(heads, turns)
    assert turned.dtype == dtype
    torch.testing.assert_close(turned.float(), formula(heads.float(), turns), rtol=1e-2, atol=2e-2)
    (part,) = split_and_turn_(
        heads.flatten(2).clone(), turns, num_heads=2, num_parts=1, num_turned=1
    )
    torch.testing.assert_close(part, turned.transpose(1, 2))
