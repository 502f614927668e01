"""A checkpoint of exactly Stable Diffusion 1.5's layout, tiny and random, and an IP-Adapter's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from neurohorizon.training.generator.adapter import Denoiser

TOKEN_WIDTH = 24
DOWN = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
# As in the hub's repository.
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}


def write_base(
    folder: Path, *, seed: int = 0, prediction: str = "epsilon", clear: bool = False
) -> Path:
    """Write denoiser, autoencoder, scheduler, text encoder and tokenizer.

    If `clear`, pictures leave the autoencoder as they entered it, by colour in blocks of 8 pixels,
    and the denoiser changes them little.
    """
    import diffusers
    import transformers

    torch.manual_seed(seed)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        layers_per_block=2,
        block_out_channels=(16, 32, 32, 32),
        norm_num_groups=8,
        cross_attention_dim=TOKEN_WIDTH,
        attention_head_dim=4,
        down_block_types=DOWN,
        up_block_types=UP,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=4 if clear else 8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=2,
        sample_size=64,
    )
    if clear:
        _clear(vae)
        unet.conv_out.weight.data *= 0.1
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    (folder / "scheduler").mkdir()
    settings = {**SCHEDULER, "prediction_type": prediction}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(settings))
    transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=4,
            hidden_size=TOKEN_WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=2,
            eos_token_id=3,
        )
    ).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    words = {"a</w>": 0, "b</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(words))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    described = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 77,
    }
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(described))
    return folder


def _clear(vae: Any) -> None:
    """Let an autoencoder pass on the colours that it is shown.

    Each colour goes in two channels, as it is and negative: silu(x) - silu(-x) is x. Norms over
    such pairs, whose mean is 0, change the scale alone. Residual branches add nothing.
    """

    def passing(conv: Any, kernel: torch.Tensor) -> None:
        conv.weight.data.zero_()
        conv.bias.data.zero_()
        rows, columns = kernel.shape
        middle = conv.kernel_size[0] // 2
        conv.weight.data[:rows, :columns, middle, middle] = kernel

    for name, part in vae.named_modules():
        if name.endswith(("conv2", "to_out.0")):
            part.weight.data.zero_()
            part.bias.data.zero_()
        elif name.endswith(("conv_shortcut", "upsamplers.0.conv", "quant_conv")):
            passing(part, torch.eye(min(part.weight.shape[:2])))
        elif name.endswith("downsamplers.0.conv"):
            passing(part, torch.eye(part.in_channels))
            part.weight.data = 0.25 * part.weight.data[:, :, 1:2, 1:2].expand(-1, -1, 2, 2)
            part.weight.data = torch.nn.functional.pad(part.weight.data, (0, 1, 0, 1))
    pairs = torch.kron(torch.eye(3), torch.tensor([[1.0], [-1.0]]))
    scale = vae.config.scaling_factor
    passing(vae.encoder.conv_in, pairs)
    passing(vae.encoder.conv_out, pairs.T / scale)
    vae.encoder.conv_out.bias.data[4:] = -20  # the logarithm of the variance
    passing(vae.decoder.conv_in, pairs * scale)
    passing(vae.decoder.conv_out, 0.5 * pairs.T)


def teach_denoiser(denoiser: Denoiser) -> tuple[Tensor, Tensor]:
    """Teach a denoiser six flat latents by a text of four tokens each; return both.

    What is to be told is the channel and its sign. Afterwards it is frozen.
    """
    flat = torch.zeros(6, 4, 8, 8)
    for row in range(6):
        flat[row, row % 4] = 3.0 if row < 4 else -3.0
    network = denoiser.network.requires_grad_(True)
    torch.manual_seed(0)
    texts = torch.randn(6, 4, TOKEN_WIDTH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(60):
        rows, times = torch.randint(6, (12,)), torch.randint(300, 1000, (12,))
        loss = denoiser.loss(flat[rows], texts[rows], times, torch.randn(12, 4, 8, 8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.requires_grad_(False)
    return flat, texts


@torch.inference_mode()
def denoiser_error(denoiser: Denoiser, latents: Tensor, tokens: Tensor) -> float:
    """Return the mean loss of some latents, told by some tokens, at the same times and noise."""
    torch.manual_seed(9)
    num = len(latents)
    draws = [(torch.randint(1000, (num,)), torch.randn(latents.shape)) for _ in range(8)]
    return float(np.mean([float(denoiser.loss(latents, tokens, *each)) for each in draws]))


def write_ip_adapter(
    path: Path, base: Path, *, num_dimensions: int = 1024, width: int = TOKEN_WIDTH, **more
) -> Path:
    """Write a file of the layout of ip-adapter_sd15.safetensors, with random weights.

    Keys and values of the denoiser's cross-attentions have odd numbers, in its order; four tokens.
    """
    import diffusers

    unet = diffusers.UNet2DConditionModel.from_pretrained(base / "unet")
    torch.manual_seed(7)
    weights = {
        "image_proj.proj.weight": torch.randn(4 * width, num_dimensions) / num_dimensions**0.5,
        "image_proj.proj.bias": torch.randn(4 * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    for number, name in enumerate(unet.attn_processors):
        if number % 2:
            attention = unet.get_submodule(name.removesuffix(".processor"))
            inner = attention.to_k.out_features
            for what in ("k", "v"):
                weights[f"ip_adapter.{number}.to_{what}_ip.weight"] = torch.randn(inner, width)
    weights |= more
    save_file({name: each.half() for name, each in weights.items()}, path)
    return path
