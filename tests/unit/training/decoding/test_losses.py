"""A batch's loss: its tasks' losses by their weights, over what it holds."""

import pytest
import torch

from decoder_batches import CHOICE, LEVEL, POSITION, random_batch
from neurohorizon.nn.losses import cross_entropy, mallow, mse
from neurohorizon.training.decoding.losses import decoding_loss, task_loss


def drawn(tasks):
    torch.manual_seed(0)
    batch = random_batch(tasks)
    outputs = {t.name: torch.randn(len(batch.targets[t.name]), t.num_outputs) for t in tasks}
    return batch, outputs


def test_the_total_is_the_sum_by_task_weight():
    tasks = (POSITION, CHOICE, LEVEL)
    batch, outputs = drawn(tasks)
    total, losses = decoding_loss(tasks, outputs, batch.targets, batch.weights)
    for task, loss in ((POSITION, mse), (CHOICE, cross_entropy), (LEVEL, mallow)):
        expected = loss(outputs[task.name], batch.targets[task.name]).mean()
        torch.testing.assert_close(losses[task.name], expected)
    torch.testing.assert_close(total, losses["position"] + losses["choice"] + 0.5 * losses["level"])


def test_absent_tasks_are_left_out():
    tasks = (POSITION, CHOICE)
    batch, outputs = drawn((CHOICE,))
    total, losses = decoding_loss(tasks, outputs, batch.targets, batch.weights)
    assert set(losses) == {"choice"}
    torch.testing.assert_close(total, losses["choice"])


def test_a_target_without_weight_may_be_missing():
    outputs = torch.randn(3, 2, requires_grad=True)
    values = torch.tensor([[1.0, 0.0], [float("nan"), 0.0], [0.0, 2.0]])
    loss = task_loss(POSITION, outputs, values, torch.tensor([1.0, 0.0, 3.0]))
    loss.backward()
    assert torch.isfinite(outputs.grad).all()
    assert outputs.grad[1].eq(0).all()
    expected = (mse(outputs[:1], values[:1]) + 3 * mse(outputs[2:], values[2:])) / 4
    torch.testing.assert_close(loss, expected.squeeze())


@pytest.mark.parametrize("task", [POSITION, CHOICE, LEVEL])
def test_no_target_at_all_is_zero_with_a_gradient(task):
    outputs = torch.randn(2, task.num_outputs, requires_grad=True)
    targets = torch.zeros(2, dtype=torch.int64) if task.spec.is_categorical else torch.zeros(2, 2)
    loss = task_loss(task, outputs, targets, torch.zeros(2))
    loss.backward()
    assert loss.item() == 0.0
    assert outputs.grad.eq(0).all()
