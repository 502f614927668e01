"""What decoders minimise: a loss a task, over the targets that a batch holds.

Shapes: n targets of a task, C its columns or classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from neurohorizon.nn.losses import cross_entropy, mallow, mse, weighted_mean
from neurohorizon.recordings.decoding.tasks import Task

_LOSSES = {"mse": mse, "cross_entropy": cross_entropy, "mallow": mallow}


def task_loss(task: Task, outputs_nC: Tensor, targets: Tensor, weights_n: Tensor) -> Tensor:
    """Return the mean loss of one task by the weights of its targets.

    Parameters
    ----------
    task : Task
    outputs_nC : Tensor
        Standardised values, or logits.
    targets : Tensor
        (n, C) standardised values, or (n,) int64 classes.
    weights_n : Tensor
        Targets of weight 0 change nothing, whatever they hold.

    Returns
    -------
    Tensor
        One number; 0 where no target counts.
    """
    used_n = weights_n != 0
    # Taken out, not multiplied by zero: a missing value's gradient would not be finite.
    losses_n = _LOSSES[task.spec.loss_used](outputs_nC[used_n], targets[used_n])
    return weighted_mean(losses_n, weights_n[used_n].to(losses_n))


def decoding_loss(
    tasks: Sequence[Task],
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a batch, and that of each of its tasks.

    Parameters
    ----------
    tasks : sequence of Task
    outputs, targets, weights : mapping of str to Tensor
        By task, as decoders return and batches hold them. Tasks without targets are left out.

    Returns
    -------
    total : Tensor
        Sum of the tasks' losses by their weights.
    losses : dict of str to Tensor
        Of each task, not weighted.
    """
    losses = {
        task.name: task_loss(task, outputs[task.name], targets[task.name], weights[task.name])
        for task in tasks
        if task.name in outputs and task.name in targets
    }
    assert losses, "a batch that asks for nothing: nobody can learn from it"
    weighted = [task.spec.weight * losses[task.name] for task in tasks if task.name in losses]
    return torch.stack(weighted).sum(), losses
