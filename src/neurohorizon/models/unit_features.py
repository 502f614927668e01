"""What a unit's own past, the adapter and the tuning say of it, as features of each window.

Shapes: S references, W windows, N units, L slots of the context, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurohorizon.recordings.adapter import NUM_FORECASTS, PRIVATE_TRACES
from neurohorizon.recordings.batches import PSEUDO_COUNTS, ForecastBatch, slot_edges
from neurohorizon.recordings.conditions import MODALITIES
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import TRACE_TIME_CONSTANTS_S

_TYPICAL_RATE_HZ = 3.0


class UnitFeatures(nn.Module):
    """Gather the features of units; nothing is learned here.

    Parameters
    ----------
    spec : WindowSpec
    use_past, use_adapter, use_tuning : bool
        Which of them; tuning only where `spec` asks for conditions.
    """

    slot_width_L: Tensor

    def __init__(
        self, spec: WindowSpec, *, use_past: bool, use_adapter: bool, use_tuning: bool
    ) -> None:
        super().__init__()
        self.use_past = use_past
        self.use_adapter = use_adapter
        self.use_tuning = use_tuning and bool(spec.conditions)
        edges = torch.as_tensor(slot_edges(spec.context_s), dtype=torch.float32)
        self.register_buffer("slot_width_L", edges.diff(), persistent=False)
        num_traces = len(PSEUDO_COUNTS) * len(TRACE_TIME_CONSTANTS_S)
        num_past = 2 * num_traces + len(edges) - 1 + 1
        num_adapter = 2 * NUM_FORECASTS * spec.num_groups + len(PRIVATE_TRACES) + 1
        num_tuning = (2 * spec.num_groups + 2) * len(MODALITIES)
        used = (self.use_past, self.use_adapter, self.use_tuning)
        self.num_features = sum(
            number
            for number, use in zip((num_past, num_adapter, num_tuning), used, strict=True)
            if use
        )

    def forward(self, batch: ForecastBatch) -> Tensor:
        """Return the features of each unit in each window, (W, N, F)."""
        parts = []
        num_units = batch.traces_WNK.shape[1]
        if self.use_past:
            population = batch.population_WK.unsqueeze(1).expand(-1, num_units, -1)
            log_rate = torch.log(batch.rate_SN / _TYPICAL_RATE_HZ)[batch.reference_W]
            surprise = self.surprise(batch).clamp(-4.0, 8.0) / 2
            parts += [batch.traces_WNK, population, surprise, log_rate.unsqueeze(-1)]
        if self.use_adapter:
            adapter = batch.adapter_WNGM.flatten(2)
            given = batch.adapter_mask_W[:, None, None].expand(-1, num_units, 1)
            parts += [adapter / 2, torch.log((1.0 + adapter).clamp(min=0.1))]
            parts += [batch.private_WNP, given]
        if self.use_tuning:
            tuning = batch.tuning_WNGC.flatten(2)
            skill_WNC = batch.tuning_skill_SNC[batch.reference_W] * batch.given_WC[:, None]
            given = batch.given_WC[:, None].expand(-1, num_units, -1)
            parts += [tuning / 2, torch.log((1.0 + tuning).clamp(min=0.1))]
            parts += [5.0 * torch.sqrt(skill_WNC), given]
        if not parts:
            return batch.traces_WNK[..., :0]
        return torch.cat(parts, dim=-1)

    def surprise(self, batch: ForecastBatch) -> Tensor:
        """Return spikes by slot minus their expectation, over about its root: (W, N, L)."""
        expected_SNL = batch.rate_SN.unsqueeze(-1) * self.slot_width_L
        expected_WNL = expected_SNL[batch.reference_W]
        surprise = (batch.slots_WNL - expected_WNL) / torch.sqrt(expected_WNL + 0.1)
        return surprise * batch.unit_mask_WN.unsqueeze(-1)
