"""Looks into a run of bridges: similarities of test pairs, what was tried, which units there are.

From them come pictures, not scores: those are computed apart
(:mod:`~neurohorizon.evaluation.retrieval.summary`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.results import RetrievalResult
from neurohorizon.evaluation.retrieval.transfer import TransferResult


@dataclass(frozen=True, eq=False)
class SimilarityMatrix:
    """How similar a fitted row finds every test response and every test picture.

    Parameters
    ----------
    row, recording : str
    hashes : (Q,) str
        Pictures; responses are in the same order.
    values : (Q, Q) float
        Responses x pictures; of the first seed.
    places : (Q, d) float
        Of the pictures, in the common space.
    measure : {"cosine", "likelihood"}
    """

    row: str
    recording: str
    hashes: NDArray[np.str_]
    values: NDArray[np.floating]
    places: NDArray[np.floating]
    measure: Literal["cosine", "likelihood"]


@dataclass(frozen=True)
class Tried:
    """Settings that were tried of a row, for one recording.

    Parameters
    ----------
    row, recording : str
    scores : tuple of float
        Of every candidate on held-out training pictures; the best was taken.
    settings : str
        That were taken.
    """

    row: str
    recording: str
    scores: tuple[float, ...]
    settings: str = ""


@dataclass(frozen=True, eq=False)
class RetrievalViews:
    """What a page shows of a run beside its scores.

    Parameters
    ----------
    similarity : callable
        Called with a fitted row and a recording.
    tried : sequence of Tried
    areas : mapping of str to (N,) str
        By recording: the area of every unit that is read; absent where files are not at hand.
    paths : mapping of str to str
        By hash: where the source keeps a picture; absent where files are not at hand.
    regions, windows : RetrievalResult or None
        Of parts of the electrodes, and of time bins, where that was asked for.
    transfer : TransferResult or None
        What recordings are worth to each other, where that was asked for.
    """

    similarity: Callable[[str, str], SimilarityMatrix]
    tried: Sequence[Tried] = ()
    areas: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    regions: RetrievalResult | None = None
    windows: RetrievalResult | None = None
    transfer: TransferResult | None = None
