"""``neurohorizon bridge reconstruct``: draw what was seen, from the responses to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from neurohorizon.cli._progress import StageProgress

if TYPE_CHECKING:
    from neurohorizon.training.bridge.names import RowName


def reconstruct(
    run: Path,
    /,
    *,
    generator: Path,
    pictures: tuple[Path, ...],
    row: str | None = None,
    other_run: Path | None = None,
    other_row: str | None = None,
    trials: int | None = None,
    prior: Literal["ridge", "flow", "none"] = "ridge",
    low_level: Literal["ridge", "network"] = "ridge",
    judge: Path | None = None,
    network: tuple[str, ...] = (),
    reported: Literal["tvsd"] | None = None,
    base: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    size: int | None = None,
    scheduler: Literal["dpm++", "ddim"] | None = None,
    precision: Literal["float32", "bfloat16", "float16"] | None = None,
    offload: bool = False,
    start: Literal["low-level", "retrieved"] | None = None,
    strength: float | None = None,
    seeds: int = 3,
    best_of: int = 1,
    checkpoint: str | None = None,
    device: str = "cpu",
) -> None:
    """Draw the test pictures from the responses to them, and score what was drawn.

    First the oracle gate: from true embeddings the generator must draw pictures that another
    network identifies, from shuffled ones pictures at chance; else nothing is reported. Then what
    responses speak for is drawn, beside retrieved pictures, the low-level path, true embeddings
    and chance. All pictures, scores and figures are in RUN/results/reconstruction, in a folder
    named after the generator's file; pictures that are drawn already are kept.

    Parameters
    ----------
    run
        A folder that `neurohorizon bridge align` wrote.
    generator
        Of `neurohorizon bridge train-generator`, trained with the run's bank, or with that and
        another; or, with --base, of `neurohorizon bridge train-adapter`, or the published file of
        an IP-Adapter.
    pictures
        Folder or zip archive of the pictures, train and test; of a drawn world, its folder. May
        be given several times.
    row
        The row of the run whose embeddings are drawn from; by default the one that explains most
        of the embeddings of held-out training pictures.
    other_run
        Of a generator that was trained with two banks: a run of bridges, on the same recordings,
        to the space of the other one.
    other_row
        Its row; the best by default.
    trials
        Draw from the mean of so many trials of each test picture, drawn at random; all by default.
    prior
        How predictions become embeddings such as pictures have: ridge, the nearest; flow, some that
        could be true, another from each seed, which a small flow draws that is trained first; none,
        as they are, of a generator that learned from predictions.
    low_level
        What draws straight from responses: a ridge regression; or network, that and a small
        convolutional decoder in shares that held-out pictures say, which wants thousands of them.
    judge
        Of a drawn world: what `neurohorizon bridge train-judge` wrote. It says what pictures show.
    network
        An image encoder that compares drawn pictures with those that were seen, and judges the
        gate if there is no --judge: layout, clip-vit-l14, dinov2, or with its checkpoint, as
        small=FILE. Not one that made the embeddings. May be given several times; by default
        layout, or pixels where that is drawn from.
    reported
        Show published numbers beside: tvsd, of its 100 test pictures.
    base
        Of an adapter: a folder of Stable Diffusion 1.5 in the layout of diffusers, or a hub id.
    steps
        Of a flow: 8 by default. Of Stable Diffusion: 25.
    guidance
        Above 1, what the embedding says is shown more clearly; of a flow 1.5 by default, of Stable
        Diffusion 5.
    size
        Of Stable Diffusion: width and height of what is drawn, in pixels, a multiple of 64; by
        default what the adapter was trained on, 512 of an IP-Adapter.
    scheduler
        Of Stable Diffusion: dpm++ by default, or ddim, which wants twice the steps.
    precision
        Of Stable Diffusion: float32 by default; 16 bits halve the memory and are faster on GPUs.
    offload
        Of Stable Diffusion, on a GPU: keep there only the part that computes. Slower, and a small
        card will do.
    start
        Of Stable Diffusion: start at a picture in place of noise, at what the low-level path draws
        or at the retrieved one. True and shuffled embeddings start at what they retrieve; where
        the others start at the low-level path's picture, they start at noise.
    strength
        With --start: share of the way from noise that is gone from there; 0.8 by default.
    seeds
        Pictures that are drawn of each response.
    best_of
        Draw so many, and show in a row of its own the one whose embedding is most like what the
        response speaks for; of retrieved pictures that were moved likewise.
    checkpoint
        With --best-of: of the encoder that embedded the pictures of the run's bank, where its name
        is not enough: the file of small, a folder of any other.
    device
        cpu, cuda or mps.
    """
    from neurohorizon.configs.reconstruction_plan import OtherRun, ReconstructionPlan
    from neurohorizon.configs.run_reconstruction import reconstruct_run
    from neurohorizon.errors import ConfigError
    from neurohorizon.imaging.generators.open import DrawSettings
    from neurohorizon.report.reconstruction_page import report_reconstruction
    from neurohorizon.report.reconstruction_tables import format_reconstruction

    if seeds < 1:
        raise ConfigError(f"--seeds is {seeds}: expected 1 or more")
    if best_of < 1:
        raise ConfigError(f"--best-of is {best_of}: expected 2 or more, or 1 to leave it out")
    if other_row is not None and other_run is None:
        raise ConfigError("--other-row without --other-run: name the run that it is of")
    others = []
    if other_run is not None:
        others.append(OtherRun(other_run, cast("RowName | None", other_row)))
    drawing = DrawSettings(
        steps=steps,
        guidance=guidance,
        base=base,
        size_px=size,
        scheduler=scheduler,
        precision=precision,
        offload=offload,
        start=start,
        strength=strength,
    )
    plan = ReconstructionPlan(
        generator,
        pictures,
        row=cast("RowName | None", row),
        other_runs=others,
        num_trials=trials,
        prior=prior,
        low_level=low_level,
        judge=judge,
        networks=network,
        reported=reported,
        drawing=drawing,
        num_seeds=seeds,
        best_of=best_of,
        checkpoint=checkpoint,
        device=device,
    )
    with StageProgress() as progress:
        done = reconstruct_run(run, plan, progress=progress)
        page = report_reconstruction(done.result, done.seen, done.drawn, done.folder)
    print(format_reconstruction(done.result))
    print(f"report: {page}")
