import copy

import numpy as np
import pytest
import torch

from neurohorizon.errors import ConfigError
from neurohorizon.models.bridge.perceiver import ElectrodeReading, PerceiverTower

AREAS = [0] * 9 + [1] * 5 + [2] * 4


def reading(num_bins=1, seed=0):
    torch.manual_seed(seed)
    made = ElectrodeReading(AREAS, num_bins=num_bins, width=16, num_heads=2, num_latents=3)
    with torch.no_grad():  # so that the norm's gain and offset are seen
        made.norm_token.weight.normal_()
        made.norm_token.bias.normal_()
    return made


def hidden_places(num_bins=1):
    """Return masks of six responses: some places, of one a whole area, of another all."""
    hidden = torch.rand(6, 18 * num_bins, generator=torch.Generator().manual_seed(3)) < 0.4
    hidden[1, 9 * num_bins : 14 * num_bins] = True
    hidden[2] = True
    return hidden


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("num_bins", [1, 4])
def test_nothing_is_lost_by_projecting_no_token(num_bins, masked):
    made = reading(num_bins)
    values = torch.randn(6, 18 * num_bins)
    hidden = hidden_places(num_bins) if masked else None
    assert torch.allclose(made(values, hidden), made.read_plainly(values, hidden), atol=1e-5)
    gradients = []
    for read in (made, made.read_plainly):
        made.zero_grad()
        read(values, hidden).square().sum().backward()
        gradients.append([each.grad.clone() for each in made.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-3 * float(other.abs().max()) + 1e-6)


def test_what_is_hidden_is_not_read():
    made, values, hidden = reading(), torch.randn(6, 18), hidden_places()
    before = made(values, hidden)
    # As if the electrode were not there at all.
    alone = ElectrodeReading([0] * 8 + AREAS[9:], width=16, num_heads=2, num_latents=3)
    weights = {
        name: each[1:] if name in ("units", "slopes") else each
        for name, each in made.state_dict().items()
    }
    alone.load_state_dict(weights)
    first = torch.zeros_like(hidden)
    first[:, 0] = True
    assert torch.allclose(made(values, first), alone(values[:, 1:]), atol=1e-6)
    for otherwise in (7.0, torch.nan, torch.inf):
        assert torch.equal(before, made(values.masked_fill(hidden, otherwise), hidden))
    values.requires_grad_(True)
    made(values, hidden).square().sum().backward()
    assert values.grad is not None
    assert (values.grad[hidden] == 0).all()
    assert (values.grad[~hidden] != 0).all()


def test_region_tokens_read_their_own_area():
    made, values = reading(), torch.randn(2, 18)
    before = made(values)
    moved = values.clone()
    moved[:, 9:14] += 1.0
    after = made(moved)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:6], after[:, 3:6])
    assert torch.equal(before[:, 6:], after[:, 6:])


def test_electrodes_in_another_order_make_no_difference():
    made, values = reading(), torch.randn(4, 18)
    order = torch.cat([torch.randperm(9), 9 + torch.randperm(5), 14 + torch.randperm(4)])
    moved = reading()
    with torch.no_grad():
        moved.units.copy_(made.units[order])
        moved.slopes.copy_(made.slopes[order])
    assert torch.allclose(moved(values[:, order]), made(values), atol=1e-6)


def test_what_is_computed_again_is_the_same():
    values = torch.randn(7, 12)
    grads = []
    for recompute in (False, True):
        torch.manual_seed(0)
        tower = PerceiverTower(
            [0] * 5 + [1] * 7, 1, 3, width=16, num_layers=3, dropout=0.4, recompute=recompute
        )
        copied = copy.deepcopy(tower)  # as averages of weights are made
        for each in (tower, copied):
            torch.manual_seed(1)
            each(values).square().sum().backward()
            grads.append({name: one.grad for name, one in each.named_parameters()})
    for other in grads[1:]:
        for name, one in grads[0].items():
            torch.testing.assert_close(one, other[name], rtol=1e-5, atol=1e-7)


def test_an_electrode_can_be_subtracted_from_another():
    # With one slope for all electrodes a head could only weigh what it reads.
    torch.manual_seed(0)
    tower = PerceiverTower([0] * 6, 1, 1, width=16, num_layers=1, dropout=0.0)
    optimizer = torch.optim.Adam(tower.parameters(), 5e-3)
    values = torch.randn(128, 6)
    target = values[:, :1] - values[:, 1:2]
    for _ in range(200):
        loss = (tower(values) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_a_response_is_read_by_itself():
    tower = PerceiverTower(AREAS, 2, 7, width=16).eval()
    values = torch.randn(5, 18, 2)
    whole = tower(values)
    assert whole.shape == (5, 7)
    assert np.allclose(tower(values[2:3]).detach(), whole[2:3].detach(), atol=1e-6)


def test_heads_share_the_width():
    with pytest.raises(ConfigError, match="a width of 30 is not shared evenly by 4 heads"):
        PerceiverTower(AREAS, 1, 7, width=30)
