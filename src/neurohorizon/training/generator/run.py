"""From pictures and their embeddings to the file of a generator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.generators.direct import DirectGenerator
from neurohorizon.imaging.spaces import bank_in, columns_of, join_spaces, spaces_of
from neurohorizon.models.pictures.files import StartDecoder, save_generator
from neurohorizon.training.generator.fit import (
    PREDICTED_SHARE,
    Blur,
    FromResponses,
    draws_of,
    fit_direct,
    fit_flow,
    require_share,
)
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress
from neurohorizon.training.image_encoder.made import MADE_BY, digest, is_made, require_name
from neurohorizon.training.image_encoder.pictures import PictureSet
from neurohorizon.training.image_encoder.resume_point import ResumePoint
from neurohorizon.training.image_encoder.run import allowed_pictures

Kind = Literal["tiny", "direct"]
RESUME_SUFFIX = ".resume.safetensors"
LEAST_STEPS_BETWEEN_POINTS = 200


@dataclass(frozen=True)
class StartPlan:
    """Which blurry pictures flows start at.

    Parameters
    ----------
    decoder : path
        A direct decoder that draws them, of the embeddings that the flow is told or of some of the
        spaces that these are joined of.
    noise : float
        Standard deviation of the noise on them, where pictures have one of about 1.
    """

    decoder: Path | str
    noise: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.noise <= 10:
            raise ConfigError(f"noise of starts is {self.noise}: expected above 0, at most 10")


@dataclass(frozen=True)
class PredictedPlan:
    """What responses predict, to be told in place of true embeddings.

    Parameters
    ----------
    banks : sequence of path
        Out-of-fold predictions of `neurohorizon bridge embed`, for some of the spaces or all.
    share : float
        Of the pictures that have a prediction, how often it is told.
    """

    banks: Sequence[Path | str]
    share: float = PREDICTED_SHARE

    def __post_init__(self) -> None:
        require_share(self.share)


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Parameters
    ----------
    path : Path
        The file that was written, or was there.
    skipped : bool
        It was there, made in the same way.
    num_pictures, num_left_out, num_unknown, num_predicted : int
        Pictures trained on, those that were there and must not be, those without embedding, and
        those trained on that have a prediction.
    loss : (float, float)
        At first and in the end of the curve; NaN if it was skipped.
    """

    path: Path
    skipped: bool
    num_pictures: int
    num_left_out: int
    num_unknown: int
    num_predicted: int = 0
    loss: tuple[float, float] = (float("nan"), float("nan"))


def train_generator(
    pictures: Path | str,
    out: Path | str,
    *,
    banks: Sequence[Path | str],
    kind: Kind = "tiny",
    size_px: int = 32,
    predicted: PredictedPlan | None = None,
    start: StartPlan | None = None,
    blur: Blur | None = None,
    exclude: Sequence[Path | str] = (),
    settings: LoopSettings | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Train a generator and write it; one that was interrupted is gone on with.

    Parameters
    ----------
    pictures : path
        A folder or zip archive of pictures, a file of frames, or the folder of a drawn world,
        whose test pictures are never trained on.
    out : path
        A ``.safetensors`` file. While it is trained, its state is kept beside it.
    banks : sequence of path
        Embeddings of the pictures; of several spaces they are told side by side. Pictures that a
        bank lacks are left out.
    kind : {"tiny", "direct"}
        A flow, or a direct decoder.
    size_px : int
        Width and height of what it draws.
    predicted : PredictedPlan, optional
        Lets it learn how far predictions may be trusted.
    start : StartPlan, optional
        Of a flow; without it flows start at noise.
    blur : Blur, optional
        What is taken from embeddings in training.
    exclude : sequence of path
        What must not be trained on, see
        :func:`~neurohorizon.training.image_encoder.pictures.read_exclusions`.
    settings : LoopSettings, optional
    progress : callable, optional
        Called with (what is done, steps done, steps in all).

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If pictures, bank and settings do not fit, or a file holds something else.
    """
    settings, blur, out = settings or LoopSettings(), blur or Blur(), Path(out)
    require_name(out)
    if kind == "direct" and start is not None:
        raise ConfigError("a direct decoder starts at no picture: leave the start out")
    if not banks:
        raise ConfigError("no bank: name one at least, of the pictures' embeddings")
    opened = [EmbeddingBank.load(bank) for bank in banks]
    needs = join_spaces(opened)
    foretold = [EmbeddingBank.load(bank) for bank in predicted.banks] if predicted else []
    for each in foretold:
        bank_in(each.fingerprint.space, opened, what=f"{each.where}, which predicts,")
    decoder = None
    if start is not None:
        decoder = DirectGenerator(start.decoder, device=settings.device)
        if decoder.size_px != size_px:
            raise ConfigError(
                f"{start.decoder}: draws {decoder.size_px} pixels, expected {size_px} as the flow"
            )
        for space in spaces_of(decoder.needs):
            bank_in(space, opened, what=f"the direct decoder {start.decoder}")
    found = allowed_pictures(pictures, exclude=exclude, size_px=size_px, progress=progress)
    rows = rows_with_embedding(found, opened, pictures)
    outcome = Outcome(out, True, len(rows), found.num_left_out, len(found.hashes) - len(rows))
    found = take(found, rows)
    if foretold:
        num_predicted = sum(any(one in bank for bank in foretold) for one in found.hashes)
        outcome = replace(outcome, num_predicted=num_predicted)
    made_by: dict[str, Any] = {
        "kind": kind,
        "size_px": size_px,
        "settings": {**asdict(settings), "device": None},
        "blur": asdict(blur),
        "pictures": digest(found.hashes),
        "embeddings": [bank.fingerprint.to_json() for bank in opened],
    }
    if predicted is not None:
        made_by["predicted"] = [bank.fingerprint.to_json() for bank in foretold]
        made_by["predicted_share"] = predicted.share
    if start is not None and decoder is not None:
        made_by["start"] = {"decoder": decoder.fingerprint.to_json(), "noise": start.noise}
    if is_made(out, made_by):
        return outcome
    embeddings = np.concatenate([bank.select(found.hashes) for bank in opened], axis=1)
    told = None
    if predicted is not None:
        told = FromResponses(
            torch.from_numpy(_predictions(opened, foretold, found.hashes)), share=predicted.share
        )
    embeddings_ND = torch.from_numpy(embeddings)
    generator = draws_of(settings)
    resume = resume_point(out, made_by, generator, settings)
    if kind == "direct":
        fitted = fit_direct(
            found.pixels,
            embeddings_ND,
            settings=settings,
            predicted=told,
            blur=blur,
            generator=generator,
            resume=resume,
            progress=progress,
        )
    else:
        starts = None
        if decoder is not None:
            columns = columns_of(decoder.needs, needs)
            starts = _draw_starts(decoder, embeddings_ND, columns, progress)
            if told is not None:
                of_told = _draw_starts(decoder, told.vectors_ND, columns, progress)
                told = replace(told, starts=of_told)
        fitted = fit_flow(
            found.pixels,
            embeddings_ND,
            settings=settings,
            starts=starts,
            start_noise=start.noise if start else 0.0,
            predicted=told,
            blur=blur,
            generator=generator,
            resume=resume,
            progress=progress,
        )
    known = {*found.hashes, *(decoder.known if decoder else ())}
    about = {MADE_BY: json.dumps(made_by), "curve": json.dumps(fitted.curve)}
    save_generator(
        fitted.network,
        out,
        needs=needs.to_json(),
        start=None if decoder is None else StartDecoder(decoder.network, decoder.needs.to_json()),
        trained_on=sorted(known),
        about=about,
    )
    resume.path.unlink(missing_ok=True)
    return replace(outcome, skipped=False, loss=(fitted.curve[0][1], fitted.curve[-1][1]))


def _predictions(
    banks: Sequence[EmbeddingBank], foretold: Sequence[EmbeddingBank], hashes: Sequence[str]
) -> NDArray[np.float32]:
    """Return what is predicted of each picture side by side, and what is true where nothing is."""
    columns = []
    for bank in banks:
        values = bank.select(hashes)
        for each in foretold:
            if not each.fingerprint.space.difference(bank.fingerprint):
                there = [row for row, one in enumerate(hashes) if one in each]
                values[there] = each.select([hashes[row] for row in there])
        columns.append(values)
    return np.concatenate(columns, axis=1)


def _draw_starts(
    decoder: DirectGenerator,
    embeddings_ND: Tensor,
    columns: list[int] | None,
    progress: Progress | None,
) -> Tensor:
    """Return the decoder's picture of each embedding, (n, 3, S, S) of uint8."""
    told = embeddings_ND if columns is None else embeddings_ND[:, columns]
    drawn = decoder.generate(told.numpy(), [0] * len(told), progress=progress)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


def resume_point(
    out: Path, made_by: dict[str, Any], generator: torch.Generator, settings: LoopSettings
) -> ResumePoint:
    """Return where a training is kept while it goes on: beside what it will write."""
    return ResumePoint(
        out.with_name(out.stem + RESUME_SUFFIX),
        made_by=made_by,
        generators=[generator],
        every_steps=max(LEAST_STEPS_BETWEEN_POINTS, settings.steps // 20),
    )


def rows_with_embedding(
    found: PictureSet, banks: Sequence[EmbeddingBank], pictures: Path | str
) -> list[int]:
    """Return the rows of the pictures that all banks have an embedding of.

    Raises
    ------
    DataError
        If there are none.
    """
    rows = [row for row, one in enumerate(found.hashes) if all(one in bank for bank in banks)]
    if not rows:
        raise DataError(
            f"{banks[0].where}: has an embedding of none of the {len(found.hashes)} pictures of "
            f"{pictures} that may be trained on: embed that folder (`neurohorizon data embed`)"
        )
    return rows


def take(found: PictureSet, rows: Sequence[int]) -> PictureSet:
    """Return some of the pictures."""
    if len(rows) == len(found.hashes):
        return found
    return replace(
        found,
        names=tuple(found.names[row] for row in rows),
        hashes=tuple(found.hashes[row] for row in rows),
        pixels=found.pixels[list(rows)],
    )
