"""What a vision network sees of a picture: resized, cut square, and normalised.

Written out here rather than taken from transformers, whose processors come in kinds that need
torchvision and whose kind changes with the version. Tests hold it equal to theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurohorizon.errors import DataError
from neurohorizon.imaging.fingerprint import Setting

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side, cut out the middle square, normalise each channel.

    Parameters
    ----------
    resize_px : int
        Length of the shorter side after resizing; the longer one keeps the proportion.
    crop_px : int
        Side of the square, at most `resize_px`.
    mean, std : tuple of 3 floats
        Of the channels, on values from 0 to 1.
    resample : int
        Filter of Pillow: 3 is bicubic, 2 bilinear.
    """

    resize_px: int = 224
    crop_px: int = 224
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    resample: int = 3

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return what the network sees.

        Parameters
        ----------
        pictures : sequence of (H, W, 3) arrays of uint8

        Returns
        -------
        (B, 3, crop_px, crop_px) array of float32
        """
        return np.stack([self._one(picture) for picture in pictures])

    def settings(self) -> dict[str, Setting]:
        """Return what belongs into a fingerprint."""
        return {
            "resize_px": self.resize_px,
            "crop_px": self.crop_px,
            "mean": list(self.mean),
            "std": list(self.std),
            "resample": self.resample,
        }

    def _one(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = picture.shape[:2]
        # The longer side is rounded down: transformers does, and so the weights were trained.
        if height <= width:
            size = (int(self.resize_px * width / height), self.resize_px)
        else:
            size = (self.resize_px, int(self.resize_px * height / width))
        image = Image.fromarray(np.ascontiguousarray(picture))
        resized = np.asarray(image.resize(size, Image.Resampling(self.resample)))
        top = (resized.shape[0] - self.crop_px) // 2
        left = (resized.shape[1] - self.crop_px) // 2
        square = resized[top : top + self.crop_px, left : left + self.crop_px]
        values = (square / 255 - np.array(self.mean)) / np.array(self.std)
        return np.moveaxis(values, 2, 0).astype(np.float32)


def read_preprocessing(folder: Path, *, default: Preprocessing) -> Preprocessing:
    """Read the preprocessing that a checkpoint's folder asks for.

    Parameters
    ----------
    folder : path
        With ``preprocessor_config.json``, or ``processor_config.json`` as newer versions of
        transformers write it.
    default : Preprocessing
        Used where the folder holds neither.

    Raises
    ------
    DataError
        If it is damaged, or asks for steps other than these.
    """
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = folder / name
        if path.is_file():
            break
    else:
        return default
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found = found.get("image_processor", found)
        left_out = [step for step in _STEPS if not found.get(step, True)]
        result = Preprocessing(
            resize_px=_length(found.get("size"), "shortest_edge", default.resize_px),
            crop_px=_length(found.get("crop_size"), "height", default.crop_px),
            mean=_channels(found.get("image_mean", default.mean)),
            std=_channels(found.get("image_std", default.std)),
            resample=int(found.get("resample", default.resample)),
        )
        Image.Resampling(result.resample)
        scale = float(found.get("rescale_factor", 1 / 255))
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(
            f"{path}: not a preprocessing that is known here ({error!r}); expected resizing of "
            "the shortest edge, a square centre crop, and mean and std of 3 channels"
        ) from error
    if left_out or result.crop_px > result.resize_px or abs(scale * 255 - 1) > 1e-6:
        what = (
            f"{left_out[0]} is false"
            if left_out
            else f"size {result.resize_px}, crop {result.crop_px}, rescale_factor {scale:g}"
        )
        raise DataError(
            f"{path}: {what}; expected resizing, a centre crop that is not larger, rescaling "
            "by 1/255 and normalisation"
        )
    return result


def _length(found: Mapping[str, Any] | int | None, key: str, default: int) -> int:
    """Return a length that is written as a number or under a key, in pixels."""
    if found is None:
        return default
    if isinstance(found, int):
        return found
    if "width" in found and found["width"] != found.get("height"):
        raise ValueError(f"{dict(found)} is not square")
    return int(found[key])


def _channels(found: Sequence[float]) -> tuple[float, ...]:
    values = tuple(float(value) for value in found)
    if len(values) != 3:
        raise ValueError(f"{values} is not one number a channel")
    return values
