"""The oracle gate: whether a generator draws what its embedding says, before it is given responses.

A generator that ignores its embedding can look impressive; a published pipeline trained an adapter
that never met its diffusion model, and its pictures were identified at chance. So, first: fed the
true embeddings of test pictures it must draw pictures that are identified far above chance, fed
the same embeddings in another order it must be at chance, and a network judges that had no part in
the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.pictures.features import Features, count_closer
from neurohorizon.evaluation.retrieval.identification import identified, two_way
from neurohorizon.evaluation.retrieval.summary import Estimate, estimate_scores
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.spaces import spaces_of
from neurohorizon.recordings.schema import FloatArray

CHANCE = 0.5
#: Of two-way identification from true embeddings. Published pictures drawn from responses to these
#: very photographs reach .87 to .95 (arXiv:2601.11108): a generator that stays below .9 when told
#: the truth could not show what responses tell.
FAR_ABOVE = 0.9
#: How far from chance the interval of shuffled embeddings may stay. A 95 % interval misses chance
#: once in twenty; with this it does about once in a hundred, at 100 pictures.
TOLERANCE = 0.02
#: With fewer pictures nothing is shown.
FEWEST_PICTURES = 20
GALLERY = 100


@dataclass(frozen=True)
class OracleGate:
    """Whether a generator may be reported on.

    Parameters
    ----------
    passed : bool
    reason : str
        One sentence: the numbers, and what is wrong.
    network : str
        Encoder behind the features that judged.
    conditioning : str
        Encoder of the embeddings that were drawn from; of several spaces, all.
    from_true, from_shuffled : Estimate
        Two-way identification of the pictures drawn from true and from shuffled embeddings.
    top_1 : Estimate
        Identification from true embeddings among `gallery` pictures.
    gallery : int
    threshold : float
        Two-way identification that was asked of true embeddings.
    """

    passed: bool
    reason: str
    network: str
    conditioning: str
    from_true: Estimate
    from_shuffled: Estimate
    top_1: Estimate
    gallery: int
    threshold: float


def oracle_gate(
    truth: Features,
    from_true: Sequence[Features],
    from_shuffled: Sequence[Features],
    *,
    network: Fingerprint,
    conditioning: Fingerprint,
    threshold: float = FAR_ABOVE,
    seed: int = 0,
) -> OracleGate:
    """Judge a generator by the pictures that it draws from true and from shuffled embeddings.

    Parameters
    ----------
    truth : (Q, D) array
        Features of the true pictures, by a network other than the conditioning encoder.
    from_true : sequence of (Q, D) array
        Of the pictures drawn from their embeddings, by seed of the generator.
    from_shuffled : sequence of (Q, D) array
        Of those drawn from the embeddings in the order of :func:`shuffled_order`, compared with
        the same true pictures.
    network, conditioning : Fingerprint
        What made the features, and the embeddings.
    threshold : float
        Two-way identification from true embeddings that is asked.
    seed : int
        Of the intervals.

    Notes
    -----
    Passed if, in two-way identification, true embeddings are above chance by their 95 % interval
    and at least at `threshold`, and the interval of shuffled ones includes chance, or misses it by
    no more than :data:`TOLERANCE`. Two-way, because its chance is the same for shuffled
    embeddings: there the first place belongs to another picture by construction.

    Raises
    ------
    ConfigError
        If the network is the conditioning encoder.
    DataError
        If there are too few pictures, or the features do not belong together.
    """
    require_other_network(network, conditioning)
    num = len(truth)
    if num < FEWEST_PICTURES:
        raise DataError(
            f"the oracle gate has {num} pictures: it needs {FEWEST_PICTURES} to tell chance from "
            "identification"
        )
    if not (len(from_true) and len(from_shuffled)):
        raise DataError("the oracle gate has no pictures from true, or none from shuffled ones")
    closer = np.array([count_closer(found, truth) for found in from_true])
    gallery = min(GALLERY, num)
    top_1 = np.array([identified(each, num_candidates=num, gallery=gallery) for each in closer])
    true = _estimate(closer, num, seed)
    shuffled = _estimate(np.array([count_closer(each, truth) for each in from_shuffled]), num, seed)
    passed, reason = _verdict(true, shuffled, threshold)
    return OracleGate(
        passed=passed,
        reason=reason,
        network=network.encoder,
        conditioning=" and ".join(space.encoder for space in spaces_of(conditioning)),
        from_true=true,
        from_shuffled=shuffled,
        top_1=estimate_scores([top_1], seed=seed),
        gallery=gallery,
        threshold=threshold,
    )


def require_passed(gate: OracleGate, generator: str) -> None:
    """Make sure that a generator may be reported on.

    Raises
    ------
    DataError
        If it failed the gate, with the reason.
    """
    if not gate.passed:
        raise DataError(
            f"{generator}: no result is reported, the oracle gate failed: {gate.reason}"
        )


def require_other_network(network: Fingerprint, conditioning: Fingerprint) -> None:
    """Make sure that the network that judges is not the one that conditions.

    Another readout, size or version of the same weights is the same network.

    Raises
    ------
    ConfigError
        If it is.
    """
    for space in spaces_of(conditioning):
        same = network.encoder == space.encoder
        if network.weights or space.weights:
            same = network.weights == space.weights
        if same:
            raise ConfigError(
                f"the oracle gate would judge by {network.encoder}, which made embeddings that "
                "pictures are drawn from: name another encoder"
            )


def shuffled_order(num: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return a random order in which nothing stays in its place, (num,).

    One cycle through all (Sattolo 1986, *Inf. Process. Lett.* 22:315).

    Raises
    ------
    DataError
        If there are fewer than two.
    """
    if num < 2:
        raise DataError(f"{num} embeddings cannot be shuffled: it takes two")
    generator = np.random.default_rng(seed)
    order = np.arange(num)
    for last in range(num - 1, 0, -1):
        other = generator.integers(last)
        order[last], order[other] = order[other], order[last]
    return order


def _estimate(closer: FloatArray, num: int, seed: int) -> Estimate:
    return estimate_scores([two_way(closer, num_candidates=num)], seed=seed)


def _verdict(true: Estimate, shuffled: Estimate, threshold: float) -> tuple[bool, str]:
    numbers = (
        f"two-way identification {_told(true)} from true embeddings and {_told(shuffled)} from "
        f"shuffled ones, chance {CHANCE}"
    )
    if true.low <= CHANCE:
        return False, (
            f"{numbers}; the pictures do not tell what the embedding was: the generator was "
            "trained too little, or does not read its embedding"
        )
    if true.value < threshold:
        return False, (
            f"{numbers}; {threshold} is asked of true embeddings: train the generator longer, or "
            "give it an embedding that tells more"
        )
    if not shuffled.low - TOLERANCE <= CHANCE <= shuffled.high + TOLERANCE:
        return False, (
            f"{numbers}; shuffled embeddings should be at chance: the generator knows the pictures "
            "otherwise, or the order was not shuffled"
        )
    return True, numbers


def _told(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
