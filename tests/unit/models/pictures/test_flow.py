"""The network of a flow, and following it: what it says untrained, and what guidance does."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.sampling import Sampling, follow, noise_of
from neurohorizon.models.pictures.standard import Standardise, to_pixels, to_values


def network(*, start_noise=0.0, seed=0, trained=True):
    torch.manual_seed(seed)
    made = FlowNetwork(
        size_px=16, num_dimensions=5, widths=(16, 32), num_tokens=3, start_noise=start_noise
    )
    if trained:  # as after training: the last layer is not zero, and nothing is not the mean
        nn.init.normal_(made.draw.weight, std=0.1)
        nn.init.normal_(made.nothing_D)
    return made.eval()


def asked(num=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num, 5, generator=generator), noise_of(range(num), size_px=16)


def test_an_untrained_flow_draws_grey_and_one_step_ends_at_what_is_expected():
    embeddings, noise = asked()
    grey = follow(network(trained=False), embeddings, noise, sampling=Sampling())
    assert to_pixels(grey).unique().tolist() == [128]
    made = network(start_noise=0.5)
    start = torch.full_like(noise, 0.25)
    plain = Sampling(steps=1, guidance=1.0)
    drawn = follow(made, embeddings, noise, sampling=plain, start_B3SS=start)
    begun = 0.25 + 0.5 * noise
    with torch.inference_mode():
        expected = made(begun, torch.zeros(3), made.tell(embeddings))
    torch.testing.assert_close(drawn, expected)


def test_embedding_time_and_values_change_what_is_expected():
    made = network()
    embeddings, values = asked()
    time, told = torch.full((3,), 0.3), made.tell(embeddings)
    said = made(values, time, told)
    for other in (
        made(values, time, told.roll(1, 0)),
        made(values, time, made.tell(embeddings, known_B=torch.zeros(3, dtype=torch.bool))),
        made(values, time + 0.2, told),
        made(values.roll(1, 0), time, told),
    ):
        assert (said - other).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_what_is_unknown_is_told_by_the_same_vector_whatever_the_embedding():
    made = network()
    embeddings, _ = asked()
    known = torch.tensor([True, False, False])
    told = made.tell(embeddings, known_B=known)
    assert torch.equal(told[0], made.tell(embeddings)[0])
    assert torch.equal(told[1:], made.nothing_D.expand(2, -1))


def test_guidance_is_between_and_beyond_what_is_said_with_and_without_the_embedding():
    made = network()
    embeddings, noise = asked()

    def drawn(guidance):
        return follow(made, embeddings, noise, sampling=Sampling(4, "euler", guidance))

    def plain(told):
        values = noise
        with torch.inference_mode():
            for number in range(4):
                ends = made(values, torch.full((3,), number / 4), told)
                values = values + (ends - values) / (4 - number)
        return values

    torch.testing.assert_close(drawn(1.0), plain(made.tell(embeddings)))
    torch.testing.assert_close(drawn(1.0), drawn(1 + 1e-6), atol=1e-4, rtol=0)
    nothing = plain(made.nothing_D.expand(3, -1))
    torch.testing.assert_close(drawn(0.0), nothing, atol=1e-5, rtol=1e-5)
    assert (drawn(2.0) - nothing).norm() > (drawn(1.0) - nothing).norm()


class _Exponential(nn.Module):
    """A flow whose velocity is its place: from x it leads to e times x."""

    def __init__(self):
        super().__init__()
        self.nothing_D = torch.zeros(5)

    def tell(self, embeddings):
        return embeddings

    def forward(self, values, time, told):
        return values + (1 - time[:, None, None, None]) * values


def test_steps_have_the_order_of_their_method():
    embeddings, noise = asked()
    error = {}
    for method in ("euler", "heun"):
        for steps in (8, 16):
            ended = follow(_Exponential(), embeddings, noise, sampling=Sampling(steps, method))
            error[method, steps] = float((ended - math.e * noise).norm())
    assert error["euler", 8] / error["euler", 16] == pytest.approx(2, rel=0.2)
    assert error["heun", 8] / error["heun", 16] == pytest.approx(4, rel=0.3)


def test_a_seed_makes_the_noise_whatever_is_beside_it():
    noise = noise_of([5, 9, 5], size_px=8)
    assert torch.equal(noise[0], noise[2])
    assert torch.equal(noise_of([9], size_px=8)[0], noise[1])
    assert not torch.equal(noise[0], noise[1])
    assert noise_of([], size_px=8).shape == (0, 3, 8, 8)
    assert noise_of(range(50), size_px=16).std() == pytest.approx(1, rel=0.02)


def test_pixels_become_values_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 3, 16, 16)
    assert torch.equal(to_pixels(to_values(pixels)), pixels)
    outside = torch.tensor([-99.0, 99.0]).reshape(1, 1, 1, 2)
    assert to_pixels(outside).flatten().tolist() == [0, 255]


def test_vectors_are_standardised_as_numpy_does():
    vectors = np.random.default_rng(0).normal([3, -1, 5], [2, 0.1, 0], (50, 3))
    standardise = Standardise(3)
    standardise.fit(torch.from_numpy(vectors).float())
    found = standardise(torch.from_numpy(vectors).float()).numpy()
    expected = (vectors - vectors.mean(axis=0))[:, :2] / vectors.std(axis=0)[:2]
    np.testing.assert_allclose(found[:, :2], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-3)
    standardise.fit(torch.ones(4, 3))
    assert torch.equal(standardise(torch.ones(2, 3)), torch.zeros(2, 3))


def test_missing_values_are_left_out_of_mean_and_spread():
    vectors = np.random.default_rng(0).normal([3, -1, 5], [2, 0.5, 1], (50, 3))
    vectors[::3, 0] = np.nan
    vectors[:, 2] = np.nan
    standardise = Standardise(3)
    standardise.fit(torch.from_numpy(vectors).float())
    wanted = [np.nanmean(vectors[:, 0]), vectors[:, 1].mean(), 0]
    np.testing.assert_allclose(standardise.mean_D, wanted, rtol=1e-5)
    spread = [np.nanstd(vectors[:, 0]), vectors[:, 1].std()]
    np.testing.assert_allclose(standardise.spread_D[:2], spread, rtol=1e-5)
    assert 0 < standardise.spread_D[2] < 0.01


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size_px": 30}, "size_px is 30: expected a multiple of 8, 16 or more"),
        ({"size_px": 8}, "size_px is 8"),
        ({"widths": (16, 20)}, r"widths \(16, 20\): expected multiples of 16"),
        ({"num_tokens": 0}, "0 tokens"),
        ({"start_noise": -1.0}, "start_noise -1.0"),
        ({"num_dimensions": 0}, "vectors of 0 dimensions"),
    ],
)
def test_networks_that_cannot_be(settings, told):
    with pytest.raises(ConfigError, match=told):
        FlowNetwork(**{"num_dimensions": 5, **settings})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"method": "rk4"}, "rk4"),
        ({"guidance": -1}, "guidance is -1"),
    ],
)
def test_sampling_that_cannot_be(settings, told):
    with pytest.raises(ConfigError, match=told):
        Sampling(**settings)


@pytest.mark.parametrize("size_px", [32, 64])
def test_sizes_that_are_shipped_have_weights_as_the_text_says(size_px):
    made = FlowNetwork(size_px=size_px, num_dimensions=128)
    assert 1.2e6 < sum(each.numel() for each in made.parameters()) < 2e6
    told = made.tell(torch.zeros(1, 128))
    said = made(torch.zeros(1, 3, size_px, size_px), torch.zeros(1), told)
    assert said.shape == (1, 3, size_px, size_px)
