"""Identities from samples: sets of windows and of runs, in which padding says nothing."""

from dataclasses import replace

import torch

from neurohorizon.nn.identity_samples import EventIdentity, UnitSamples, WindowIdentity


def make_samples() -> UnitSamples:
    generator = torch.Generator().manual_seed(0)
    return UnitSamples(
        counts_SNML=torch.poisson(torch.full((2, 3, 7, 10), 0.4), generator=generator),
        window_mask_SM=torch.ones(2, 7, dtype=torch.bool),
        time_SNRK=torch.randn(2, 3, 5, 16, generator=generator).sort(dim=-1).values,
        interval_SNRKI=torch.rand(2, 3, 5, 16, 2, generator=generator),
        spike_mask_SNRK=torch.ones(2, 3, 5, 16, dtype=torch.bool),
    )


def test_the_order_of_windows_and_runs_says_nothing():
    torch.manual_seed(0)
    samples, windows = make_samples(), WindowIdentity(num_bins=10, width=16)
    events = EventIdentity(width=16, num_heads=2)
    order, other = torch.randperm(7), torch.randperm(5)
    changed = replace(
        samples,
        counts_SNML=samples.counts_SNML[:, :, order],
        time_SNRK=samples.time_SNRK[:, :, other],
        interval_SNRKI=samples.interval_SNRKI[:, :, other],
    )
    torch.testing.assert_close(windows(changed), windows(samples))
    torch.testing.assert_close(events(changed), events(samples))


def test_what_is_masked_says_nothing():
    torch.manual_seed(0)
    samples, windows = make_samples(), WindowIdentity(num_bins=10, width=16)
    events = EventIdentity(width=16, num_heads=2)
    masked = replace(
        samples,
        window_mask_SM=torch.arange(7).expand(2, 7) < 4,
        spike_mask_SNRK=samples.spike_mask_SNRK & (torch.arange(5) < 2)[:, None],
    )
    noise = replace(masked, counts_SNML=samples.counts_SNML.clone())
    noise.counts_SNML[:, :, 4:] = 9.0
    noise = replace(noise, time_SNRK=samples.time_SNRK.clone())
    noise.time_SNRK[:, :, 2:] = 3.0
    fewer = UnitSamples(
        samples.counts_SNML[:, :, :4],
        masked.window_mask_SM[:, :4],
        samples.time_SNRK[:, :, :2],
        samples.interval_SNRKI[:, :, :2],
        samples.spike_mask_SNRK[:, :, :2],
    )
    for identity in (windows, events):
        torch.testing.assert_close(identity(noise), identity(masked))
        torch.testing.assert_close(identity(fewer), identity(masked))


def test_spike_times_and_intervals_are_read():
    torch.manual_seed(0)
    samples, events = make_samples(), EventIdentity(width=16, num_heads=2)
    plain = events(samples)
    moved = events(replace(samples, time_SNRK=0.5 * samples.time_SNRK))
    stretched = events(replace(samples, interval_SNRKI=0.5 * samples.interval_SNRKI))
    assert (moved - plain).abs().max() > 1e-3
    assert (stretched - plain).abs().max() > 1e-3


def test_units_without_a_spike_have_an_identity_too():
    torch.manual_seed(0)
    samples, events = make_samples(), EventIdentity(width=16, num_heads=2)
    silent = samples.spike_mask_SNRK.clone()
    silent[0] = False
    vectors = events(replace(samples, spike_mask_SNRK=silent))
    assert torch.isfinite(vectors).all()
    torch.testing.assert_close(vectors[0, 0], vectors[0, 2])
    torch.testing.assert_close(vectors[1], events(samples)[1])
    none = events(replace(samples, spike_mask_SNRK=torch.zeros_like(silent)))
    assert torch.isfinite(none).all()
