r"""How like a picture is to the true one, pixel by pixel: PixCorr and SSIM.

Both as MindEye2 computes them (Scotti et al. 2024, arXiv:2403.11207): pictures are first resized
to 425 pixels; PixCorr is Pearson's correlation over all pixels and colours, SSIM the structural
similarity of Wang et al. 2004 (*IEEE Trans. Image Process.* 13:600) on grey pictures. Pixel scores
alone are won by blobs: read them beside identification and a judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.recordings.schema import FloatArray

SIZE_PX = 425


def pixel_scores(
    pictures: Sequence[NDArray[np.uint8]], truth: Sequence[NDArray[np.uint8]]
) -> tuple[FloatArray, FloatArray]:
    """Return PixCorr and SSIM of each picture to the true one, (Q,) each.

    Parameters
    ----------
    pictures, truth : sequence of (H, W, 3) arrays of uint8
        Of any size; stretched to squares of :data:`SIZE_PX` pixels.

    Notes
    -----
    SSIM is scikit-image's, with Gaussian weights of 1.5 pixels, without the sample covariance, on
    values from 0 to 1. A picture of one colour correlates with nothing: its PixCorr is 0.
    """
    both = [
        (_correlation(one, other), structural_similarity(one, other))
        for one, other in (
            (resized(picture), resized(true)) for picture, true in zip(pictures, truth, strict=True)
        )
    ]
    pixcorr, ssim = np.array(both, np.float64).reshape(-1, 2).T
    return pixcorr, ssim


def resized(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Stretch a picture to (425, 425, 3), values from 0 to 1.

    Bilinear, pixel centres aligned. A picture that is larger is smoothed first, so that its grain
    does not alias; for smaller ones, as all of MindEye2's are, that changes nothing.
    """
    values = torch.from_numpy(np.array(picture, np.float32)).permute(2, 0, 1)[None] / 255
    found = torch.nn.functional.interpolate(
        values, size=(SIZE_PX, SIZE_PX), mode="bilinear", align_corners=False, antialias=True
    )
    return found[0].permute(1, 2, 0).numpy()


def structural_similarity(
    picture: NDArray[np.floating[Any]], true: NDArray[np.floating[Any]]
) -> float:
    """Return SSIM of two (H, W, 3) pictures from 0 to 1, with MindEye2's settings."""
    from skimage.color import rgb2gray
    from skimage.metrics import structural_similarity as ssim

    found: Any = ssim(
        rgb2gray(picture),
        rgb2gray(true),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
    )
    return float(found)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    here, there = (each.ravel() - np.float32(each.mean(dtype=np.float64)) for each in (one, other))
    norms = [float(np.linalg.norm(each)) for each in (here, there)]
    # Of a picture of one colour, what is left after the mean is rounding.
    if min(norms) < 1e-6 * np.sqrt(here.size):
        return 0.0
    return float(here @ there) / (norms[0] * norms[1])
