"""What Stable Diffusion 1.5 costs, counted on networks without values: no weights, no GPU.

    python benchmarks/stable_diffusion_cost.py      # seconds

The networks are built in the published sizes on torch's meta device. Weights are counted;
operations are counted by torch's own counter, forward and backward; so is what autograd keeps on
the way. Times are then these operations over a share of what a card's data sheet promises: they are
estimates, not measurements.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from neurohorizon.imaging.stable_diffusion import import_diffusers
from neurohorizon.models.pictures.token_adapter import TokenAdapter

TEXT_ENCODER = 123_060_480  # weights of the text part of CLIP ViT-L/14
#: Dense bfloat16 TFLOP/s of the data sheet, summed in 32 bits, and memory in GB.
CARDS = {"RTX 3060": (25, 12), "RTX 4090": (165, 24), "A100": (312, 40), "H100 SXM": (989, 80)}
REACHED = 0.3
STEPS, PICTURES = 25, 100  # drawn with guidance: two looks a step
BATCHES, BATCH_SIZE = 20_000, 16  # trained
BYTES = 2
ADAPTER_BYTES = 20  # weight, gradient, two moments and average of a trained weight


def count_weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def count_operations(call: Any) -> tuple[float, Any]:
    with FlopCounterMode(display=False) as counter:
        result = call()
    return counter.get_total_flops() / 1e12, result


def cost_of_a_step(unet: Any) -> tuple[float, float, float]:
    """Return TFLOP forward and backward, and GB kept between, of one picture of 512 pixels."""
    kept: dict[int, int] = {}
    fixed = {weight.untyped_storage()._cdata for weight in unet.parameters()}
    alive: list[torch.Tensor] = []

    def keep(values: torch.Tensor) -> torch.Tensor:
        alive.append(values)
        # Fused attention, which GPUs use, keeps no matrix of all places by all places.
        whole = values.ndim >= 3 and values.shape[-1] == values.shape[-2] >= 256
        if values.untyped_storage()._cdata not in fixed and not whole:
            kept[values.untyped_storage()._cdata] = values.untyped_storage().nbytes()
        return values

    half: dict[str, Any] = {"device": "meta", "dtype": torch.bfloat16}
    tokens = torch.empty(1, 16, 768, **half, requires_grad=True)
    latents, time = torch.empty(1, 4, 64, 64, **half), torch.empty(1, device="meta")
    with saved_tensors_hooks(keep, lambda values: values):
        forward, said = count_operations(
            lambda: unet(latents, time, encoder_hidden_states=tokens).sample
        )
    backward, _ = count_operations(lambda: said.sum().backward())
    return forward, backward, sum(kept.values()) / 1e9


def main() -> None:
    diffusers = import_diffusers()
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        vae = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
        adapter = TokenAdapter(num_dimensions=1024, num_outputs=768)
    weights = {
        "denoiser": count_weights(unet),
        "autoencoder": count_weights(vae),
        "text encoder": TEXT_ENCODER,
        "token adapter": count_weights(adapter),
    }
    for name, number in weights.items():
        print(f"{name}: {number:,} weights, {BYTES * number / 1e9:.2f} GB in 16 bits")
    unet = unet.requires_grad_(False).to(torch.bfloat16)
    vae = vae.to(torch.bfloat16)
    latent = torch.empty(1, 4, 64, 64, device="meta", dtype=torch.bfloat16)
    with torch.no_grad():
        decode, _ = count_operations(lambda: vae.decode(latent))
    forward, backward, kept = cost_of_a_step(unet)
    unet.enable_gradient_checkpointing()
    _, backward_again, kept_less = cost_of_a_step(unet)
    print(f"a look of the denoiser: {forward:.2f} TFLOP; decoding a picture: {decode:.2f}")
    print(f"backward: {backward:.2f} TFLOP, {kept:.2f} GB kept a picture")
    print(f"backward, recomputed: {backward_again:.2f} TFLOP, {kept_less:.2f} GB kept a picture")
    fixed = (BYTES * weights["denoiser"] + ADAPTER_BYTES * weights["token adapter"]) / 1e9
    draw = PICTURES * (2 * STEPS * forward + decode)
    train, slower = (BATCHES * BATCH_SIZE * (forward + each) for each in (backward, backward_again))
    print(f"training: {fixed:.1f} GB, and {BATCH_SIZE} x {kept:.2f} or {kept_less:.2f} GB")
    print("| card | memory (GB) | 100 pictures (min) | 20,000 steps (h) | recomputed (h) |")
    print("|---|---|---|---|---|")
    for card, (peak, memory) in CARDS.items():
        rate = REACHED * peak
        fits = fixed + BATCH_SIZE * kept < 0.9 * memory
        whole = f"{train / rate / 3600:.1f}" if fits else "does not fit"
        times = f"{draw / rate / 60:.1f} | {whole} | {slower / rate / 3600:.1f}"
        print(f"| {card} | {memory} | {times} |")


if __name__ == "__main__":
    main()
