"""Angles of time, near and far."""

import math

import torch

from neurohorizon.nn.rotary import RotaryTime


def test_precise_angles_hold_over_ten_thousand_turns():
    rotary = RotaryTime(head_width=64, shortest_s=1e-4, longest_s=2.0, precise=True)
    times = torch.rand(1, 500)
    exact = times.double()[..., None] * rotary.frequency.double()
    cosine, sine = rotary.angles(times)
    torch.testing.assert_close(cosine[0, 0], exact[0].cos().float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(sine[0, 0], exact[0].sin().float(), rtol=0, atol=1e-6)


def test_both_kinds_agree_where_periods_are_long():
    kinds = [
        RotaryTime(head_width=16, shortest_s=0.05, longest_s=2.0, precise=precise)
        for precise in (False, True)
    ]
    times = torch.rand(2, 9)
    for one, other in zip(kinds[0].angles(times), kinds[1].angles(times), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_turning_back_undoes_turning_and_a_turn_takes_one_period():
    rotary = RotaryTime(head_width=8, shortest_s=0.25, longest_s=2.0)
    features = torch.randn(1, 2, 3, 8)
    angles = rotary.angles(torch.tensor([[0.0, 0.25, 0.4]]))
    turned = rotary.rotate(features, angles)
    torch.testing.assert_close(rotary.rotate(turned, angles, inverse=True), features)
    torch.testing.assert_close(turned[:, :, 0], features[:, :, 0])
    torch.testing.assert_close(turned[..., 4:], features[..., 4:], rtol=0, atol=0)
    assert math.isclose(rotary.frequency[0].item(), 2 * math.pi / 0.25, rel_tol=1e-6)
    torch.testing.assert_close(turned[0, :, 1, 0], features[0, :, 1, 0], rtol=1e-4, atol=1e-5)
