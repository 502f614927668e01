"""What no recording tells: the truth behind a simulated ventral stream, kept beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.files import NPZ_DAMAGE
from neurohorizon.simulate.ventral.cortex import cortex_of
from neurohorizon.simulate.ventral.drawing import Drawn
from neurohorizon.simulate.ventral.objects import HUES, SHAPE_NAMES, TEXTURES
from neurohorizon.simulate.ventral.pictures import tabulate
from neurohorizon.simulate.ventral.plan import VentralPlan
from neurohorizon.simulate.ventral.recording import Recorded
from neurohorizon.simulate.ventral.surfaces import BACKGROUNDS

TRUTH_FILE = "truth.npz"
_ABOUT = ("image", "electrode", "day", "words")


def tell(
    plan: VentralPlan, drawn: Drawn, answers: NDArray[np.float16], recorded: Recorded
) -> dict[str, Any]:
    """Return the truth about images, electrodes and days, ready for npz."""
    cortex = cortex_of(plan.monkey, plan.seed)
    image = {
        "path": np.array(drawn.names),
        "part": np.where(drawn.test < 0, "train", "test"),
        **tabulate(drawn.scenes),
        "luminance_layout": drawn.layout,
        "answer": answers,
    }
    electrode = asdict(cortex.electrodes) | cortex.tuning()
    return {
        **{f"image_{name}": values for name, values in image.items()},
        **{f"electrode_{name}": values for name, values in electrode.items()},
        "day_train": recorded.train_day,
        "day_repeat": recorded.repeat_day,
        "day_offset": recorded.offset,
        "day_scale": recorded.scale,
        "words_shape": np.array(SHAPE_NAMES),
        "words_hue": np.array(HUES),
        "words_texture": np.array(TEXTURES),
        "words_background": np.array(BACKGROUNDS),
    }


def load_ventral_truth(folder: Path | str) -> dict[str, dict[str, NDArray[Any]]]:
    """Load what lies behind a simulated ventral stream.

    Parameters
    ----------
    folder : path
        Of :func:`write_ventral_stream`.

    Returns
    -------
    dict of str to dict of str to array
        "image": one row an image, in the order of the recording's images: ``path``, ``part``,
        ``category``, ``shape``, ``hue``, ``texture`` (rows of "words"), ``hue_deg``,
        ``saturation``, ``lightness``, ``x``, ``y``, ``size`` (shares of the picture's width),
        ``orientation_rad``, ``background``, ``luminance_layout`` (n, 16), and ``answer``
        (n, 1024): what the electrodes answer without noise, in standard units.
        "electrode": one row an electrode: ``area``, ``array``, ``latency_ms``, ``quality``,
        ``is_missing``, ``is_deaf``, ``copy_of``, ``field_x``, ``field_y``, ``prefers``, ...
        "day": ``train`` and ``repeat`` (day of each presentation), ``offset`` and ``scale``
        (days, 1024). "words": names of shapes, hues, textures and backgrounds.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    path = Path(folder) / TRUTH_FILE
    if not path.is_file():
        raise DataError(
            f"{folder}: no {TRUTH_FILE} there; only `neurohorizon simulate ventral-stream` "
            "writes one"
        )
    truth: dict[str, dict[str, NDArray[Any]]] = {about: {} for about in _ABOUT}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                about, name = key.split("_", 1)
                truth[about][name] = file[key]
    except NPZ_DAMAGE as error:
        raise DataError(f"{path}: damaged ({error}); remove it and simulate again") from error
    return truth
