import numpy as np
import pytest
from PIL import Image
from scipy import signal
from skimage import data, transform
from skimage.color import rgb2lab
from skimage.measure import block_reduce

from neurohorizon.imaging.layout import ORIENTATIONS_DEG, WAVELENGTHS_PX, LayoutEncoder


def encode(*pictures):
    encoder = LayoutEncoder()
    return encoder.unpack(encoder.encode(pictures))


def grating(bars_deg, wavelength_px, *, phase=0.0, amplitude=50):
    """Draw bars at an angle counter-clockwise from horizontal, 96 pixels wide."""
    down, across = np.mgrid[:96, :96]
    angle = np.deg2rad(bars_deg)
    distance = across * np.sin(angle) + down * np.cos(angle)
    wave = 128 + amplitude * np.cos(2 * np.pi * distance / wavelength_px + phase)
    return np.repeat(np.rint(wave).astype(np.uint8)[..., None], 3, axis=2)


def test_an_even_colour_is_its_lab_value_without_energy():
    colour, energy = encode(np.full((40, 70, 3), (200, 30, 90), np.uint8))
    expected = rgb2lab(np.array([[[200, 30, 90]]], np.uint8))[0, 0] / 100
    np.testing.assert_allclose(colour[0], np.broadcast_to(expected, (8, 8, 3)), atol=1e-6)
    assert energy.max() == 0


def test_colours_are_where_they_are():
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:48, 48:] = (255, 0, 0)  # top right
    colour, _ = encode(picture)
    red = colour[0, :, :, 1] > 0.5
    assert red[:4, 4:].all()
    assert red.sum() == 16


@pytest.mark.parametrize("orientation", range(6))
@pytest.mark.parametrize("scale", range(4))
def test_a_grating_excites_its_channel_most_whatever_its_phase(orientation, scale):
    bars, wavelength = ORIENTATIONS_DEG[orientation], WAVELENGTHS_PX[scale]
    phases = (0.0, 1.0, np.pi)
    _, energy = encode(*(grating(bars, wavelength, phase=phase) for phase in phases))
    middle = energy[:, :, :, 2:4, 2:4].mean(axis=(3, 4))
    for channels in middle:
        assert np.unravel_index(channels.argmax(), channels.shape) == (scale, orientation)
    np.testing.assert_allclose(
        middle[:, scale, orientation], middle[0, scale, orientation], rtol=0.03
    )


def test_energy_is_the_root_of_the_amplitude_of_lightness():
    weak, strong = grating(90, 8, amplitude=20), grating(90, 8, amplitude=80)
    _, energy = encode(weak, strong)
    lightness = rgb2lab(strong)[:, :, 0]
    expected = np.sqrt((lightness.max() - lightness.min()) / 2 / 100)
    assert energy[1, 1, 3, 2:4, 2:4].mean() == pytest.approx(expected, rel=0.03)
    assert energy[0, 1, 3, 2:4, 2:4].mean() == pytest.approx(expected / 2, rel=0.03)


def plain(picture):
    """Encode in double precision, by convolution with each even and each odd filter."""
    small = Image.fromarray(picture).resize((96, 96), Image.Resampling.BICUBIC)
    lab = rgb2lab(np.asarray(small))
    colour = lab.reshape(8, 12, 8, 12, 3).mean(axis=(1, 3)) / 100
    # Mirrored without repeating the edge, once around, as the circular convolution sees it.
    mirrored = np.pad(lab[:, :, 0] - lab[:, :, 0].mean(), 16, mode="reflect")
    tiled = np.tile(mirrored, (3, 3))[64:320, 64:320]
    down, across = np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij")
    frequency, direction = np.hypot(across, down), np.arctan2(down, across)
    energy = []
    for wavelength in (4, 8, 16, 32):
        with np.errstate(divide="ignore"):
            band = np.exp(-(np.log(frequency * wavelength) ** 2) / (2 * np.log(0.65) ** 2))
        for bars in (0, 30, 60, 90, 120, 150):
            # Light varies at right angles to the bars; rows run downwards.
            turned = np.angle(np.exp(1j * (direction - np.deg2rad(90 - bars))))
            gain = 2 * band * np.exp(-(np.rad2deg(turned) ** 2) / (2 * 20**2))
            kernel = np.roll(np.fft.ifft2(gain), (64, 64), axis=(0, 1))
            even, odd = (
                signal.fftconvolve(tiled, each, mode="same") for each in (kernel.real, kernel.imag)
            )
            amplitude = np.hypot(even, odd)[81:177, 81:177]
            energy.append(np.sqrt(block_reduce(amplitude, 16, np.mean) / 100))
    return np.concatenate([colour.ravel(), np.ravel(energy)])


def test_numbers_are_those_of_convolutions_in_double_precision():
    scene = data.astronaut()
    pictures = [scene, scene[100:164, 200:264], data.coffee()[:90], grating(30, 8)]
    found = LayoutEncoder().encode(pictures)
    np.testing.assert_allclose(found, [plain(each) for each in pictures], rtol=1e-5, atol=2e-5)


def test_mirroring_a_picture_mirrors_both_grids():
    picture = data.astronaut()
    colour, energy = encode(picture, picture[:, ::-1])
    np.testing.assert_allclose(colour[1], colour[0, :, ::-1], atol=2e-3)
    mirrored = [0, 5, 4, 3, 2, 1]  # bars of 30 degrees become bars of 150
    np.testing.assert_allclose(energy[1], energy[0][:, mirrored, :, ::-1], atol=5e-3)


def test_size_does_not_matter_and_contrast_reversal_keeps_energy():
    picture = Image.fromarray(data.astronaut()).resize((240, 240), Image.Resampling.LANCZOS)
    larger = np.asarray(picture.resize((480, 360), Image.Resampling.BICUBIC))
    colour, energy = encode(np.asarray(picture), larger)
    np.testing.assert_allclose(colour[1], colour[0], atol=0.01)
    np.testing.assert_allclose(energy[1], energy[0], atol=0.03)
    bars = grating(60, 16)
    colour, energy = encode(bars, 255 - bars)
    assert np.abs(energy[1] - energy[0]).max() < 0.1 * energy.max()


def test_numbers_are_fixed_and_do_not_depend_on_company():
    pictures = [data.astronaut(), data.astronaut()[:200, :100], grating(30, 8), data.astronaut()]
    encoder = LayoutEncoder()
    together = encoder.encode(pictures)
    alone = np.concatenate([encoder.encode([picture]) for picture in pictures])
    assert together.tobytes() == alone.tobytes() == LayoutEncoder().encode(pictures).tobytes()
    assert together.dtype == np.float32
    assert together.shape == (4, encoder.num_dimensions)
    assert encoder.encode([]).shape == (0, encoder.num_dimensions)
    # Written down: a change of these means another recipe, whose number must be raised.
    known = [0.3196, 0.0880, -0.1031, 0.1900, 0.2795]
    np.testing.assert_allclose(together[0, [0, 1, 2, 500, 900]], known, atol=1e-3)


def test_a_shifted_and_noisy_picture_is_nearer_than_another_one():
    """What makes the layout of use for retrieval: small changes move it less than new content."""
    rng = np.random.default_rng(0)
    scene = data.astronaut()
    patches = [scene[y : y + 160, x : x + 160] for y in (0, 170, 340) for x in (0, 170, 340)]
    changed = [
        np.clip(
            transform.rotate(patch, 2, mode="reflect", preserve_range=True)
            + rng.normal(0, 12, patch.shape),
            0,
            255,
        ).astype(np.uint8)
        for patch in patches
    ]
    encoder = LayoutEncoder()
    bank, queries = encoder.encode(patches), encoder.encode(changed)
    distance = np.linalg.norm(bank[None] - queries[:, None], axis=2)
    assert distance.argmin(axis=1).tolist() == list(range(9))
