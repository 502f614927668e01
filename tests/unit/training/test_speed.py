"""What is timed beside our own code does the same work, or is the peer's own."""

import pytest
import torch

from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.nn.heads import BinUnitHead
from neurohorizon.training.speed.decoders import (
    make_pair,
    our_forward,
    random_windows,
    refuse_unequal,
    their_forward,
)
from neurohorizon.training.speed.encoders import WIDTH, make_poyo, poyo_latents
from neurohorizon.training.speed.models import (
    JoinedHead,
    measure_heads,
    training_batches,
    without_cache,
)
from neurohorizon.training.speed.plan import QUICK, SpeedPlan


@pytest.fixture(scope="module")
def batch():
    (batch,) = training_batches(SpeedPlan(num_sessions=2, num_batches=1))
    return batch


def test_a_roll_out_without_cache_forecasts_the_same(batch):
    torch.manual_seed(0)
    model = HorizonForecaster(spec=training_spec(batch), decoder="autoregressive").eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        told = without_cache(model, batch)
        torch.testing.assert_close(told, model.expected_counts(batch), rtol=1e-3, atol=1e-5)


def training_spec(batch):
    from neurohorizon.recordings.window_spec import WindowSpec

    spec = WindowSpec()
    assert batch.counts_WNB.shape[2] == spec.num_bins
    return spec


@pytest.mark.parametrize("ends", [True, False])
def test_latents_are_those_of_poyos_own_forward(batch, ends):
    torch.manual_seed(0)
    poyo = make_poyo(batch.unit_mask_SN.numel()).eval()
    seen = {}
    poyo.enc_atn.register_forward_pre_hook(lambda module, given: seen.update(encoder=given))
    with torch.no_grad():
        told = poyo_latents(poyo, batch, ends=ends)
        _, _, _, _, mask = seen["encoder"]
        poyo.dec_atn.register_forward_pre_hook(lambda module, given: seen.update(latents=given[1]))
        inputs = poyo_inputs(batch, ends=ends)
        poyo(
            **inputs,
            latent_index=torch.arange(16).expand(len(batch), -1),
            latent_timestamps=torch.full((len(batch), 16), 0.25),
            session_index=torch.ones(len(batch), dtype=torch.int64),
            output_timestamps=torch.zeros(len(batch), 1),
        )
    assert int(mask.sum()) == batch.num_events + 2 * ends * int(batch.unit_mask_WN.sum())
    torch.testing.assert_close(told, seen["latents"])


def poyo_inputs(batch, *, ends):
    """Return a batch as POYO's tokeniser would lay it out, window by window, padded."""
    windows = []
    for window in range(len(batch)):
        reference = int(batch.reference_W[window])
        first = 1 + reference * batch.unit_mask_SN.shape[1]
        units = [first + int(n) for n in batch.unit_mask_SN[reference].nonzero().squeeze(1)]
        tokens = [(u, t, kind) for kind, t in ((2, 0.5), (1, 0.0)) for u in units] if ends else []
        seen = batch.event_mask_WE[window]
        tokens += [
            (first + int(u), float(t) + 0.5, 0)
            for u, t in zip(
                batch.event_unit_WE[window][seen], batch.event_time_WE[window][seen], strict=True
            )
        ]
        windows.append(tokens)
    longest = max(map(len, windows))
    unit, kind = (torch.zeros(len(windows), longest, dtype=torch.int64) for _ in range(2))
    moment = torch.zeros(len(windows), longest)
    mask = torch.zeros(len(windows), longest, dtype=torch.bool)
    for row, tokens in enumerate(windows):
        for column, (u, t, k) in enumerate(tokens):
            unit[row, column], moment[row, column], kind[row, column] = u, t, k
            mask[row, column] = True
    return {
        "input_unit_index": unit,
        "input_timestamps": moment,
        "input_token_type": kind,
        "input_mask": mask,
    }


def test_the_head_that_joins_states_equals_the_one_that_is_split():
    torch.manual_seed(0)
    split, joined = BinUnitHead(width=WIDTH, hidden=32), JoinedHead(width=WIDTH, hidden=32)
    with torch.no_grad():
        from_bin, from_unit = split.from_bin[1], split.from_unit[1]
        joined.hidden.weight.copy_(torch.cat([from_bin.weight, from_unit.weight], dim=1))
        joined.hidden.bias.copy_(from_bin.bias)
        joined.output.weight.copy_(torch.randn_like(joined.output.weight))
        split.output.weight.copy_(joined.output.weight)
        split.output.bias.copy_(joined.output.bias)
        bins, units = torch.randn(2, 5, WIDTH), torch.randn(2, 3, WIDTH)
        torch.testing.assert_close(joined(bins, units), split(bins, units), rtol=1e-4, atol=1e-5)


def test_ratios_are_of_the_best_turns():
    speeds = {speed.name: speed.value for speed in measure_heads(2, 2)}
    assert speeds["head_ratio"] == pytest.approx(speeds["head_pairs"] / speeds["head_joined"])


def test_decoders_that_are_timed_answer_the_same_and_others_are_refused():
    settings = {"sequence_length": 1.0, "latent_step": 0.25, "dim": 16, "depth": 1}
    poyo, model = make_pair(settings, num_units=QUICK.decoded_units)
    batch = random_windows(QUICK)
    answers = {"torch_brain": their_forward(poyo, batch), "ours": our_forward(model, batch)}
    assert batch.token_mask_WE.sum(1).gt(2 * QUICK.decoded_units).all()
    assert answers["ours"]().abs().max() > 0.01
    assert refuse_unequal(poyo, model, answers) < 1e-5
    with torch.no_grad():
        model.readouts[0].bias += 0.01
    with pytest.raises(RuntimeError, match="differ by 1"):
        refuse_unequal(poyo, model, answers)
