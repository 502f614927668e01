"""Losses by enumeration, and against torch's own."""

import pytest
import torch
from torch.nn import functional

from neurohorizon.nn.losses import cross_entropy, mallow, mse, weighted_mean


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_mse_and_cross_entropy_are_torchs():
    outputs, values = torch.randn(7, 3), torch.randn(7, 3)
    classes = torch.randint(0, 3, (7,))
    torch.testing.assert_close(mse(outputs, values).mean(), functional.mse_loss(outputs, values))
    torch.testing.assert_close(
        cross_entropy(outputs, classes).mean(), functional.cross_entropy(outputs, classes)
    )


def test_weights_are_torchs_weights_of_classes():
    logits, classes = torch.randn(9, 3), torch.randint(0, 3, (9,))
    by_class = torch.tensor([0.5, 2.0, 0.0])
    torch.testing.assert_close(
        weighted_mean(cross_entropy(logits, classes), by_class[classes]),
        functional.cross_entropy(logits, classes, weight=by_class),
    )


def test_mallow_by_enumeration():
    logits, classes = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 3])
    expected = []
    for row, target in zip(logits.double(), classes.tolist(), strict=True):
        probability = (row.exp() / row.exp().sum()).tolist()
        total = 0.0
        for k in range(4):
            below = sum(probability[: k + 1])
            total += (below - (1.0 if target <= k else 0.0)) ** 2
        expected.append(total / 4)
    torch.testing.assert_close(mallow(logits, classes), torch.tensor(expected))


def test_mallow_counts_how_far_a_certain_answer_is_off():
    certain = 50.0 * torch.eye(5)
    target = torch.zeros(5, dtype=torch.int64)
    torch.testing.assert_close(mallow(certain, target), torch.arange(5.0) / 5)


def test_mallow_of_two_classes_is_the_squared_error_of_the_probability():
    logits, classes = torch.randn(8, 2), torch.randint(0, 2, (8,))
    wrong = 1 - logits.softmax(dim=1)[torch.arange(8), classes]
    torch.testing.assert_close(mallow(logits, classes), wrong**2 / 2)


def test_mallow_s_gradient_is_right():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    classes = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda x: mallow(x, classes).sum(), logits)


def test_what_has_no_weight_changes_nothing():
    losses = torch.tensor([1.0, 5.0, float("nan")])
    assert weighted_mean(losses, torch.tensor([1.0, 3.0, 0.0])).item() == 4.0
    assert weighted_mean(losses, torch.zeros(3)).item() == 0.0
