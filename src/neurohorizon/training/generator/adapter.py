r"""Fitting a token adapter through a frozen denoiser.

A picture's latent :math:`x` is mixed with noise, :math:`x_t = \sqrt{\bar\alpha_t} x +
\sqrt{1 - \bar\alpha_t} \epsilon` at a time :math:`t` drawn evenly, and the frozen denoiser says
what the noise was, told by the adapter's tokens. The squared error of what it says is all that the
adapter learns from (Ho et al. 2020, "Denoising diffusion probabilistic models"): tokens that help
nothing to remove noise are worth nothing, whatever they resemble.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.stable_diffusion import Prediction
from neurohorizon.models.pictures.response_head import ResponseHead
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.training.generator.fit import (
    CURVE_POINTS,
    PREDICTED_SHARE,
    Blur,
    Fitted,
    draws_of,
    require_pairs,
)
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress, train
from neurohorizon.training.image_encoder.resume_point import ResumePoint

#: Share of the electrodes that are not told, in training: what is heard twice is not missed.
DROPOUT = 0.2


@dataclass(frozen=True)
class Denoiser:
    """A frozen denoiser and what its loss is made of.

    Parameters
    ----------
    network : Module
        Of diffusers, on the device of the training, without gradients of its own.
    levels_T : Tensor
        Share of signal at each time.
    prediction : {"epsilon", "v_prediction"}
        What the network says: the noise, or the velocity.
    min_snr : float, optional
        Weigh each time's error by its signal-to-noise ratio, at most this one (Hang et al. 2023,
        "Efficient diffusion training via min-SNR weighting strategy", who take 5); by default all
        times count alike. Above 0.
    """

    network: Any
    levels_T: Tensor
    prediction: Prediction = "epsilon"
    min_snr: float | None = None

    def weights(self, times_B: Tensor) -> Tensor:
        r"""Return what each time's error counts, (B,).

        With :math:`s = \bar\alpha_t / (1 - \bar\alpha_t)` and the bound :math:`\gamma` it is
        :math:`\min(s, \gamma) / s` of errors of the noise, and :math:`\min(s, \gamma) / (s + 1)`
        of those of the velocity: both are errors of the picture, weighed by
        :math:`\min(s, \gamma)`.
        """
        if self.min_snr is None:
            return torch.ones_like(times_B, dtype=torch.float32)
        level = self.levels_T[times_B]
        ratio = level / (1 - level)
        bounded = ratio.clamp(max=self.min_snr)
        return bounded / (ratio if self.prediction == "epsilon" else ratio + 1)

    def loss(
        self, latents_BCHW: Tensor, tokens_BTC: Tensor, times_B: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the weighted mean squared error of what the denoiser says."""
        level = self.levels_T[times_B][:, None, None, None]
        signal, spread = level.sqrt(), (1 - level).sqrt()
        dtype = self.network.dtype
        noisy = (signal * latents_BCHW + spread * noise).to(dtype)
        said = self.network(noisy, times_B, encoder_hidden_states=tokens_BTC.to(dtype)).sample
        true = noise if self.prediction == "epsilon" else signal * noise - spread * latents_BCHW
        errors_B = (said.float() - true).square().mean(dim=(1, 2, 3))
        return (self.weights(times_B) * errors_B).mean()


class EndToEnd(nn.Module):
    """An adapter, and what reads responses for it, if anything does.

    Parameters
    ----------
    adapter : TokenAdapter
    head : ResponseHead, optional
    """

    def __init__(self, adapter: TokenAdapter, head: ResponseHead | None = None) -> None:
        super().__init__()
        self.adapter, self.head = adapter, head


def loss_told(
    adapter: TokenAdapter,
    denoiser: Denoiser,
    latents_BCHW: Tensor,
    embeddings_BD: Tensor,
    blur: Blur,
    generator: torch.Generator,
) -> Tensor:
    """Return the denoiser's loss at random times, told by embeddings on the device of training."""
    device, num_pictures = embeddings_BD.device, len(embeddings_BD)
    wanted = latents_BCHW.to(device, torch.float32)
    num_times = len(denoiser.levels_T)
    times = torch.randint(num_times, (num_pictures,), generator=generator).to(device)
    noise = torch.randn(wanted.shape, generator=generator).to(device)
    known = torch.rand(num_pictures, generator=generator) >= blur.unknown
    told = adapter.tell(
        embeddings_BD,
        noise_BD=blur.draw_noise(embeddings_BD, generator),
        known_B=known.to(device),
    )
    return denoiser.loss(wanted, adapter(told), times, noise)


def fit_adapter(
    latents: Tensor,
    embeddings_ND: Tensor,
    *,
    network: EndToEnd,
    denoiser: Denoiser,
    settings: LoopSettings,
    responses_NU: Tensor | None = None,
    blur: Blur | None = None,
    generator: torch.Generator | None = None,
    resume: ResumePoint | None = None,
    progress: Progress | None = None,
) -> Fitted[EndToEnd]:
    """Train a token adapter; its mean and spread of embeddings stay as they are.

    Parameters
    ----------
    latents : (n, 4, H, W) Tensor
        Scaled to a spread of about 1.
    embeddings_ND : Tensor
        True ones, or what responses predict. Where responses are heard, true ones: told for three
        pictures of ten all the same, so that the adapter can still be judged by them.
    network : EndToEnd
        Its adapter is untrained, standardised by the training's embeddings, or trained before.
    denoiser : Denoiser
    settings : LoopSettings
    responses_NU : Tensor, optional
        To the same pictures, for the head, which is trained with the adapter.
    blur : Blur, optional
    generator, resume, progress
        As of :func:`~neurohorizon.training.generator.fit.fit_direct`.

    Raises
    ------
    ConfigError
        If latents, embeddings and adapter do not fit together, or responses and head.
    """
    adapter = network.adapter
    require_pairs(latents, embeddings_ND)
    if (network.head is None) != (responses_NU is None):
        raise ConfigError("responses and a head that reads them: expected both or neither")
    if adapter.num_dimensions != embeddings_ND.shape[1]:
        raise ConfigError(
            f"embeddings of {embeddings_ND.shape[1]} dimensions, the adapter reads "
            f"{adapter.num_dimensions}"
        )
    blur = blur or Blur()
    generator = generator or draws_of(settings)
    torch.manual_seed(settings.seed)
    device = settings.device

    def loss_of(network: EndToEnd, rows: Tensor) -> Tensor:
        told = embeddings_ND[rows].to(device)
        if network.head is not None and responses_NU is not None:
            heard = responses_NU[rows].to(device)
            said = network.head(heard, dropout=DROPOUT, generator=generator)
            true = torch.rand(len(rows), generator=generator) >= PREDICTED_SHARE
            told = torch.where(true.to(device)[:, None], told, said)
        return loss_told(network.adapter, denoiser, latents[rows], told, blur, generator)

    fitted, curve = train(
        network.to(device),
        loss_of,
        num_pictures=len(latents),
        settings=settings,
        progress=progress,
        resume=resume,
        num_points=CURVE_POINTS,
    )
    return Fitted(fitted, curve)
