"""References for decoders that know units without a vocabulary, and the windows they may serve.

What is solved on a stretch flatters itself there. A model that shall learn how far to trust it
must see it applied elsewhere: in training each reference is drawn from one stretch of the train
domain and serves only windows that lie outside of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import subtract, total_s
from neurohorizon.recordings.reference_pool import NUM_FOLDS, SHORTEST_REFERENCE_S, cut_stretch
from neurohorizon.recordings.schema import FloatArray, Recording


@dataclass(frozen=True)
class DecodeReference:
    """A reference and the stretches whose windows it may serve.

    Parameters
    ----------
    stretches : (K, 2) float
        What is read of the units, in seconds.
    free : (K, 2) float
        The train domain without it.
    """

    stretches: FloatArray
    free: FloatArray


def draw_references(
    recording: Recording, domain: FloatArray, *, lengths_s: tuple[float, ...], seed: int
) -> list[DecodeReference]:
    """Draw references of given lengths at random places of a domain, one a length.

    Parameters
    ----------
    recording : Recording
        Named where something is wrong.
    domain : (K, 2) array
        Training stretches, in seconds.
    lengths_s : tuple of float
        Capped at half of the domain.
    seed : int

    Raises
    ------
    DataError
        If the domain is too short for a reference and windows beside it.
    """
    generator = np.random.default_rng(seed)
    total = total_s(domain)
    if total < 2 * SHORTEST_REFERENCE_S:
        raise DataError(
            f"{recording.id}: {total:.3g} s of training data are too short for a reference of "
            f"{SHORTEST_REFERENCE_S:g} s and windows beside it"
        )
    references = []
    for length_s in lengths_s:
        length_s = min(length_s, total / 2)
        stretches = cut_stretch(domain, generator.uniform(0, total - length_s), length_s)
        references.append(DecodeReference(stretches, subtract(domain, stretches)))
    return references


def fold_references(blocks: FloatArray, *, seed: int) -> list[DecodeReference]:
    """Leave out one block in four at a time: the others are the reference of its windows.

    Parameters
    ----------
    blocks : (K, 2) array
        Training stretches of an interleaved split, in seconds; at least four.
    seed : int
        Seed of the order in which blocks are dealt out to folds.
    """
    fold = np.random.default_rng(seed).permutation(np.arange(len(blocks)) % NUM_FOLDS)
    return [
        DecodeReference(blocks[fold != index], blocks[fold == index]) for index in range(NUM_FOLDS)
    ]
