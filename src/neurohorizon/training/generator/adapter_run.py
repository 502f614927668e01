"""From pictures, their embeddings and a diffusion model to the file of a token adapter."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.generators.conditioning import TokenConditioning
from neurohorizon.imaging.generators.stable_diffusion import DTYPES, SIZE_MULTIPLE_PX
from neurohorizon.imaging.spaces import bank_in
from neurohorizon.imaging.stable_diffusion import HUB_ID, DiffusionBase, find_base
from neurohorizon.models.pictures.files import save_adapter
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.training.generator import run
from neurohorizon.training.generator.adapter import Denoiser, EndToEnd, fit_adapter
from neurohorizon.training.generator.end_to_end import Heard, begin_head
from neurohorizon.training.generator.fit import Blur, draws_of
from neurohorizon.training.generator.latents import LatentCache
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress
from neurohorizon.training.image_encoder.made import MADE_BY, digest, is_made, require_name
from neurohorizon.training.image_encoder.pictures import gather_pictures
from neurohorizon.training.image_encoder.run import open_allowed

LATENTS_SUFFIX = ".latents"
NUM_TOKENS = 16
_LEAST_PX = 16


@dataclass(frozen=True)
class AdapterPlan:
    """What is trained, and through what.

    Parameters
    ----------
    base : path or str
        See :func:`~neurohorizon.imaging.stable_diffusion.find_base`.
    size_px : int
        Width and height of the pictures; a multiple of 64.
    num_tokens : int, optional
        16 by default; of an adapter that is trained further it stays as it is.
    init : path, optional
        An adapter to train further, as on embeddings that responses predict out of fold.
    latents : path, optional
        Folder of latents; beside the adapter by default.
    min_snr : float, optional
        See :class:`~neurohorizon.training.generator.adapter.Denoiser`.
    heard : Heard, optional
        Train end to end, from the responses of a recording; of its training pictures alone.
    recompute : bool
        Compute what the denoiser found on the way once more, going back, instead of keeping it: a
        third slower, and a fraction of the memory.
    """

    base: Path | str = HUB_ID
    size_px: int = 512
    num_tokens: int | None = None
    init: Path | str | None = None
    latents: Path | str | None = None
    min_snr: float | None = None
    heard: Heard | None = None
    recompute: bool = False

    def __post_init__(self) -> None:
        if self.size_px < SIZE_MULTIPLE_PX or self.size_px % SIZE_MULTIPLE_PX:
            raise ConfigError(
                f"size_px is {self.size_px}: expected a multiple of {SIZE_MULTIPLE_PX}"
            )
        if self.min_snr is not None and not 0 < self.min_snr < math.inf:
            raise ConfigError(f"min_snr is {self.min_snr}: expected above 0")
        if self.init is not None and self.num_tokens is not None:
            raise ConfigError(f"the number of tokens is that of {self.init}: leave it out")


def train_adapter(
    pictures: Path | str,
    out: Path | str,
    *,
    bank: Path | str,
    plan: AdapterPlan | None = None,
    blur: Blur | None = None,
    exclude: Sequence[Path | str] = (),
    settings: LoopSettings | None = None,
    progress: Progress | None = None,
) -> run.Outcome:
    """Train a token adapter through a frozen denoiser; one that was interrupted is gone on with.

    Parameters
    ----------
    pictures, out, bank, exclude, settings, progress
        As of :func:`~neurohorizon.training.generator.run.train_generator`.
    plan : AdapterPlan, optional
    blur : Blur, optional
        What is taken from embeddings in training.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If pictures, bank, weights and settings do not fit, or a file holds something else.
    MissingExtraError
        If diffusers is not installed.
    """
    settings, blur, out = settings or LoopSettings(), blur or Blur(), Path(out)
    plan = plan or AdapterPlan()
    require_name(out)
    opened = EmbeddingBank.load(bank)
    needs = opened.fingerprint.space
    if plan.heard is not None and needs != opened.fingerprint:
        raise ConfigError(
            f"{bank}: holds embeddings that responses predict; end to end an adapter hears the "
            "responses themselves: give the bank of true embeddings"
        )
    base = find_base(plan.base)
    before = None if plan.init is None else _open_init(plan.init, base, opened)
    # The smallest size: only hashes are wanted of all pictures, of which some are encoded below.
    place, forbidden = open_allowed(pictures, exclude=exclude)
    found = gather_pictures(place, size_px=_LEAST_PX, without=forbidden, progress=progress)
    rows = run.rows_with_embedding(found, [opened], pictures)
    if plan.heard is not None:
        heard_of = set(plan.heard.hashes)
        rows = [row for row in rows if found.hashes[row] in heard_of]
    kept = run.take(found, rows)
    unknown = len(found.hashes) - len(kept.hashes)
    outcome = run.Outcome(out, True, len(kept.hashes), kept.num_left_out, unknown)
    made_by: dict[str, Any] = {
        "settings": {**asdict(settings), "device": None},
        "blur": asdict(blur),
        "pictures": digest(kept.hashes),
        "embeddings": opened.fingerprint.to_json(),
        "base": base.digest,
        "size_px": plan.size_px,
        "num_tokens": plan.num_tokens,
        "init": before.settings(base) if before else None,
        "min_snr": plan.min_snr,
        "heard": None if plan.heard is None else plan.heard.digest,
    }
    if is_made(out, made_by):
        return outcome
    embeddings_ND = torch.from_numpy(opened.select(kept.hashes))
    torch.manual_seed(settings.seed)
    heard = None if plan.heard is None else plan.heard.of(kept.hashes)
    head = None if heard is None else begin_head(heard, embeddings_ND.numpy())
    adapter = before.network.requires_grad_() if before else None
    if adapter is None:
        adapter = TokenAdapter(
            num_dimensions=embeddings_ND.shape[1],
            num_outputs=base.token_width,
            num_tokens=NUM_TOKENS if plan.num_tokens is None else plan.num_tokens,
        )
        adapter.standardise.fit(embeddings_ND)
    cache = LatentCache(
        plan.latents or out.with_name(out.stem + LATENTS_SUFFIX),
        base,
        size_px=plan.size_px,
        precision=settings.precision,
    )
    row_of = {name: row for row, name in enumerate(place.names)}
    wanted = {one: row_of[name] for one, name in zip(kept.hashes, kept.names, strict=True)}
    cache.fill(place, wanted, device=settings.device, progress=progress)
    unet = base.load_unet(DTYPES[settings.precision]).to(settings.device)
    if plan.recompute:
        unet.enable_gradient_checkpointing()
    levels = base.noise_levels().to(settings.device)
    generator = draws_of(settings)
    resume = run.resume_point(out, made_by, generator, settings)
    fitted = fit_adapter(
        cache.select(kept.hashes),
        embeddings_ND,
        network=EndToEnd(adapter, head),
        denoiser=Denoiser(unet, levels, base.prediction, plan.min_snr),
        settings=settings,
        responses_NU=None if heard is None else torch.from_numpy(heard.values),
        blur=blur,
        generator=generator,
        resume=resume,
        progress=progress,
    )
    known = {*kept.hashes, *(before.known if before else ())}
    about = {MADE_BY: json.dumps(made_by), "curve": json.dumps(fitted.curve)}
    save_adapter(
        fitted.network.adapter,
        out,
        head=fitted.network.head,
        base=base.digest,
        size_px=plan.size_px,
        needs=needs.to_json(),
        trained_on=sorted(known),
        about=about,
    )
    resume.path.unlink(missing_ok=True)
    return replace(outcome, skipped=False, loss=(fitted.curve[0][1], fitted.curve[-1][1]))


def _open_init(path: Path | str, base: DiffusionBase, bank: EmbeddingBank) -> TokenConditioning:
    """Open an adapter to train further; refuse one of another diffusion model or encoder."""
    before = TokenConditioning(path)
    before.check_base(base)
    bank_in(before.needs, [bank], what=f"the adapter {path}")
    return before
