"""From pictures and their embeddings to the file of a generator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.generators.direct import DirectGenerator
from neurohorizon.imaging.generators.generator import select_embeddings
from neurohorizon.models.pictures.files import save_generator
from neurohorizon.training.generator.fit import Blur, draws_of, fit_direct, fit_flow
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
        A direct decoder that draws them.
    bank : path, optional
        The embeddings that it draws from; those of the flow by default. They may be out-of-fold
        predictions of responses.
    noise : float
        Standard deviation of the noise on them, where pictures have one of about 1.
    """

    decoder: Path | str
    bank: Path | str | None = None
    noise: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.noise <= 10:
            raise ConfigError(f"noise of starts is {self.noise}: expected above 0, at most 10")


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Parameters
    ----------
    path : Path
        The file that was written, or was there.
    skipped : bool
        It was there, made in the same way.
    num_pictures, num_left_out, num_unknown : int
        Pictures trained on, those that were there and must not be, and those without embedding.
    loss : (float, float)
        At first and in the end of the curve; NaN if it was skipped.
    """

    path: Path
    skipped: bool
    num_pictures: int
    num_left_out: int
    num_unknown: int
    loss: tuple[float, float] = (float("nan"), float("nan"))


def train_generator(
    pictures: Path | str,
    out: Path | str,
    *,
    bank: Path | str,
    kind: Kind = "tiny",
    size_px: int = 32,
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
    bank : path
        Embeddings of the pictures, true or predicted out of fold; pictures that it lacks are
        left out.
    kind : {"tiny", "direct"}
        A flow, or a direct decoder.
    size_px : int
        Width and height of what it draws.
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
    opened = EmbeddingBank.load(bank)
    needs = opened.fingerprint.space
    decoder, start_bank = None, opened
    if start is not None:
        decoder = DirectGenerator(start.decoder, device=settings.device)
        if decoder.size_px != size_px:
            raise ConfigError(
                f"{start.decoder}: draws {decoder.size_px} pixels, expected {size_px} as the flow"
            )
        if start.bank is not None:
            start_bank = EmbeddingBank.load(start.bank)
    found = allowed_pictures(pictures, exclude=exclude, size_px=size_px, progress=progress)
    rows = rows_with_embedding(found, [opened, start_bank], pictures)
    outcome = Outcome(out, True, len(rows), found.num_left_out, len(found.hashes) - len(rows))
    found = take(found, rows)
    made_by: dict[str, Any] = {
        "kind": kind,
        "size_px": size_px,
        "settings": {**asdict(settings), "device": None},
        "blur": asdict(blur),
        "pictures": digest(found.hashes),
        "embeddings": opened.fingerprint.to_json(),
    }
    if start is not None and decoder is not None:
        made_by["start"] = {
            "decoder": decoder.fingerprint.to_json(),
            "embeddings": start_bank.fingerprint.to_json(),
            "noise": start.noise,
        }
    if is_made(out, made_by):
        return outcome
    embeddings_ND = torch.from_numpy(opened.select(found.hashes))
    generator = draws_of(settings)
    resume = resume_point(out, made_by, generator, settings)
    if kind == "direct":
        fitted = fit_direct(
            found.pixels,
            embeddings_ND,
            settings=settings,
            blur=blur,
            generator=generator,
            resume=resume,
            progress=progress,
        )
    else:
        starts = None
        if start is not None and decoder is not None:
            starts = _draw_starts(decoder, start_bank, found.hashes, progress)
        fitted = fit_flow(
            found.pixels,
            embeddings_ND,
            settings=settings,
            starts=starts,
            start_noise=start.noise if start else 0.0,
            blur=blur,
            generator=generator,
            resume=resume,
            progress=progress,
        )
    known = {*found.hashes, *(decoder.known if decoder else ())}
    about = {MADE_BY: json.dumps(made_by), "curve": json.dumps(fitted.curve)}
    save_generator(
        fitted.network, out, needs=needs.to_json(), trained_on=sorted(known), about=about
    )
    resume.path.unlink(missing_ok=True)
    return replace(outcome, skipped=False, loss=(fitted.curve[0][1], fitted.curve[-1][1]))


def _draw_starts(
    decoder: DirectGenerator,
    bank: EmbeddingBank,
    hashes: Sequence[str],
    progress: Progress | None,
) -> Tensor:
    """Return the decoder's picture of each embedding, (n, 3, S, S) of uint8."""
    embeddings = select_embeddings(decoder, bank, hashes)
    drawn = decoder.generate(embeddings, [0] * len(hashes), progress=progress)
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
