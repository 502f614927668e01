"""Retrieved pictures, moved to where something was: retrieval by what, refined by where.

An embedding that names an object forgets its place, so the nearest training picture shows the right
thing in the wrong place; a decoder of least squares draws a blob in the right one. Of the nearest
pictures, each moved by some pixels, this takes the one that fits both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError

#: Of these many nearest pictures one is taken.
NUM_CANDIDATES = 48
#: By how much of their width pictures are moved at most, and in what steps.
FARTHEST, STEP = 3 / 8, 1 / 16
#: What a correlation of 1 with the blob is worth, in nats of the softmax over cosines.
WORTH = 10.0
_BLUR = 1.5 / 32  # of the width: a blob knows no more


def move_retrieved(
    candidates_KSS3: NDArray[np.uint8],
    log_weights_K: NDArray[np.floating],
    blob_SS3: NDArray[np.uint8],
    *,
    worth: float = WORTH,
) -> NDArray[np.uint8]:
    """Return the candidate, moved, that fits best, (S, S, 3).

    Parameters
    ----------
    candidates_KSS3 : (K, S, S, 3) array of uint8
        The nearest training pictures.
    log_weights_K : (K,) array
        How near each is, in nats.
    blob_SS3 : (S, S, 3) array of uint8
        A blurry picture of where things were.
    worth : float
        Nats for a correlation of 1, over pixels and colours, of the blurred pictures.

    Notes
    -----
    What a move uncovers is filled with the nearest pixel of the edge.

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
    sigma = _BLUR * size

    def blurred(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        smooth = gaussian_filter(pictures.astype(np.float32), (0, sigma, sigma, 0))
        return np.asarray(smooth, np.float32)

    target = _standard(blurred(blob_SS3[None]).reshape(1, -1))[0]
    step = max(1, round(STEP * size))
    farthest = step * int(FARTHEST * size / step)
    # Nothing is moved without a reason: of equals the shortest move is taken.
    shifts = sorted(range(-farthest, farthest + 1, step), key=abs)
    padded = _padded(blurred(candidates_KSS3), farthest)
    best, found = -np.inf, (0, 0, 0)
    for down in shifts:
        for right in shifts:
            moved = _window(padded, down, right, farthest, size).reshape(len(padded), -1)
            score = log_weights_K + worth * (_standard(moved) @ target)
            row = int(score.argmax())
            if score[row] > best:
                best, found = float(score[row]), (row, down, right)
    row, down, right = found
    whole = _padded(candidates_KSS3[row : row + 1], farthest)
    return np.ascontiguousarray(_window(whole, down, right, farthest, size)[0])


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
