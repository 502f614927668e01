"""The encoder: reading windows in parts is reading them padded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.models.encoder import Encoder, event_parts
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from worlds import poisson_recording

SPEC = WindowSpec()
DESIGNS = {
    "all tokens": {},
    "events only": {"use_unit_tokens": False, "use_population_tokens": False},
    "no events": {"use_events": False},
}


def bursting_batch() -> ForecastBatch:
    """Two recordings of different size, silent but for bursts after second 60."""
    groups = []
    for num_units, rate_hz in ((5, 4.0), (11, 12.0)):
        recording = poisson_recording(num_units=num_units, duration_s=90.0, rate_hz=rate_hz)
        times = recording.spike_times
        kept = (times < 60.0) | (times % 3.0 < 0.2)
        recording = replace(
            recording,
            spike_times=times[kept],
            spike_unit_index=recording.spike_unit_index[kept],
        )
        reference = compute_reference(recording, np.array([[5.0, 55.0]]), spec=SPEC)
        origins = np.arange(60.3, 88.0, 0.7).round(6)
        windows = reference.read_windows(WindowReader(recording, SPEC), origins)
        groups.append(WindowGroup(reference, windows, np.zeros(num_units, dtype=np.int64)))
    return collate_groups(groups)


def read_padded(
    encoder: Encoder,
    batch: ForecastBatch,
    identity_SND: torch.Tensor,
    state_WND: torch.Tensor,
    surprise_WNL: torch.Tensor,
) -> torch.Tensor:
    """Every window with as many event slots as the fullest one, as by the definition."""
    attention = encoder.read.attention
    tokens_WTD, mask_WT, times_T = encoder._tokens(batch, identity_SND, state_WND, surprise_WNL)
    keys_values, masks = [attention.project(tokens_WTD)], [mask_WT]
    times = [times_T.expand(len(batch), -1)]
    if encoder.use_events:
        identity_WND = identity_SND[batch.reference_W]
        index = batch.event_unit_WE.unsqueeze(-1).expand(-1, -1, identity_WND.shape[-1])
        events_WED = identity_WND.gather(1, index) + encoder.token_type[0]
        keys_values.append(attention.project(events_WED))
        masks.append(batch.event_mask_WE)
        times.append(batch.event_time_WE)
    latents_WMD = encoder.latents.expand(len(batch), -1, -1)
    latents_WMD = encoder.read(
        latents_WMD,
        torch.cat(keys_values, dim=1),
        key_mask_BT=torch.cat(masks, dim=1),
        query_times_BQ=torch.zeros_like(latents_WMD[..., 0]),
        key_times_BT=torch.cat(times, dim=1),
    )
    for layer in encoder.layers:
        latents_WMD = layer(latents_WMD)
    return latents_WMD


@pytest.mark.parametrize("design", DESIGNS)
def test_reading_in_parts_equals_reading_padded_and_so_do_gradients(design):
    torch.manual_seed(0)
    model = HorizonForecaster(spec=SPEC, width=32, num_heads=2, num_latents=8, **DESIGNS[design])
    encoder, batch = model.encoder, bursting_batch()
    assert encoder is not None
    num_events = batch.event_mask_WE.sum(dim=1)
    assert num_events.min() == 0
    assert num_events.max() > 20
    assert len(event_parts(batch, others=16)) > 2
    inputs = (
        torch.randn(2, 11, 32, requires_grad=True),
        torch.randn(len(batch), 11, 32, requires_grad=True),
        model.unit_features.surprise(batch),
    )
    weights = torch.randn(len(batch), 8, 32)
    found = []
    for read in (encoder, lambda *arguments: read_padded(encoder, *arguments)):
        latents = read(batch, *inputs)
        wanted = [*inputs[:2], *encoder.parameters()]
        gradients = torch.autograd.grad((latents * weights).mean(), wanted, allow_unused=True)
        found.append([latents, *(g for g in gradients if g is not None and g.any())])
    assert len(found[0]) > 20
    for ours, padded in zip(*found, strict=True):
        assert torch.isfinite(ours).all()
        torch.testing.assert_close(ours, padded, rtol=1e-5, atol=1e-6)


def test_parts_hold_every_window_once_with_room_for_its_events():
    batch = bursting_batch()
    parts = event_parts(batch, others=0)
    order = torch.cat([windows for windows, _ in parts])
    assert order.sort().values.tolist() == list(range(len(batch)))
    num_events = batch.event_mask_WE.sum(dim=1)
    for windows, num_slots in parts:
        assert num_events[windows].max() == num_slots
    slots = sum(len(windows) * num_slots for windows, num_slots in parts)
    assert batch.event_mask_WE.float().mean() < 0.5
    assert batch.num_events / slots > 0.85


def test_a_mask_with_holes_loses_no_event():
    batch = bursting_batch()
    holes = batch.event_mask_WE.clone()
    holes[:, ::2] = False
    for windows, num_slots in event_parts(replace(batch, event_mask_WE=holes), others=20):
        assert not holes[windows, num_slots:].any()
