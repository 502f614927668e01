"""A judge says what drawn pictures show, true ones and generated ones alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.errors import CheckpointError
from neurohorizon.imaging.device import open_device
from neurohorizon.imaging.fingerprint import Fingerprint, library_versions
from neurohorizon.imaging.small import stack_pictures
from neurohorizon.models.pictures.files import digest_weights, load_judge
from neurohorizon.models.pictures.judge import JudgeNetwork

_AT_ONCE = 128


@dataclass(frozen=True)
class Judgement:
    """What a judge says of some pictures in one respect.

    Parameters
    ----------
    words : tuple of str
        The answers to choose from.
    probability : (n, words) array of float32
        What the judge gives each; rows sum to 1.
    """

    words: tuple[str, ...]
    probability: NDArray[np.float32]

    @property
    def code(self) -> NDArray[np.int64]:
        """Row of `words` of the likeliest answer, (n,)."""
        return self.probability.argmax(axis=1)

    def right(self, code: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return 1 for each picture of which the judge says what is true, else 0, (n,)."""
        return (self.code == code).astype(np.float64)

    def accuracy(self, code: NDArray[np.int64]) -> float:
        """Return the share of pictures of which the judge says what is true."""
        return float(self.right(code).mean())


class Judge:
    """Judge what pictures show with a network that saw none of them.

    Parameters
    ----------
    network : JudgeNetwork
    about : mapping of str to str, optional
        Header of its file.
    device : str

    Notes
    -----
    It is trained on pictures that are drawn for it alone (`neurohorizon bridge train-judge`), some
    of them without fine detail or with noise, and shares nothing with the encoders whose
    embeddings or generated pictures it judges.
    """

    def __init__(
        self,
        network: JudgeNetwork,
        *,
        about: Mapping[str, str] | None = None,
        device: str = "cpu",
    ) -> None:
        self.device = open_device(device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.about = dict(about or {})

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """What is judged, and the answers to choose from."""
        return self.network.words

    @property
    def known_accuracy(self) -> dict[str, float]:
        """How often it is right about true pictures that it never saw, as its file says."""
        try:
            return {name: float(each) for name, each in json.loads(self.about["accuracy"]).items()}
        except (KeyError, ValueError, TypeError, AttributeError):
            return {}

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, Judgement]:
        """Judge pictures.

        Parameters
        ----------
        pictures : sequence of (H, W, 3) arrays of uint8
            Of any size; they are stretched to the judge's.

        Returns
        -------
        dict of str to Judgement
            By what is judged, as in "shape".
        """
        rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self.words}
        with torch.inference_mode():
            for shown in self._batches(pictures):
                for name, logits in self.network(shown).items():
                    rows[name].append(logits.softmax(dim=1).cpu().numpy())
        return {
            name: Judgement(
                words, np.concatenate([np.empty((0, len(words)), np.float32), *rows[name]])
            )
            for name, words in self.words.items()
        }

    @property
    def name(self) -> str:
        """What it is called among networks whose features are compared."""
        return "judge"

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes its features."""
        return Fingerprint(
            encoder=self.name,
            weights=digest_weights(self.network.state_dict()),
            settings={"size_px": self.network.size_px},
            versions=library_versions("pillow", "torch"),
        )

    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        """Return what its hidden layer says of pictures, (n, D), as "hidden"."""
        with torch.inference_mode():
            rows = [self.network.describe(shown).cpu().numpy() for shown in self._batches(pictures)]
        return {"hidden": np.concatenate(rows)}

    def _batches(self, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[torch.Tensor]:
        for first in range(0, len(pictures), _AT_ONCE):
            batch = stack_pictures(pictures[first : first + _AT_ONCE], size_px=self.network.size_px)
            yield torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2) / 255


def open_judge(path: Path | str, *, device: str = "cpu") -> Judge:
    """Open a judge that `neurohorizon bridge train-judge` wrote.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of another version.
    ConfigError
        If the device is not there.
    """
    network, header = load_judge(path)
    judge = Judge(network, about=header, device=device)
    if not judge.known_accuracy:
        raise CheckpointError(
            f"{path}: does not say how often it is right: train it again with "
            "`neurohorizon bridge train-judge`"
        )
    return judge
