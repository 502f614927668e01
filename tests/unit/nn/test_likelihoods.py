import numpy as np
import pytest
import torch
from scipy import stats

from neurohorizon.nn.likelihoods import (
    START_DISPERSION,
    START_SILENCE,
    CategoricalCounts,
    NegativeBinomialCounts,
    PoissonCounts,
    ZeroInflatedPoissonCounts,
    make_likelihood,
)

NAMES = ("poisson", "negative_binomial", "zero_inflated_poisson", "categorical")
MEANS = np.array([0.002, 0.05, 0.4, 1.7, 6.0])
COUNTS = torch.arange(120, dtype=torch.float64)


def parameters_of(name, spread=0.0, means=MEANS):
    """Return one row a mean; the others say `spread`, with turning signs."""
    size = make_likelihood(name).num_parameters
    rows = torch.zeros(len(means), size, dtype=torch.float64)
    rows[:, 0] = torch.log(torch.as_tensor(means))
    rows[:, 1:] = spread * torch.cos(torch.arange(size - 1, dtype=torch.float64))
    return rows


def probabilities(name, parameters):
    likelihood = make_likelihood(name)
    every = parameters.unsqueeze(1).expand(-1, len(COUNTS), -1)
    return torch.exp(likelihood.log_prob(every, COUNTS.expand(len(parameters), -1)))


@pytest.mark.parametrize("spread", [0.0, 1.5, -1.5])
@pytest.mark.parametrize("name", NAMES)
def test_probabilities_sum_to_one_and_have_the_mean_that_is_told(name, spread):
    parameters = parameters_of(name, spread)
    chance = probabilities(name, parameters)
    np.testing.assert_allclose(chance.sum(dim=1), 1.0, rtol=1e-9)
    mean = make_likelihood(name).mean(parameters)
    np.testing.assert_allclose(chance @ COUNTS, mean, rtol=1e-6)
    if name != "categorical" or spread == 0:
        np.testing.assert_allclose(mean, MEANS, rtol=1e-6)


@pytest.mark.parametrize("spread", [0.0, 2.0, -3.0])
def test_against_scipy(spread):
    counts = COUNTS.numpy()[None]
    np.testing.assert_allclose(
        probabilities("poisson", parameters_of("poisson")),
        stats.poisson.pmf(counts, MEANS[:, None]),
        rtol=1e-9,
        atol=1e-300,
    )
    dispersion = START_DISPERSION * np.exp(spread)
    np.testing.assert_allclose(
        probabilities("negative_binomial", parameters_of("negative_binomial", spread)),
        stats.nbinom.pmf(counts, 1 / dispersion, 1 / (1 + dispersion * MEANS[:, None])),
        rtol=1e-7,
        atol=1e-300,
    )
    logit = np.log(START_SILENCE / (1 - START_SILENCE)) + spread
    silence = 1 / (1 + np.exp(-logit))
    poisson = stats.poisson.pmf(counts, MEANS[:, None] / (1 - silence))
    np.testing.assert_allclose(
        probabilities("zero_inflated_poisson", parameters_of("zero_inflated_poisson", spread)),
        silence * (counts == 0) + (1 - silence) * poisson,
        rtol=1e-9,
        atol=1e-300,
    )


def test_a_head_that_says_nothing_gives_the_categorical_a_poisson_distribution():
    np.testing.assert_allclose(
        probabilities("categorical", parameters_of("categorical")),
        probabilities("poisson", parameters_of("poisson")),
        rtol=1e-9,
        atol=1e-300,
    )


def test_classes_take_the_probabilities_that_the_head_says():
    likelihood = CategoricalCounts(3)
    tilt = torch.tensor([[np.log(0.3), 1.0, -0.5, 0.7]])
    base = stats.poisson.pmf([0, 1], 0.3)
    base = np.append(base, stats.poisson.sf(1, 0.3)) * np.exp([1.0, -0.5, 0.7])
    base /= base.sum()
    counts = torch.tensor([0.0, 1.0, 2.0, 5.0])
    found = torch.exp(likelihood.log_prob(tilt.expand(4, -1), counts))
    within = stats.poisson.pmf([2, 5], 0.3) / stats.poisson.sf(1, 0.3)
    np.testing.assert_allclose(found, [base[0], base[1], *(base[2] * within)], rtol=1e-5)


def test_little_dispersion_is_poisson_in_single_precision():
    parameters = torch.tensor([[np.log(0.1), -9.0], [np.log(3.0), -9.0]], dtype=torch.float32)
    for count in (0.0, 1.0, 4.0):
        counts = torch.full((2,), count)
        np.testing.assert_allclose(
            NegativeBinomialCounts().log_prob(parameters, counts),
            PoissonCounts().log_prob(parameters[:, :1], counts),
            atol=2e-3,
        )


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_of_the_distribution(name):
    likelihood = make_likelihood(name)
    parameters = parameters_of(name, 1.5, means=np.array([0.4, 2.5])).float()
    generator = torch.Generator().manual_seed(0)
    drawn = likelihood.sample(
        parameters.unsqueeze(1).expand(-1, 40_000, -1), generator=generator
    ).numpy()
    chance = probabilities(name, parameters.double()).numpy()
    for row, expected in zip(drawn, chance, strict=True):
        share = np.bincount(row.astype(int), minlength=len(expected))[: len(expected)] / row.size
        assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / row.size)
    np.testing.assert_allclose(drawn.mean(axis=1), likelihood.mean(parameters), rtol=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_samples_repeat_with_their_seed(name):
    parameters = parameters_of(name, 0.5).float()
    first, second = (
        make_likelihood(name).sample(parameters, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("log_mean", [-14.0, -3.0, 3.0])
@pytest.mark.parametrize("spread", [0.0, 30.0, -30.0])
def test_gradients_stay_finite(name, log_mean, spread):
    likelihood = make_likelihood(name)
    parameters = torch.full((9, likelihood.num_parameters), spread)
    parameters[:, 0] = log_mean
    parameters.requires_grad_()
    log_prob = likelihood.log_prob(parameters, torch.arange(9.0))
    log_prob.sum().backward()
    assert parameters.grad is not None
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(parameters.grad).all()
    assert torch.isfinite(likelihood.mean(parameters)).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    likelihood = make_likelihood(name)
    parameters = parameters_of(name, 0.7).requires_grad_()
    counts = torch.tensor([0.0, 1.0, 2.0, 3.0, 9.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: likelihood.log_prob(p, counts), (parameters,))


def test_spread_is_learned_from_counts():
    """Maximum likelihood finds the dispersion and the silence that counts were drawn with."""
    rng = np.random.default_rng(0)
    drawn = rng.poisson(rng.gamma(1 / 0.8, 0.8 * 1.5, 20_000)).astype(float)
    silent = rng.poisson(1.5, 20_000) * (rng.uniform(size=20_000) > 0.35)
    for likelihood, counts in (
        (NegativeBinomialCounts(), drawn),
        (ZeroInflatedPoissonCounts(), silent.astype(float)),
    ):
        values = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        observed = torch.as_tensor(counts)
        optimizer = torch.optim.LBFGS([values], max_iter=60)

        def loss(likelihood=likelihood, observed=observed, values=values, optimizer=optimizer):
            optimizer.zero_grad()
            every = values.expand(len(observed), -1)
            value = -likelihood.log_prob(every, observed).mean()
            value.backward()
            return value

        optimizer.step(loss)
        assert torch.exp(values[0]).item() == pytest.approx(counts.mean(), rel=1e-3)
        if isinstance(likelihood, NegativeBinomialCounts):
            assert START_DISPERSION * torch.exp(values[1]).item() == pytest.approx(0.8, rel=0.05)
        else:
            logit = values[1].item() + np.log(START_SILENCE / (1 - START_SILENCE))
            assert 1 / (1 + np.exp(-logit)) == pytest.approx(0.35, rel=0.05)
