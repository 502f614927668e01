"""From pictures to the file of a small encoder, and from nothing to that of a judge."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.pictures.judge import Judge
from neurohorizon.imaging.pictures import Pictures, open_pictures
from neurohorizon.models.pictures.files import save_encoder, save_judge
from neurohorizon.simulate.ventral.write import PICTURES
from neurohorizon.training.image_encoder.fit import (
    FOR_CONTRAST,
    FOR_LABELS,
    fit_contrastively,
    fit_to_labels,
)
from neurohorizon.training.image_encoder.judge import WORLD_SEED, draw_pictures, fit_judge
from neurohorizon.training.image_encoder.labels import (
    DRAWN,
    LabelTable,
    find_world,
    read_label_table,
    read_world_labels,
)
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress
from neurohorizon.training.image_encoder.made import MADE_BY, digest, is_made, require_name
from neurohorizon.training.image_encoder.pictures import (
    PictureSet,
    gather_pictures,
    read_exclusions,
)

NONE = "none"


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Parameters
    ----------
    path : Path
        The file that was written, or was there.
    skipped : bool
        It was there, made in the same way.
    num_pictures, num_left_out : int
        Pictures trained on, and those that were there and must not be.
    labels : tuple of str
        What was learned; none: contrastively.
    loss : (float, float)
        Mean over the first and the last tenth of the steps; NaN if it was skipped.
    """

    path: Path
    skipped: bool
    num_pictures: int
    num_left_out: int
    labels: tuple[str, ...]
    loss: tuple[float, float] = (float("nan"), float("nan"))


def train_encoder(
    pictures: Path | str,
    out: Path | str,
    *,
    labels: str | None = None,
    columns: Sequence[str] = (),
    exclude: Sequence[Path | str] = (),
    least_area: float | None = None,
    turn_deg: float = 0.0,
    settings: LoopSettings | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Train a small image encoder and write it.

    Parameters
    ----------
    pictures : path
        A folder or zip archive of pictures, a file of frames, or the folder of a drawn world,
        whose test pictures are never trained on.
    out : path
        A ``.safetensors`` file.
    labels : str, optional
        A CSV file, the folder of a drawn world, or "none": contrastively. By default the truth
        of the drawn world that the pictures belong to.
    columns : sequence of str
        Labels to learn; all of a CSV file by default, and shape, hue and texture of a world.
    exclude : sequence of path
        What must not be trained on, see
        :func:`~neurohorizon.training.image_encoder.pictures.read_exclusions`.
    least_area, turn_deg : float, optional
        Of the augmentation.
    settings : LoopSettings, optional
    progress : callable, optional
        Called with (what is done, steps done, steps in all).

    Raises
    ------
    ConfigError, DataError
        If pictures, labels and settings do not fit, or the file holds something else.
    """
    settings = settings or LoopSettings()
    require_name(Path(out))
    world = find_world(pictures)
    table = _open_labels(labels, columns, world, pictures)
    augmentation = replace(FOR_LABELS if table else FOR_CONTRAST, turn_deg=turn_deg)
    if least_area is not None:
        augmentation = replace(augmentation, least_area=least_area)
    found = allowed_pictures(
        pictures,
        exclude=exclude,
        without=table.test if table else (),
        progress=progress,
    )
    columns_of = table.of(found.names) if table else {}
    made_by: dict[str, Any] = {
        "settings": {**asdict(settings), "device": None},
        "augmentation": asdict(augmentation),
        "pictures": digest(found.hashes),
        "labels": {
            name: digest([column.words[code] if code >= 0 else "" for code in column.code])
            for name, column in columns_of.items()
        },
    }
    outcome = Outcome(Path(out), True, len(found.names), found.num_left_out, tuple(columns_of))
    if is_made(Path(out), made_by):
        return outcome
    if table:
        fitted = fit_to_labels(
            found.pixels,
            columns_of,
            settings=settings,
            augmentation=augmentation,
            progress=progress,
        )
    else:
        fitted = fit_contrastively(
            found.pixels, settings=settings, augmentation=augmentation, progress=progress
        )
    about = {"objective": "labels" if table else "contrastive", MADE_BY: json.dumps(made_by)}
    save_encoder(fitted.network, out, trained_on=found.hashes, about=about)
    return replace(outcome, skipped=False, loss=(fitted.curve[0][1], fitted.curve[-1][1]))


def train_judge(
    out: Path | str,
    *,
    num_pictures: int,
    num_test: int = 2000,
    settings: LoopSettings | None = None,
    progress: Progress | None = None,
) -> tuple[Outcome, dict[str, float]]:
    """Train a judge of drawn pictures, test it on others, and write it.

    Parameters
    ----------
    out : path
        A ``.safetensors`` file.
    num_pictures, num_test : int
        Drawn for this alone, of worlds of two seeds that nobody else uses.
    settings : LoopSettings, optional
    progress : callable, optional
        Called with (what is done, steps done, steps in all).

    Returns
    -------
    outcome : Outcome
    accuracy : dict of str to float
        Share of the test pictures that it is right about; empty if the file was there.

    Raises
    ------
    ConfigError
        If a setting is out of its bounds, or the file holds something else.
    """
    settings = settings or LoopSettings()
    require_name(Path(out))
    seeds = WORLD_SEED + 2 * settings.seed, WORLD_SEED + 2 * settings.seed + 1
    made_by: dict[str, Any] = {
        "settings": {**asdict(settings), "device": None},
        "pictures": [num_pictures, num_test, *seeds],
    }
    outcome = Outcome(Path(out), True, num_pictures, 0, ())
    if is_made(Path(out), made_by):
        return outcome, {}
    pictures = draw_pictures(num_pictures, seed=seeds[0], progress=progress)
    network, curve = fit_judge(pictures, settings=settings, progress=progress)
    test = draw_pictures(num_test, seed=seeds[1])
    judged = Judge(network)(list(test.pixels))
    accuracy = {name: each.accuracy(test.code[name]) for name, each in judged.items()}
    about = {"accuracy": json.dumps(accuracy), MADE_BY: json.dumps(made_by)}
    save_judge(network, out, about=about)
    loss = curve[0][1], curve[-1][1]
    return replace(outcome, skipped=False, labels=tuple(accuracy), loss=loss), accuracy


def allowed_pictures(
    pictures: Path | str,
    *,
    exclude: Sequence[Path | str] = (),
    without: Collection[str] = (),
    size_px: int = 64,
    progress: Progress | None = None,
) -> PictureSet:
    """Read the pictures of a place that may be trained on.

    Parameters
    ----------
    pictures, exclude, without
        As of :func:`open_allowed`.
    size_px : int
    progress : callable, optional

    Raises
    ------
    ConfigError, DataError
        If none is left, or one cannot be decoded.
    """
    opened, forbidden = open_allowed(pictures, exclude=exclude, without=without)
    return gather_pictures(opened, size_px=size_px, without=forbidden, progress=progress)


def open_allowed(
    pictures: Path | str,
    *,
    exclude: Sequence[Path | str] = (),
    without: Collection[str] = (),
) -> tuple[Pictures, frozenset[str]]:
    """Open the pictures of a place, and say which of them must not be trained on.

    Parameters
    ----------
    pictures, exclude
        As of :func:`train_encoder`; of a drawn world test pictures must not be trained on.
    without : collection of str
        Names and hashes of more pictures to leave out.

    Returns
    -------
    pictures : Pictures
    without : frozenset of str
        Names and hashes.
    """
    forbidden = frozenset(without).union(*(read_exclusions(each) for each in exclude))
    world = find_world(pictures)
    if world is not None:
        forbidden |= read_world_labels(world).test
    return open_pictures(Path(pictures) if world is None else world / PICTURES), forbidden


def _open_labels(
    labels: str | None, columns: Sequence[str], world: Path | None, pictures: Path | str
) -> LabelTable | None:
    if labels == NONE:
        if columns:
            raise ConfigError("columns without labels: name the labels, or no columns")
        return None
    if labels is None:
        if world is None:
            raise ConfigError(
                f"{pictures}: no truth of a drawn world there to learn labels from: give "
                f"--labels FILE.csv, or --labels {NONE} to train without"
            )
        return read_world_labels(world, columns or DRAWN)
    folder = find_world(labels)
    if folder is not None:
        return read_world_labels(folder, columns or DRAWN)
    return read_label_table(labels, columns)
