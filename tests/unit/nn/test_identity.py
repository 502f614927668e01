"""Identity reads standardised features, or features as they are."""

import pytest
import torch

from neurohorizon.nn.identity import Identity


def make(*, standardise, mode="functional"):
    torch.manual_seed(0)
    return Identity(mode=mode, num_statistics=3, num_functional=2, width=8, standardise=standardise)


@pytest.mark.parametrize("mode", ["functional", "statistics", "linear"])
def test_raw_features_are_read_as_they_are(mode):
    statistics, functional = 50.0 + 20.0 * torch.randn(1, 6, 3), torch.randn(1, 6, 2)
    known = torch.zeros(1, 6, dtype=torch.long)
    raw, standardised = (make(standardise=each, mode=mode) for each in (False, True))
    for identity in (raw, standardised):
        identity.standardise_statistics.set(log=[False] * 3, mean=[50.0] * 3, scale=[20.0] * 3)
    out = raw(statistics, functional, known)
    together = torch.cat([statistics, functional], dim=-1) if mode == "functional" else statistics
    torch.testing.assert_close(out, raw.layers(together))
    # What it was given standardised is what the other makes of it by itself.
    by_hand = raw((statistics - 50.0) / 20.0, functional, known)
    torch.testing.assert_close(by_hand, standardised(statistics, functional, known))
    assert (out - by_hand).abs().max() > 0.01
