"""The forecaster as a Lightning module."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import lightning
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from neurohorizon.models.autoregressive import Autoregressive
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.conditions import MODALITIES
from neurohorizon.training.data import draw_queries
from neurohorizon.training.objectives import ObjectiveName, objective_of_counts, take_units
from neurohorizon.training.sharding import share_weights, whole_weights
from neurohorizon.training.teacher_forcing import TeacherForcing, mix_counts


class ForecastModule(lightning.LightningModule):
    """Train a forecaster: AdamW, one cycle of the learning rate, gradient clipping.

    Parameters
    ----------
    model : HorizonForecaster
    num_steps : int
        Steps of the whole training: the length of the learning-rate cycle.
    objective : {"likelihood", "squared_error"}
        See :func:`~neurohorizon.training.objectives.objective_of_counts`.
    learning_rate : float
        Peak.
    weight_decay : float
        On matrices only.
    warmup_share : float
        Share of the steps in which the learning rate rises.
    queries_per_window : int
        Units drawn for the loss in each window; the model reads all of them.
    adapter_dropout : float
        Share of windows from which the adapter is withheld.
    condition_dropout : float
        Share of windows in which each condition is missing, one by one.
    ema_decay : float
        Of an exponential moving average of the weights; 0 for none. With it, the average
        is what is validated and kept.
    teacher_forcing : TeacherForcing, optional
        Share of the true counts that are fed back, of a model that feeds counts back.
    """

    def __init__(
        self,
        model: HorizonForecaster,
        *,
        num_steps: int,
        objective: ObjectiveName = "likelihood",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.02,
        warmup_share: float = 0.1,
        queries_per_window: int = 24,
        adapter_dropout: float = 0.1,
        condition_dropout: float = 0.0,
        ema_decay: float = 0.0,
        teacher_forcing: TeacherForcing | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.num_steps = num_steps
        self.objective: ObjectiveName = objective
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_share = warmup_share
        self.queries_per_window = queries_per_window
        self.adapter_dropout = adapter_dropout
        self.teacher_forcing = teacher_forcing or TeacherForcing()
        self.condition_dropout = condition_dropout
        self.averaged = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
            if ema_decay > 0
            else None
        )
        if self.averaged is not None:
            self.averaged.requires_grad_(False)
        # In a tuple, so that it is no part of this module.
        self._whole: tuple[HorizonForecaster, ...] = ()

    def configure_model(self) -> None:
        """Share the weights out, where the strategy is to keep a part of them in each process."""
        mesh = getattr(self, "_device_mesh", None)
        if mesh is not None and not self._whole:
            self._whole = (copy.deepcopy(self.model),)
            share_weights(self.model, mesh["data_parallel"])

    def kept(self) -> HorizonForecaster:
        """Return the model that is validated and saved, whole; all processes ask at once."""
        if self._whole:
            (whole,) = self._whole
            whole.load_state_dict(whole_weights(self.model))
            return whole.to(self.device)
        if self.averaged is None:
            return self.model
        return cast(HorizonForecaster, self.averaged.module)

    def loss(self, batch: ForecastBatch) -> torch.Tensor:
        """Return the objective on one batch: a forecast or, if units are hidden, co-smoothing."""
        if batch.context_counts_WNT.shape[2]:
            queries = draw_queries(batch.hidden_WN, self.queries_per_window)
            parameters = self.model.cosmooth(batch, queries)
            asked = (batch.context_counts_WNT, batch.hidden_WN)
            counts, mask = (take_units(x, queries) for x in asked)
            return self._objective(parameters, counts, mask)
        queries = draw_queries(batch.unit_mask_WN, self.queries_per_window)
        counts, mask = (take_units(x, queries) for x in (batch.counts_WNB, batch.unit_mask_WN))
        losses = [
            self._objective(parameters, counts, mask)
            for parameters in self._forecasts(batch, queries)
        ]
        return sum(losses[1:], losses[0]) / len(losses)

    def _objective(
        self, parameters: torch.Tensor, counts: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        return objective_of_counts(self.objective, self.model.likelihood, parameters, counts, mask)

    def _forecasts(
        self, batch: ForecastBatch, queries: torch.Tensor | None
    ) -> Iterator[torch.Tensor]:
        """Forecast the units that are asked for, in all ways that are to be learned.

        A model that feeds counts back makes two forecasts: a direct one, and one that is corrected
        by the counts of all units in earlier bins. With a share of true counts below 1, others
        come from a first pass over the bins; gradients flow through the second.
        """
        decoder = self.model.decoder
        if not isinstance(decoder, Autoregressive):
            yield self.model(batch, queries)
            return
        share = self.teacher_forcing.share(self.global_step / self.num_steps)
        given, counts = self.model.read(batch, queries), batch.counts_WNB
        direct = decoder.direct(given)
        yield direct.parameters(given)
        if share < 1:
            counts = mix_counts(decoder, given, direct, counts, share=share)
        yield decoder.correct(given, direct, counts)

    def training_step(self, batch: ForecastBatch, batch_index: int) -> torch.Tensor:
        """Take one step; randomness is a function of the seed and the step."""
        if self.adapter_dropout > 0:
            withheld = torch.rand(len(batch), device=self.device) < self.adapter_dropout
            batch = batch.without_adapter(withheld)
        if self.condition_dropout > 0:
            for modality in MODALITIES:
                missing = torch.rand(len(batch), device=self.device) < self.condition_dropout
                batch = batch.without(modality, missing)
        loss = self.loss(batch)
        if self.model.cosmoother is not None:
            # Either objective leaves the other's head out, and several devices may draw
            # different ones: no weight may be without a gradient.
            loss = loss + 0.0 * sum(parameter.sum() for parameter in self.model.parameters())
        self.log("train/loss", loss, on_step=True, on_epoch=False, batch_size=len(batch))
        return loss

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Take a step, then update the average of the weights."""
        super().optimizer_step(*arguments, **named)
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def configure_optimizers(self) -> Any:
        """AdamW without decay of biases, norms and embeddings' offsets; one cycle."""
        parameters = list(self.model.parameters())
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1]},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.learning_rate,
            total_steps=self.num_steps,
            # The cycle divides by its rising steps less one.
            pct_start=min(max(self.warmup_share, 2 / self.num_steps), 0.9),
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def transfer_batch_to_device(
        self, batch: ForecastBatch, device: torch.device, dataloader_idx: int
    ) -> ForecastBatch:
        """Move a batch, which is a dataclass of tensors."""
        return batch.to(device)
