"""A decoder as a Lightning module."""

from __future__ import annotations

import torch

from neurohorizon.models.poyo_trunk import PopulationDecoder
from neurohorizon.nn.losses import task_loss
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.training.optimisation import OptimisedModule
from neurohorizon.training.row_optimizer import RowAdamW


class DecodeModule(OptimisedModule[PopulationDecoder]):
    """Train a decoder: AdamW, rows of units by themselves, one cycle of the learning rate.

    Parameters
    ----------
    model : PopulationDecoder
    num_steps, learning_rate, weight_decay, warmup_share, ema_decay
        As :class:`~neurohorizon.training.optimisation.OptimisedModule` takes them.
    """

    def __init__(
        self,
        model: PopulationDecoder,
        *,
        num_steps: int,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        warmup_share: float = 0.1,
        ema_decay: float = 0.0,
    ) -> None:
        super().__init__(
            model,
            num_steps=num_steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_share=warmup_share,
            ema_decay=ema_decay,
        )

    def loss(self, batch: DecodeBatch) -> torch.Tensor:
        """Return the sum of the tasks' losses, each with its weight."""
        outputs = self.model(batch)
        losses = [
            task.spec.weight
            * task_loss(task, outputs[task.name], batch.targets[task.name], batch.weights[task.name])
            for task in self.model.tasks
            if task.name in outputs
        ]
        # A batch that asks for nothing teaches nothing, and is still a step.
        nothing = 0.0 * sum(parameter.sum() for parameter in self.model.parameters())
        return sum(losses[1:], losses[0]) if losses else torch.as_tensor(nothing)

    def training_step(self, batch: DecodeBatch, batch_index: int) -> torch.Tensor:
        """Take one step; randomness is a function of the seed and the step."""
        loss = self.loss(batch)
        self.log("train/loss", loss, on_step=True, on_epoch=False, batch_size=len(batch))
        return loss

    def make_optimizer(self) -> torch.optim.Optimizer:
        """AdamW in which rows of a vocabulary that a batch does not hold stay as they are."""
        rows = {id(vocabulary.weight) for vocabulary in (self.model.units, self.model.sessions)}
        learned = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learned if p.ndim > 1 and id(p) not in rows]},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
            {"params": [p for p in learned if id(p) in rows], "lazy_rows": True},
        ]
        return RowAdamW(
            [group for group in groups if group["params"]],
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
        )
