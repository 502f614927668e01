"""Cross-fitting: references and windows of training recordings that never touch.

A closed-form adapter flatters itself on the stretch it was solved on. A model that shall
learn how far to trust it must therefore see it applied elsewhere, as it will be in a new
session: each reference is drawn from one stretch of the training domain and serves only
windows that lie outside.

A reference of some seconds is imitated by stretches at random places, one that is all that
may be read of blocks that take turns by folds: some blocks are left out at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import dilate, subtract, total_s
from neurohorizon.recordings.reference import Reference, compute_reference
from neurohorizon.recordings.schema import FloatArray, Recording, Split
from neurohorizon.recordings.window_spec import WindowSpec

SHORTEST_REFERENCE_S = 10.0
NUM_FOLDS = 4


@dataclass(frozen=True)
class CrossFit:
    """A reference and the stretches whose windows it may serve.

    Parameters
    ----------
    reference : Reference
    free : (K, 2) float
        The training domain without the reference and a guard around it, in seconds.
    """

    reference: Reference
    free: FloatArray


def draw_cross_fits(
    recording: Recording,
    domain: FloatArray,
    *,
    spec: WindowSpec,
    lengths_s: tuple[float, ...],
    seed: int,
    guard_s: float | None = None,
) -> list[CrossFit]:
    """Draw references of given lengths at random places, each with the windows it may serve.

    Parameters
    ----------
    recording : Recording
    domain : (K, 2) array
        Training stretches, in seconds.
    spec : WindowSpec
    lengths_s : tuple of float
        Length of each reference to draw; capped at half of the domain.
    seed : int
    guard_s : float, optional
        Seconds between a reference and what it serves; a whole window by default.

    Returns
    -------
    list of CrossFit
        One a length.

    Raises
    ------
    DataError
        If the domain is too short for a reference and windows beside it.
    """
    generator = np.random.default_rng(seed)
    total = total_s(domain)
    if total < 2 * SHORTEST_REFERENCE_S + 2 * (spec.context_s + spec.horizon_s):
        raise DataError(
            f"{recording.id}: {total:.3g} s of training data are too short for a reference of "
            f"{SHORTEST_REFERENCE_S:g} s and windows beside it"
        )
    guard_s = spec.context_s + spec.horizon_s if guard_s is None else guard_s
    cross_fits = []
    for length_s in lengths_s:
        length_s = min(length_s, total / 2)
        stretch = cut_stretch(domain, generator.uniform(0, total - length_s), length_s)
        free = subtract(domain, dilate(stretch, guard_s))
        cross_fits.append(CrossFit(compute_reference(recording, stretch, spec=spec), free))
    return cross_fits


def has_folds(split: Split, reference_s: float | None) -> bool:
    """Tell whether a reference surrounds what it serves, so that :func:`draw_folds` fits.

    That is so where a reference is all that may be read (`reference_s` None) of blocks that
    take turns, if there are enough blocks for all folds.
    """
    return reference_s is None and split.interleaved and len(split.train) >= NUM_FOLDS


def draw_folds(
    recording: Recording,
    blocks: FloatArray,
    *,
    spec: WindowSpec,
    seed: int,
    guard_s: float | None = None,
) -> list[CrossFit]:
    """Leave out one block in four at a time: the others are the reference of its windows.

    Parameters
    ----------
    recording : Recording
    blocks : (K, 2) array
        Training stretches of an interleaved split, in seconds; at least four.
    spec : WindowSpec
    seed : int
        Seed of the order in which blocks are dealt out to folds.
    guard_s : float, optional
        Seconds between a reference and what it serves; a whole window by default.

    Returns
    -------
    list of CrossFit
        Four; every block is left out by one of them.

    Notes
    -----
    Where evaluation reads all blocks around what it scores, a stretch at one place imitates
    it badly: it is shorter, and rates have drifted further away from it.
    """
    guard_s = spec.context_s + spec.horizon_s if guard_s is None else guard_s
    fold = np.random.default_rng(seed).permutation(np.arange(len(blocks)) % NUM_FOLDS)
    cross_fits = []
    for index in range(NUM_FOLDS):
        reference = compute_reference(recording, blocks[fold != index], spec=spec)
        # Blocks of one part may be divided by a gap in the recording that is shorter than this.
        guard = dilate(reference.intervals, guard_s)
        cross_fits.append(CrossFit(reference, subtract(blocks[fold == index], guard)))
    return cross_fits


def random_reference_lengths(
    num_references: int, *, shortest_s: float, longest_s: float, seed: int
) -> tuple[float, ...]:
    """Draw reference lengths log-uniformly, the longest among them.

    Examples
    --------
    >>> lengths = random_reference_lengths(6, shortest_s=20, longest_s=300, seed=0)
    >>> len(lengths), lengths[0]
    (6, 300)
    """
    generator = np.random.default_rng(seed)
    drawn = np.exp(generator.uniform(np.log(shortest_s), np.log(longest_s), num_references - 1))
    return (longest_s, *drawn.tolist())


def last_stretch(domain: FloatArray, length_s: float | None) -> FloatArray:
    """Return the last seconds of a domain, gaps left out; all of it for None.

    Examples
    --------
    >>> last_stretch(np.array([[0.0, 50.0], [60.0, 100.0]]), 60.0).tolist()
    [[30.0, 50.0], [60.0, 100.0]]
    """
    total = total_s(domain)
    if length_s is None or length_s >= total:
        return domain
    return cut_stretch(domain, total - length_s, length_s)


def cut_stretch(domain: FloatArray, start_s: float, length_s: float) -> FloatArray:
    """Cut a stretch out of a domain by elapsed time inside it.

    Examples
    --------
    >>> cut_stretch(np.array([[0.0, 50.0], [60.0, 100.0]]), 40.0, 20.0).tolist()
    [[40.0, 50.0], [60.0, 70.0]]
    """
    elapsed: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(domain[:, 1] - domain[:, 0])])
    offset = domain[:, 0] - elapsed[:-1]
    start = np.maximum(start_s, elapsed[:-1]) + offset
    end = np.minimum(start_s + length_s, elapsed[1:]) + offset
    return np.column_stack([start, end])[end > start]
