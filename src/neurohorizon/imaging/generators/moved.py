"""Retrieved pictures, moved to where something was: retrieval by what, refined by where.

An embedding that names an object forgets its place, so the nearest training picture shows the right
thing in the wrong place; a decoder of least squares draws a blob in the right one. Of the nearest
pictures, each moved by some pixels, this takes the one that fits both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.small import stack_pictures

#: Of these many nearest pictures one is taken.
NUM_CANDIDATES = 48
#: By how much of their width pictures are moved at most, and in what steps.
FARTHEST, STEP = 3 / 8, 1 / 16
#: What a correlation of 1 with the blob is worth, in nats of the softmax over cosines.
WORTH = 10.0
#: Pictures are compared in this width at most: a blob knows no more.
MOST_PX = 32
_BLUR = 1.5 / 32  # of the width


@dataclass(frozen=True)
class Move:
    """A candidate, and where it is moved to.

    Parameters
    ----------
    row : int
        Of the candidate.
    down, right : float
        By which share of its width.
    """

    row: int
    down: float
    right: float

    def show(self, picture_SS3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the candidate, in any size, where it is moved to.

        What a move uncovers is filled with the nearest pixel of the edge.
        """
        size = len(picture_SS3)
        down, right = round(self.down * size), round(self.right * size)
        farthest = max(abs(down), abs(right))
        padded = _padded(picture_SS3[None], farthest)
        return np.ascontiguousarray(_window(padded, down, right, farthest, size)[0])


def find_moves(
    candidates_KSS3: NDArray[np.uint8],
    log_weights_K: NDArray[np.floating],
    blob_SS3: NDArray[np.uint8],
    *,
    num_best: int = 1,
    worth: float = WORTH,
) -> list[Move]:
    """Find where each candidate fits best, and return those that fit best of all, best first.

    Parameters
    ----------
    candidates_KSS3 : (K, S, S, 3) array of uint8
        The nearest training pictures.
    log_weights_K : (K,) array
        How near each is, in nats.
    blob_SS3 : (S, S, 3) array of uint8
        A blurry picture of where things were.
    num_best : int
        How many to return; all if there are fewer.
    worth : float
        Nats for a correlation of 1, over pixels and colours, of the blurred pictures.

    Notes
    -----
    What is larger than :data:`MOST_PX` is looked at in that size.

    Raises
    ------
    ConfigError
        If the pictures do not fit together.
    """
    from scipy.ndimage import gaussian_filter

    size = blob_SS3.shape[0]
    expected = (len(log_weights_K), size, size, 3)
    if candidates_KSS3.shape != expected or not len(log_weights_K):
        raise ConfigError(
            f"candidates of shape {candidates_KSS3.shape}: expected {expected}, one or more"
        )
    size = min(size, MOST_PX)
    sigma = _BLUR * size

    def blurred(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen = stack_pictures(list(pictures), size_px=size).astype(np.float32)
        return np.asarray(gaussian_filter(seen, (0, sigma, sigma, 0)), np.float32)

    target = _standard(blurred(blob_SS3[None]).reshape(1, -1))[0]
    step = max(1, round(STEP * size))
    farthest = step * int(FARTHEST * size / step)
    # Nothing is moved without a reason: of equals the shortest move is taken.
    shifts = sorted(range(-farthest, farthest + 1, step), key=abs)
    padded = _padded(blurred(candidates_KSS3), farthest)
    score_K = np.full(len(padded), -np.inf)
    moves_K2 = np.zeros((len(padded), 2))
    for down in shifts:
        for right in shifts:
            moved = _window(padded, down, right, farthest, size).reshape(len(padded), -1)
            score = log_weights_K + worth * (_standard(moved) @ target)
            better = score > score_K
            score_K[better], moves_K2[better] = score[better], (down / size, right / size)
    rows = np.argsort(-score_K, kind="stable")[:num_best].tolist()
    return [Move(row, *moves_K2[row].tolist()) for row in rows]


def _padded(pictures: NDArray, farthest: int) -> NDArray:  # type: ignore[type-arg]
    around = (farthest, farthest)
    return np.pad(pictures, ((0, 0), around, around, (0, 0)), mode="edge")


def _window(padded: NDArray, down: int, right: int, farthest: int, size: int) -> NDArray:  # type: ignore[type-arg]
    top, left = farthest - down, farthest - right
    return padded[:, top : top + size, left : left + size]


def _standard(values_KP: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of mean 0 and length 1; a row that is all alike is 0."""
    centred = values_KP - values_KP.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-3)
