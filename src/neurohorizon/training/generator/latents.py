"""Latents of pictures, made once by the frozen autoencoder of a diffusion model, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.imaging.pictures import Pictures
from neurohorizon.imaging.small import stack_pictures
from neurohorizon.imaging.stable_diffusion import DiffusionBase
from neurohorizon.models.weights_file import read_weights, save_weights
from neurohorizon.training.image_encoder.loop import Precision, Progress

_SYSTEM = "latents of pictures"
_A_PART = 64
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class LatentCache:
    """A folder of latents, by the hashes of their pictures.

    Parameters
    ----------
    folder : path
        Made if absent. Each 64 pictures are a file, so that what was interrupted goes on; one
        folder serves every training with the same autoencoder and size.
    base : DiffusionBase
    size_px : int
        Width and height that pictures are stretched to.
    precision : {"float32", "bfloat16"}
        Of the autoencoder.

    Raises
    ------
    ConfigError
        If the folder holds latents that were made in another way.
    CheckpointError
        If a file in it is damaged.

    Notes
    -----
    A latent is the mean that the encoder gives, times its scaling factor, in float16 (the spread
    that it gives beside is below a thousandth of what latents vary). Pictures are encoded one at a
    time: an interruption changes no bit.
    """

    def __init__(
        self, folder: Path | str, base: DiffusionBase, *, size_px: int, precision: Precision
    ) -> None:
        self.folder, self.base = Path(folder), base
        self.size_px, self.precision = size_px, precision
        self._made_by: dict[str, Any] = {
            "autoencoder": base.vae_digest,
            "size_px": size_px,
            "precision": precision,
        }
        self._latents: dict[str, Tensor] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            if not path.name.startswith("."):  # hidden is half of a file, of a run that was killed
                self._latents |= self._read(path)

    def __len__(self) -> int:
        return len(self._latents)

    def fill(
        self,
        pictures: Pictures,
        row_of: Mapping[str, int],
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        """Encode the pictures that are not there yet.

        Parameters
        ----------
        pictures : Pictures
        row_of : mapping of str to int
            Hashes of the pictures wanted, and where in `pictures` each is.
        device : str
        progress : callable, optional
            Called with ("encode", pictures done, pictures in all).

        Raises
        ------
        DataError
            If a picture cannot be decoded, or its latent is not finite.
        """
        wanted = {row: one for one, row in row_of.items() if one not in self._latents}
        if not wanted:
            return
        dtype = _DTYPES[self.precision]
        vae = self.base.load_vae(dtype).to(device)
        unsaved: dict[str, Tensor] = {}
        rows = sorted(wanted)
        for number, (row, picture) in enumerate(zip(rows, pictures.picked(rows), strict=True)):
            if picture.hash != wanted[row]:
                raise DataError(f"{picture.name}: changed while it was read; run it again")
            pixels = torch.from_numpy(stack_pictures([picture.pixels], size_px=self.size_px))
            values = (pixels.permute(0, 3, 1, 2).to(device) / 127.5 - 1).to(dtype)
            with torch.inference_mode():
                latent = vae.encode(values).latent_dist.mean[0] * vae.config.scaling_factor
            if not torch.isfinite(latent).all():
                raise DataError(
                    f"{picture.name}: its latent is not finite in {self.precision}: are the "
                    f"weights in {self.base.folder} damaged?"
                )
            unsaved[wanted[row]] = latent.to("cpu", torch.float16)
            if len(unsaved) == _A_PART or number + 1 == len(rows):
                self._write(unsaved)
                unsaved = {}
            if progress:
                progress("encode", number + 1, len(rows))

    def select(self, hashes: Sequence[str]) -> Tensor:
        """Return the latents of some pictures, (n, 4, S / 8, S / 8) of float16."""
        return torch.stack([self._latents[one] for one in hashes])

    def _write(self, latents: Mapping[str, Tensor]) -> None:
        path = self.folder / f"{next(iter(latents))[:16]}.safetensors"
        header = {"made_by": json.dumps(self._made_by)}
        save_weights(path, latents, system=_SYSTEM, header=header)
        self._latents |= latents

    def _read(self, path: Path) -> dict[str, Tensor]:
        _, latents, header = read_weights(
            path, systems=[_SYSTEM], writer="neurohorizon bridge train-adapter"
        )
        try:
            made_by = json.loads(header["made_by"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path}: does not say what made it: remove it") from error
        for name, value in self._made_by.items():
            if made_by.get(name) != value:
                raise ConfigError(
                    f"{self.folder}: holds latents of another {name} ({made_by.get(name)}, here "
                    f"it is {value}): name another folder for latents, or remove this one"
                )
        return latents
