"""``neurohorizon bridge train-adapter``: tokens of embeddings, for Stable Diffusion."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress


def train_adapter(
    pictures: Path,
    /,
    *,
    bank: Path,
    out: Path,
    base: str | None = None,
    size: int = 512,
    tokens: int | None = None,
    init: Path | None = None,
    run: Path | None = None,
    recording: str | None = None,
    latents: Path | None = None,
    exclude: list[Path] | None = None,
    noise: float = 0.2,
    unknown: float = 0.1,
    min_snr: float | None = None,
    steps: int = 20_000,
    batch_size: int = 16,
    learning_rate: float = 1e-4,
    precision: Literal["float32", "bfloat16"] = "float32",
    recompute: bool = False,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train tokens that tell Stable Diffusion what to draw, through its frozen denoiser.

    An adapter turns an embedding into tokens that the denoiser reads in place of a text's. It
    learns from nothing but how well the denoiser, told by them, finds the noise in pictures; the
    denoiser stays as it is. Pictures are turned into latents once, which are kept. Those of a
    world that `neurohorizon simulate ventral-stream` drew are train pictures only; of others leave
    out those that bridges are tested on, with `--exclude`. An interrupted training is gone on with
    by the same command; a file that was made from the same pictures and bank with the same
    settings is kept.

    Parameters
    ----------
    pictures
        A folder or zip archive of pictures, a file of frames, or the folder of a drawn world.
    bank
        Their embeddings: of `neurohorizon data embed`, or those that responses speak for, out of
        fold, of `neurohorizon bridge embed`. Pictures that it lacks are left out.
    out
        The adapter, a .safetensors file.
    base
        A folder of Stable Diffusion 1.5 in the layout of diffusers, or a hub id;
        stable-diffusion-v1-5/stable-diffusion-v1-5 by default.
    size
        Width and height of the pictures that are learned from, in pixels: a multiple of 64.
    tokens
        Up to 77: 16 by default. Not with --init.
    init
        An adapter to train further, on another bank of the same space.
    run
        Train end to end: a folder that `neurohorizon bridge align` wrote, with bridges to the
        bank's space. A linear map from its responses to embeddings, which begins at a ridge
        regression, is trained with the adapter, and kept in its file; of the pictures those that
        the run trains on are learned from. --bank holds their true embeddings.
    recording
        Of that run, if it has several: whose responses.
    latents
        Folder to keep latents in, for every training with the same base and size; beside the
        adapter by default.
    exclude
        Pictures to leave out: a folder or zip archive of them, a bank, or a .txt file with a
        name or a hash a line. May be given several times.
    noise
        Largest standard deviation of the noise that is added to embeddings, in their own, so that
        predicted ones will do.
    unknown
        Share of the pictures whose embedding is not told, for guidance.
    min_snr
        Weigh times by their signal-to-noise ratio, at most this one; 5 is usual. All count alike
        by default.
    steps
        Batches to learn from.
    batch_size
        Pictures in a batch.
    learning_rate
        The highest of AdamW.
    precision
        float32, or bfloat16: half of the memory, and much faster on GPUs.
    recompute
        Save memory: what the denoiser found on the way is computed once more, going back.
    seed
        Same seed, same adapter, on the same machine.
    device
        cpu, cuda or mps.
    """
    from neurohorizon.configs.run_end_to_end import hear_training
    from neurohorizon.errors import ConfigError
    from neurohorizon.imaging.stable_diffusion import HUB_ID
    from neurohorizon.training.generator.adapter_run import AdapterPlan
    from neurohorizon.training.generator.adapter_run import train_adapter as train
    from neurohorizon.training.generator.fit import Blur
    from neurohorizon.training.image_encoder.loop import LoopSettings

    if recording is not None and run is None:
        raise ConfigError("--recording without --run: name the run that it is of")
    settings = LoopSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.01,
        seed=seed,
        precision=precision,
        device=device,
    )
    plan = AdapterPlan(
        base=HUB_ID if base is None else base,
        size_px=size,
        num_tokens=tokens,
        init=init,
        latents=latents,
        min_snr=min_snr,
        heard=None if run is None else hear_training(run, recording=recording),
        recompute=recompute,
    )
    with StageProgress() as progress:
        done = train(
            pictures,
            out,
            bank=bank,
            plan=plan,
            blur=Blur(noise=noise, unknown=unknown),
            exclude=exclude or (),
            settings=settings,
            progress=progress,
        )
    if done.skipped:
        print(f"{done.path}: is trained already")
        return
    print(
        f"{done.path}: trained on {done.num_pictures} pictures, {done.num_left_out} left out, "
        f"{done.num_unknown} without embedding; loss {done.loss[0]:.3f} at first, "
        f"{done.loss[1]:.3f} in the end"
    )
