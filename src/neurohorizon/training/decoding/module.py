"""A decoder as a Lightning module."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from neurohorizon.models.task_decoder import TaskDecoder
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.training.decoding.losses import decoding_loss
from neurohorizon.training.optimisation import OptimisedModule
from neurohorizon.training.row_optimizer import RowAdamW


class DecodeModule(OptimisedModule[TaskDecoder]):
    """Train a decoder: AdamW, rows of units by themselves, one cycle of the learning rate.

    Parameters
    ----------
    model : TaskDecoder
    num_steps, learning_rate, weight_decay, warmup_share, ema_decay
        As :class:`~neurohorizon.training.optimisation.OptimisedModule` takes them.
    encoder_rate_share : float
        Of the learning rate, what an encoder that was learned elsewhere is tuned with.
    row_rate_share : float
        Of the learning rate, what rows of units and recordings are learned with.

    Notes
    -----
    A row learns only from batches that hold its unit, and starts small: with many recordings and
    the rate of the trunk, nothing is learned for thousands of steps.
    """

    def __init__(
        self,
        model: TaskDecoder,
        *,
        num_steps: int,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        warmup_share: float = 0.1,
        ema_decay: float = 0.0,
        encoder_rate_share: float = 1.0,
        row_rate_share: float = 1.0,
    ) -> None:
        super().__init__(
            model,
            num_steps=num_steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_share=warmup_share,
            ema_decay=ema_decay,
        )
        self.encoder_rate_share = encoder_rate_share
        self.row_rate_share = row_rate_share

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
        encoder = self.model.encoder_parameters()
        apart = {id(parameter) for parameter in [*tables, *encoder]}
        others = [p for p in self.model.parameters() if p.requires_grad and id(p) not in apart]
        slow = {"lr": self.encoder_rate_share * self.learning_rate}
        groups = [
            *_by_decay(others, {}),
            *_by_decay(encoder, slow),
            {"params": tables, "lazy_rows": True, "lr": self.row_rate_share * self.learning_rate},
        ]
        return RowAdamW(
            [group for group in groups if group["params"]],
            lr=self.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
        )


def _by_decay(parameters: list[nn.Parameter], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return groups for an optimiser: matrices, and all else, which does not decay."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], **settings},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, **settings},
    ]
