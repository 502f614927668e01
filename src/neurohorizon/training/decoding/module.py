"""A decoder as a Lightning module."""

from __future__ import annotations

import torch

from neurohorizon.models.poyo_trunk import PopulationDecoder
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.training.decoding.losses import decoding_loss
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
        total, _ = decoding_loss(self.model.tasks, outputs, batch.targets, batch.weights)
        return total

    def training_step(self, batch: DecodeBatch, batch_index: int) -> torch.Tensor:
        """Take one step; randomness is a function of the seed and the step."""
        loss = self.loss(batch)
        self.log("train/loss", loss, on_step=True, on_epoch=False, batch_size=len(batch))
        return loss

    def make_optimizer(self) -> torch.optim.Optimizer:
        """AdamW in which rows of a vocabulary that a batch does not hold stay as they are."""
        tables = self.model.vocabulary_parameters()
        rows = {id(table) for table in tables}
        others = [p for p in self.model.parameters() if p.requires_grad and id(p) not in rows]
        groups = [
            {"params": [p for p in others if p.ndim > 1]},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
            {"params": tables, "lazy_rows": True},
        ]
        return RowAdamW(
            [group for group in groups if group["params"]],
            lr=self.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
        )
