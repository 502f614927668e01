"""What trainings share besides the loop: the optimiser, its cycle, the average of the weights."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from neurohorizon.training.callbacks import TrainedModule
from neurohorizon.training.sharding import share_weights, whole_weights

M = TypeVar("M", bound=nn.Module)


class OptimisedModule(TrainedModule, Generic[M]):
    """Train a model by AdamW with one cycle of the learning rate.

    Parameters
    ----------
    model : Module
    num_steps : int
        Steps of the whole training: the length of the learning-rate cycle.
    learning_rate : float
        Peak.
    weight_decay : float
        On matrices only.
    warmup_share : float
        Share of the steps in which the learning rate rises.
    ema_decay : float
        Of an exponential moving average of the weights; 0 for none. With it, the average
        is what is validated and kept.
    """

    model: M

    def __init__(
        self,
        model: M,
        *,
        num_steps: int,
        learning_rate: float,
        weight_decay: float,
        warmup_share: float,
        ema_decay: float,
    ) -> None:
        super().__init__()
        self.model = model
        self.num_steps = num_steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_share = warmup_share
        self.averaged = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
            if ema_decay > 0
            else None
        )
        if self.averaged is not None:
            self.averaged.requires_grad_(False)
        # In a tuple, so that it is no part of this module.
        self._whole: tuple[M, ...] = ()

    def configure_model(self) -> None:
        """Share the weights out, where the strategy is to keep a part of them in each process."""
        mesh = getattr(self, "_device_mesh", None)
        if mesh is not None and not self._whole:
            self._whole = (copy.deepcopy(self.model),)
            share_weights(self.model, mesh["data_parallel"])

    def kept(self) -> M:
        """Return the model that is validated and saved, whole; all processes ask at once."""
        if self._whole:
            (whole,) = self._whole
            whole.load_state_dict(whole_weights(self.model))
            return whole.to(self.device)
        if self.averaged is None:
            return self.model
        return cast(M, self.averaged.module)

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Take a step, then update the average of the weights."""
        super().optimizer_step(*arguments, **named)
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def configure_optimizers(self) -> Any:
        """AdamW without decay of biases, norms and embeddings' offsets; one cycle."""
        optimizer = self.make_optimizer()
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=self.num_steps,
            # The cycle divides by its rising steps less one.
            pct_start=min(max(self.warmup_share, 2 / self.num_steps), 0.9),
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW over all weights that learn."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        return torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1]},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
        )

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move a batch, which is a dataclass of tensors."""
        return batch.to(device)
