"""The low-level path with a small convolutional decoder beside the regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.standard import to_pixels
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.generator.fit import Blur, fit_direct
from neurohorizon.training.generator.low_level import LowLevelPath, as_pixels, fit_low_level
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress

SETTINGS = LoopSettings(steps=1600, batch_size=64, learning_rate=1e-3)
#: A picture is learned from so many times at most.
MOST_EPOCHS = 10
#: Noise on standardised responses, in training: electrodes outnumber what pictures they tell of.
NOISE = 1.0
#: Share of the pictures that neither learns from: they say how much either is worth.
HELD_SHARE = 1 / 8
_WIDEST = 64
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class MixedPath:
    """A regression and a decoder, which draw the same picture in shares.

    Parameters
    ----------
    ridge : LowLevelPath
    network : DirectNetwork
    reader : LowLevelPath
        Standardises what the decoder reads.
    share : float
        Of the decoder, 0 to 1.
    """

    ridge: LowLevelPath
    network: DirectNetwork
    reader: LowLevelPath
    share: float

    def draw(self, responses: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Draw a picture for each response, as :meth:`LowLevelPath.draw`."""
        ridge = self.ridge.draw_exactly(responses)
        drawn = _draw(self.network, self.reader.standardise(responses))
        return as_pixels((1 - self.share) * ridge + self.share * drawn)


def fit_low_level_network(
    responses: NDArray[np.floating],
    pictures: NDArray[np.uint8],
    *,
    areas: Sequence[str] | None = None,
    settings: LoopSettings = SETTINGS,
    progress: Progress | None = None,
) -> MixedPath:
    """Fit the regression and the decoder, and find out how much either is worth.

    Parameters
    ----------
    responses, pictures, areas
        As of :func:`~neurohorizon.training.generator.low_level.fit_low_level`.
    settings : LoopSettings
        Of the decoder; of few pictures, each is learned from ten times.
    progress : callable, optional

    Notes
    -----
    The share of least squared error is found on an eighth of the pictures, which neither was fitted
    to; then the regression is fitted to all. With few pictures it is near 0: the decoder needs
    thousands.

    Raises
    ------
    DataError, ConfigError
        If responses and pictures do not belong together, or are too few.
    """
    ridge = fit_low_level(responses, pictures, areas=areas, seed=settings.seed)
    order = np.random.default_rng(settings.seed).permutation(len(pictures))
    held, rest = np.split(order, [max(1, round(HELD_SHARE * len(order)))])
    part = fit_low_level(responses[rest], pictures[rest], areas=areas, seed=settings.seed)
    size_px = pictures.shape[1]
    num_doublings = (size_px // 4).bit_length() - 1
    told = torch.from_numpy(part.standardise(responses[rest]).astype(np.float32))
    torch.manual_seed(settings.seed)
    enough = max(1, MOST_EPOCHS * len(rest) // settings.batch_size)
    fitted = fit_direct(
        torch.from_numpy(pictures[rest]).permute(0, 3, 1, 2).contiguous(),
        told,
        settings=replace(settings, steps=min(settings.steps, enough)),
        blur=Blur(noise=NOISE),
        network=DirectNetwork(
            size_px=size_px,
            num_dimensions=told.shape[1],
            widths=[_WIDEST >> level for level in range(num_doublings)],
        ),
        progress=progress,
    )
    base = part.draw_exactly(responses[held])
    step = _draw(fitted.network, part.standardise(responses[held])) - base
    share = float((step * (pictures[held] - base)).sum() / max(np.square(step).sum(), 1e-9))
    return MixedPath(ridge, fitted.network, part, min(max(share, 0.0), 1.0))


@torch.inference_mode()
def _draw(network: DirectNetwork, standard_IN: FloatArray) -> FloatArray:
    """Draw pictures of standardised responses, (I, S, S, 3)."""
    told = torch.from_numpy(standard_IN.astype(np.float32))
    drawn = [to_pixels(network(each)) for each in told.split(_AT_ONCE)]
    return torch.cat(drawn).permute(0, 2, 3, 1).double().numpy()
