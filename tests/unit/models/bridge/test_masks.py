"""Which places are hidden: how many, where, and never what was not measured."""

import pytest
import torch

from neurohorizon.errors import ConfigError
from neurohorizon.models.bridge.masks import KINDS, applicable_kinds, draw_masks

AREAS = [0] * 20 + [1] * 12 + [2] * 8
NUM_BINS = 4


def drawn(kind, *, share=0.25, num=300, num_bins=NUM_BINS, there=None, areas=AREAS, seed=0):
    if there is None:
        there = torch.ones(num, len(areas) * num_bins, dtype=torch.bool)
    return draw_masks(
        there,
        areas,
        num_bins=num_bins,
        kind=kind,
        share=share,
        generator=torch.Generator().manual_seed(seed),
    )


def by_area(hidden, num_bins=NUM_BINS):
    """Return how many places of each area each response hides, (K, 3)."""
    area = torch.tensor(AREAS).repeat_interleave(num_bins)
    return torch.stack([hidden[:, area == number].sum(dim=1) for number in range(3)], dim=1)


@pytest.mark.parametrize("share", [0.15, 0.25, 0.5])
def test_each_kind_hides_its_share_in_its_place(share):
    places = torch.tensor([80, 48, 32])
    random = drawn("random", share=share)
    assert set(random.sum(dim=1).tolist()) == {round(share * 160)}
    counts = by_area(random)
    assert counts.float().std(dim=0).min() > 1, "areas are hidden as it comes"
    assert torch.allclose(counts.float().mean(dim=0), share * places, atol=1.5)
    assert (by_area(drawn("region_balanced", share=share)) == (share * places).round()).all()
    whole = by_area(drawn("whole_region", share=share))
    assert ((whole == places) | (whole == 0)).all()
    assert ((whole > 0).sum(dim=1) == 1).all()
    assert ((whole > 0).float().mean(dim=0) > 0.25).all(), "each area in its turn"
    within = by_area(drawn("within_region", share=share))
    assert ((within == (share * places).round()) | (within == 0)).all()
    assert ((within > 0).sum(dim=1) == 1).all()
    bins = drawn("temporal", share=share).unflatten(1, (-1, NUM_BINS))
    assert (bins.all(dim=1) == bins.any(dim=1)).all(), "a bin is hidden of all electrodes"
    assert set(bins.any(dim=1).sum(dim=1).tolist()) == {max(round(share * NUM_BINS), 1)}


def test_every_place_has_its_turn_and_a_seed_repeats():
    for kind in KINDS:
        hidden = drawn(kind)
        assert (hidden.float().mean(dim=0) > 0.04).all()
        assert torch.equal(hidden, drawn(kind))
        assert not torch.equal(hidden, drawn(kind, seed=1))


def test_mixed_masks_are_of_every_kind():
    hidden = drawn("mixed", num=600)
    counts = by_area(hidden)
    places = torch.tensor([80, 48, 32])
    bins = hidden.unflatten(1, (-1, NUM_BINS))
    temporal = (bins.all(dim=1) == bins.any(dim=1)).all(dim=1)
    whole = ((counts == places) | (counts == 0)).all(dim=1)
    within = ((counts > 0).sum(dim=1) == 1) & ~whole
    spread = (counts > 0).all(dim=1) & ~temporal
    for kind in (temporal, whole, within):
        assert 80 < int(kind.sum()) < 160, "one in five"
    assert 180 < int(spread.sum()) < 300, "two in five"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_never_hidden(kind):
    there = torch.rand(200, 160, generator=torch.Generator().manual_seed(1)) < 0.7
    there[:, :80] &= torch.arange(200)[:, None] % 2 == 0
    there[0] = False
    hidden = drawn(kind, there=there)
    assert not (hidden & ~there).any()
    assert not hidden[0].any(), "a response that holds nothing hides nothing"
    assert hidden[1:].any(dim=1).all(), "an area of which nothing was measured is not drawn"
    if kind == "random":
        expected = (0.25 * there.sum(dim=1)).round()
        assert torch.equal(hidden.sum(dim=1).float()[1:], expected[1:])


def test_kinds_are_those_that_a_recording_allows():
    assert applicable_kinds([0, 0], 1) == ("random",)
    assert applicable_kinds([0, 1], 1) == (
        "random",
        "region_balanced",
        "whole_region",
        "within_region",
    )
    only = {"areas": [0] * 40, "num_bins": 1}
    for kind, told in (
        ("whole_region", "one area: choose random"),
        ("region_balanced", "one area"),
        ("temporal", "no time bins: choose random"),
        ("mixed", "one area and no time bins: choose random"),
    ):
        with pytest.raises(ConfigError, match=told):
            drawn(kind, **only)
    with pytest.raises(ConfigError, match="a share of 1 to hide"):
        drawn("random", share=1)
