"""What is hidden is said from what is not, and from nothing else."""

import numpy as np
import pytest
import torch

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.bridge.files import load_bridge, load_masked, save_masked
from neurohorizon.models.bridge.masked import MaskedModel, MaskedSpec
from neurohorizon.models.bridge.perceiver import PerceiverTower

SPEC = MaskedSpec(
    shape=(18, 3),
    areas=(0,) * 9 + (1,) * 5 + (2,) * 4,
    width=16,
    num_heads=2,
    num_latents=3,
    dropout=0.0,
    num_categories=4,
)


def made(spec=SPEC, seed=0):
    torch.manual_seed(seed)
    model = MaskedModel(spec).eval()
    with torch.no_grad():
        model.answer.normal_()
    return model


def masks(num=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    there = torch.rand(num, 54, generator=generator) < 0.9
    hidden = there & (torch.rand(num, 54, generator=generator) < 0.3)
    hidden[1] |= there[1] & (torch.arange(54) < 27)
    hidden[2] = there[2]
    return hidden, there


def test_neither_what_is_hidden_nor_what_is_missing_is_read():
    model, (hidden, there) = made(), masks()
    values = torch.randn(6, 54)
    said, logits = model(values, hidden, there)
    assert said.shape == (int(hidden.sum()),)
    assert torch.isfinite(said).all()
    for unseen in (hidden, ~there):
        for otherwise in (9.0, torch.nan):
            again, same_logits = model(values.masked_fill(unseen, otherwise), hidden, there)
            assert torch.equal(said, again)
            assert torch.equal(logits, same_logits)
    moved = values + (~hidden & there)
    # What all is hidden of is said the same whatever it is.
    before, after = (
        torch.zeros(6, 54).masked_scatter(hidden, each)
        for each in (said, model(moved, hidden, there)[0])
    )
    changed = (before != after).any(dim=1)
    assert changed.tolist() == [True, True, False, True, True, True]


def test_a_place_is_asked_for_by_itself():
    model, (hidden, there) = made(), masks()
    values = torch.randn(6, 54)
    fewer = hidden.clone()
    fewer[:, ::2] = False
    # What is asked of another place changes no answer, as long as the same is read.
    whole = torch.full((6, 54), torch.nan).masked_scatter(hidden, model(values, hidden, there)[0])
    unread = there & ~(hidden & ~fewer)
    assert torch.allclose(model(values, fewer, unread)[0], whole[fewer], atol=1e-6)
    rows = torch.tensor([4, 0])
    assert torch.allclose(
        model(values[rows], hidden[rows], there[rows])[0], whole[rows][hidden[rows]], atol=1e-6
    )


def test_electrodes_areas_and_bins_are_told_apart():
    model = made()
    hidden = torch.ones(1, 54, dtype=torch.bool)
    said, _ = model(torch.zeros(1, 54), hidden, hidden)
    assert len(said.unique()) == 54


def test_a_tower_takes_the_trunk():
    model = made()
    tower = PerceiverTower(SPEC.areas, 3, 5, width=16, num_heads=2, num_latents=3).eval()
    values = torch.randn(4, 18, 3)
    assert not torch.allclose(tower.trunk.region_tokens(values), model.region_tokens(values))
    tower.trunk.take(model)
    assert torch.equal(tower.trunk.region_tokens(values), model.region_tokens(values))


def test_a_file_gives_the_same_model_again(tmp_path):
    model = made()
    model.scale.fit(np.random.default_rng(0).normal(3, 2, size=(30, 18, 3)))
    path = tmp_path / "model.safetensors"
    save_masked(model, path, about={"units": "a b"})
    again, header = load_masked(path)
    assert header["units"] == "a b"
    assert again.spec == SPEC
    hidden, there = masks()
    values = torch.randn(6, 54)
    assert torch.equal(again(values, hidden, there)[0], model(values, hidden, there)[0])
    assert torch.equal(again.scale.mean, model.scale.mean)
    with pytest.raises(CheckpointError, match="a checkpoint of 'masked bridge', expected 'bridge'"):
        load_bridge(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="bridge pretrain"):
        load_masked(path)


def test_heads_share_the_width():
    with pytest.raises(ConfigError, match="a width of 30"):
        MaskedModel(MaskedSpec(shape=(3,), areas=(0, 0, 0), width=30))
