"""PixCorr and SSIM against their formulas, computed by other libraries."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from neurohorizon.evaluation.pictures.pixels import SIZE_PX, pixel_scores, resized

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(256, size=(4, 40, 40, 3), dtype=np.uint8)
SMOOTH = [gaussian_filter(each.astype(float), (4, 4, 0)).astype(np.uint8) for each in PICTURES]


def by_pillow(picture):
    """Resize channel by channel in floating point, as torchvision does with a tensor."""
    size = (SIZE_PX, SIZE_PX)
    channels = [
        np.asarray(
            Image.fromarray(picture[..., k].astype(np.float32)).resize(
                size, Image.Resampling.BILINEAR
            )
        )
        for k in range(3)
    ]
    return np.stack(channels, axis=-1).astype(np.float64) / 255


def ssim(one, other):
    """Wang et al. 2004, equation 13, with a Gaussian window of 11 pixels."""

    def blur(values):
        return gaussian_filter(values, 1.5, truncate=3.5)

    weights = np.array([0.2125, 0.7154, 0.0721])  # of sRGB's luminance
    x, y = one @ weights, other @ weights
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    both = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    found /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return found[5:-5, 5:-5].mean()


@pytest.mark.parametrize("size", [40, 600])
def test_resizing_is_bilinear_and_smooths_what_is_larger(size):
    picture = RNG.integers(256, size=(size, size - 7, 3), dtype=np.uint8)
    np.testing.assert_allclose(resized(picture), by_pillow(picture), atol=1e-4)


def test_scores_equal_the_formulas():
    noisy = [
        np.clip(each + RNG.normal(0, 20, each.shape), 0, 255).astype(np.uint8) for each in SMOOTH
    ]
    pixcorr, found = pixel_scores(noisy, SMOOTH)
    for number, (one, other) in enumerate(zip(noisy, SMOOTH, strict=True)):
        big, true = by_pillow(one), by_pillow(other)
        expected = np.corrcoef(big.ravel(), true.ravel())[0, 1]
        assert pixcorr[number] == pytest.approx(expected, abs=1e-5)
        assert found[number] == pytest.approx(ssim(big, true), abs=1e-4)
    assert 0.2 < pixcorr.mean() < 0.99
    assert 0.2 < found.mean() < 0.99


def test_a_picture_is_like_itself_and_unlike_its_negative():
    pixcorr, found = pixel_scores(SMOOTH, SMOOTH)
    assert pixcorr == pytest.approx(1)
    assert found == pytest.approx(1)
    negative, _ = pixel_scores([255 - each for each in SMOOTH], SMOOTH)
    assert negative == pytest.approx(-1)


def test_colour_counts_for_one_and_not_for_the_other():
    grey = np.array([0.2125, 0.7154, 0.0721])
    seen = np.array(SMOOTH[0], np.float64)
    without = np.repeat((seen @ grey)[..., None], 3, axis=2).round().astype(np.uint8)
    pixcorr, found = pixel_scores([without], [SMOOTH[0]])
    assert found[0] > 0.98
    assert pixcorr[0] < 0.9


def test_one_colour_correlates_with_nothing():
    flat = np.full((64, 64, 3), 130, np.uint8)
    pixcorr, _ = pixel_scores([flat, SMOOTH[0]], [SMOOTH[0], flat])
    assert pixcorr.tolist() == [0, 0]
    hardly = flat.copy()
    hardly[20, 30] = 131  # the smallest difference that a picture can have
    assert pixel_scores([hardly], [hardly])[0] == pytest.approx(1)
    assert [len(each) for each in pixel_scores([], [])] == [0, 0]
