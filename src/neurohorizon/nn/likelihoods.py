"""Distributions of spike counts, from what a head gives for each unit and bin.

The first parameter is always the logarithm of the expected count, whatever the distribution:
so the rate term, the expected counts and their scores mean the same for all of them. The
others say how counts spread around it, and are 0 where a head has learned nothing.

Parameters come as the last axis of a tensor, (..., P).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LikelihoodName = Literal["poisson", "negative_binomial", "zero_inflated_poisson", "categorical"]
# Where an untrained head stands: little more spread than Poisson's, hardly any extra silence.
START_DISPERSION, START_SILENCE = 0.1, 0.02
# A head may go this far from there; beyond, floating-point numbers say nothing more.
LARGEST_CHANGE = 10.0
SMALLEST_TAIL = 1e-30


class CountLikelihood(ABC):
    """A distribution of counts."""

    num_parameters: int
    """Numbers a unit and bin, the logarithm of the expected count first."""

    @abstractmethod
    def log_prob(self, parameters: Tensor, counts: Tensor) -> Tensor:
        """Return the exact log-probability of each count, in nats.

        Parameters
        ----------
        parameters : (..., P) Tensor
        counts : (...) Tensor
            Whole numbers.
        """

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected counts, (...)."""

    @abstractmethod
    def sample(self, parameters: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw counts, (...)."""


class PoissonCounts(CountLikelihood):
    r"""Poisson counts.

    Notes
    -----
    .. math:: \log p(k \mid \mu) = k \log \mu - \mu - \log k!

    With :math:`\eta = \log \mu` the gradient is :math:`k - e^\eta`: bounded below by
    the data and free of divisions, which is why networks give log-rates. The last term
    depends on no parameter but is kept: log-probabilities are compared across models.
    """

    num_parameters = 1

    def log_prob(self, parameters: Tensor, counts: Tensor) -> Tensor:
        """Return the exact log-probability of each count, in nats."""
        return _poisson_log_prob(parameters[..., 0], counts)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected counts."""
        return torch.exp(parameters[..., 0])

    def sample(self, parameters: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw counts."""
        return torch.poisson(torch.exp(parameters[..., 0]), generator=generator)


class NegativeBinomialCounts(CountLikelihood):
    r"""Counts of a Poisson process whose rate is itself Gamma distributed.

    Notes
    -----
    With mean :math:`\mu` and dispersion :math:`\alpha` (variance :math:`\mu + \alpha \mu^2`)
    and :math:`r = 1 / \alpha`,

    .. math::

        p(k) = \frac{\Gamma(k + r)}{k!\,\Gamma(r)}
               \left(\frac{1}{1 + \alpha\mu}\right)^{r}
               \left(\frac{\alpha\mu}{1 + \alpha\mu}\right)^{k}.

    Since :math:`\Gamma(k + r) / \Gamma(r) = r^k \prod_{j<k} (1 + j \alpha)`, the powers of
    :math:`\alpha` cancel,

    .. math::

        \log p(k) = k \log\mu - (k + r) \log(1 + \alpha\mu)
                    + \sum_{j<k} \log(1 + j\alpha) - \log k!,

    where nothing large is subtracted from anything large: as :math:`\alpha \to 0` it becomes
    the Poisson's. The second parameter is the logarithm of the ratio of :math:`\alpha` to 0.1.
    """

    num_parameters = 2

    def log_prob(self, parameters: Tensor, counts: Tensor) -> Tensor:
        """Return the exact log-probability of each count, in nats."""
        log_mean, log_dispersion = parameters[..., 0], self._log_dispersion(parameters)
        dispersion = torch.exp(log_dispersion)
        spread = functional.softplus(log_mean + log_dispersion)
        rising = torch.zeros_like(log_mean)
        for number in range(1, int(counts.max()) if counts.numel() else 0):
            rising = rising + torch.where(counts > number, torch.log1p(number * dispersion), 0.0)
        return (
            counts * log_mean
            - (counts + 1 / dispersion) * spread
            + rising
            - torch.lgamma(counts + 1.0)
        )

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected counts."""
        return torch.exp(parameters[..., 0])

    def sample(self, parameters: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw counts: first a rate from the Gamma distribution, then a count."""
        shape = torch.exp(-self._log_dispersion(parameters))
        # torch.distributions.Gamma takes no generator.
        draw = torch._standard_gamma  # pyright: ignore[reportPrivateImportUsage]
        gamma = draw(shape, generator=generator)
        return torch.poisson(gamma / shape * torch.exp(parameters[..., 0]), generator=generator)

    @staticmethod
    def _log_dispersion(parameters: Tensor) -> Tensor:
        return _limited(parameters[..., 1]) + math.log(START_DISPERSION)


class ZeroInflatedPoissonCounts(CountLikelihood):
    r"""Poisson counts, and silence beside them.

    Notes
    -----
    With probability :math:`\pi` the unit is silent, else it fires a Poisson count of mean
    :math:`\lambda`, so that :math:`\mu = (1 - \pi) \lambda` and

    .. math::

        p(0) = \pi + (1 - \pi) e^{-\lambda}, \qquad
        p(k) = (1 - \pi) \frac{\lambda^k e^{-\lambda}}{k!} \quad (k > 0).

    The second parameter is added to the logit of :math:`\pi`, which starts at that of 0.02.
    :math:`\lambda` follows from :math:`\mu`, so that the first parameter stays the mean.
    """

    num_parameters = 2

    def log_prob(self, parameters: Tensor, counts: Tensor) -> Tensor:
        """Return the exact log-probability of each count, in nats."""
        logit, log_firing = self._logit(parameters), -functional.softplus(self._logit(parameters))
        log_rate = parameters[..., 0] - log_firing
        fired = log_firing + _poisson_log_prob(log_rate, counts)
        silent = torch.logaddexp(functional.logsigmoid(logit), log_firing - torch.exp(log_rate))
        return torch.where(counts == 0, silent, fired)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected counts."""
        return torch.exp(parameters[..., 0])

    def sample(self, parameters: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw counts: first whether the unit is silent."""
        firing = torch.sigmoid(-self._logit(parameters))
        fires = torch.rand(firing.shape, generator=generator, device=firing.device) < firing
        counts = torch.poisson(torch.exp(parameters[..., 0]) / firing, generator=generator)
        return counts * fires

    @staticmethod
    def _logit(parameters: Tensor) -> Tensor:
        return _limited(parameters[..., 1]) + math.log(START_SILENCE / (1 - START_SILENCE))


class CategoricalCounts(CountLikelihood):
    r"""A free probability for each small count, and one for all larger ones.

    Parameters
    ----------
    num_classes : int
        Counts 0 to ``num_classes - 2``, and "more" (the overflow class).

    Notes
    -----
    The classes' logits are those of a Poisson distribution of mean :math:`e^{\eta}` plus what
    the head says, so that a head that says nothing gives that distribution; :math:`\eta` is
    the first parameter, and only then the logarithm of the mean. Within the overflow class,
    counts from :math:`K` on, the Poisson's own conditional probabilities hold,

    .. math::

        \log p(k) = \ell_{\min(k, K)} - \log \sum_j e^{\ell_j}
                    + [k \ge K] \left(\log P_\eta(k) - \log P_\eta(k' \ge K)\right),

    so that this is a distribution over all counts, whose log-probabilities may be compared
    with those of the others. Its mean has a closed form, since
    :math:`E_\eta[k \mid k \ge K] = e^\eta P_\eta(k \ge K - 1) / P_\eta(k \ge K)`.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.num_parameters = 1 + num_classes

    def log_prob(self, parameters: Tensor, counts: Tensor) -> Tensor:
        """Return the exact log-probability of each count, in nats."""
        last = self.num_classes - 1
        log_class, log_tail = self._log_classes(parameters)
        chosen = torch.take_along_dim(
            log_class, counts.long().clamp(max=last).unsqueeze(-1), dim=-1
        ).squeeze(-1)
        within = _poisson_log_prob(parameters[..., 0], counts) - log_tail
        return chosen + torch.where(counts >= last, within, 0.0)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected counts."""
        last = self.num_classes - 1
        log_class, log_tail = self._log_classes(parameters)
        values = torch.arange(last, dtype=parameters.dtype, device=parameters.device)
        small = torch.exp(log_class[..., :-1]) @ values
        above = parameters[..., 0] + _log_tail(parameters[..., 0], last - 1) - log_tail
        return small + torch.exp(log_class[..., -1]) * torch.exp(above).clamp(min=float(last))

    def sample(self, parameters: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw counts; those of the overflow class by inverting its distribution."""
        last = self.num_classes - 1
        log_class, log_tail = self._log_classes(parameters)
        flat = torch.exp(log_class).flatten(end_dim=-2)
        drawn = torch.multinomial(flat, 1, generator=generator).reshape(log_class.shape[:-1])
        level = torch.rand(log_tail.shape, generator=generator, device=log_tail.device)
        counts = drawn.to(parameters.dtype)
        reached = torch.zeros_like(log_tail)
        beyond = drawn == last
        number = last
        while beyond.any():
            value = torch.full_like(log_tail, number)
            reached = reached + torch.exp(_poisson_log_prob(parameters[..., 0], value) - log_tail)
            counts = torch.where(beyond, value, counts)
            # Rounding may leave the last sliver of probability unreached.
            beyond = beyond & (level > reached) & (reached < 1 - 1e-6)
            number += 1
        return counts

    def _log_classes(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities of the classes, (..., C), and the Poisson's of its tail."""
        last = self.num_classes - 1
        values = torch.arange(last, dtype=parameters.dtype, device=parameters.device)
        small = _poisson_log_prob(parameters[..., :1], values)
        log_tail = _log_tail(parameters[..., 0], last)
        base = torch.cat([small, log_tail.unsqueeze(-1)], dim=-1)
        return torch.log_softmax(base + _limited(parameters[..., 1:]), dim=-1), log_tail


def make_likelihood(name: LikelihoodName, *, num_classes: int = 6) -> CountLikelihood:
    """Return a distribution of counts by name.

    Parameters
    ----------
    name : str
    num_classes : int
        Of ``categorical``.
    """
    if name == "categorical":
        return CategoricalCounts(num_classes)
    kinds = {
        "poisson": PoissonCounts,
        "negative_binomial": NegativeBinomialCounts,
        "zero_inflated_poisson": ZeroInflatedPoissonCounts,
    }
    return kinds[name]()


def _poisson_log_prob(log_mean: Tensor, counts: Tensor) -> Tensor:
    return counts * log_mean - torch.exp(log_mean) - torch.lgamma(counts + 1.0)


def _log_tail(log_mean: Tensor, least: int) -> Tensor:
    """Return log P(k >= least) of a Poisson distribution."""
    if least == 0:
        return torch.zeros_like(log_mean)
    shape = torch.full_like(log_mean, least)
    tail = torch.special.gammainc(shape, torch.exp(log_mean))
    return torch.log(tail.clamp(min=SMALLEST_TAIL))


def _limited(change: Tensor) -> Tensor:
    return change.clamp(-LARGEST_CHANGE, LARGEST_CHANGE)
