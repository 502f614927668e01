"""The forecaster as a Lightning module."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from neurohorizon.models.autoregressive import Autoregressive
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.conditions import MODALITIES
from neurohorizon.training.data import draw_queries
from neurohorizon.training.objectives import ObjectiveName, objective_of_counts, take_units
from neurohorizon.training.optimisation import OptimisedModule
from neurohorizon.training.teacher_forcing import TeacherForcing, mix_counts


class ForecastModule(OptimisedModule[HorizonForecaster]):
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
        super().__init__(
            model,
            num_steps=num_steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_share=warmup_share,
            ema_decay=ema_decay,
        )
        self.objective: ObjectiveName = objective
        self.queries_per_window = queries_per_window
        self.adapter_dropout = adapter_dropout
        self.teacher_forcing = teacher_forcing or TeacherForcing()
        self.condition_dropout = condition_dropout

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
