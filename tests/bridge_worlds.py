"""Responses to pictures whose embeddings they follow: small, with single trials, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.recordings.responses import (
    Images,
    ResponseRecording,
    Responses,
    presentation_clock,
)
from neurohorizon.recordings.responses_store import write_responses
from neurohorizon.recordings.schema import Units
from neurohorizon.training.bridge.samples import Samples

NUM_DIMENSIONS = 12


def embeddings_of(num_pictures: int, *, seed: int = 0) -> np.ndarray:
    """Return embeddings whose components fall off, (I, 12)."""
    generator = np.random.default_rng(seed)
    spread = 0.8 ** np.arange(NUM_DIMENSIONS)
    return (generator.normal(size=(num_pictures, NUM_DIMENSIONS)) * spread + 3).astype(np.float32)


def answers(
    embeddings: np.ndarray, *, num_units: int = 16, noise: float = 1.0, seed: int = 1, bins: int = 0
) -> np.ndarray:
    """Return one noisy response to each picture, (I, N) or (I, N, B); noise is shared."""
    generator = np.random.default_rng(2)
    weight = generator.normal(size=(embeddings.shape[1], num_units))
    draw = np.random.default_rng(seed)
    clean = (embeddings - 3) @ weight
    shape = (len(embeddings), num_units, bins) if bins else (len(embeddings), num_units)
    own = draw.normal(size=shape)
    shared = draw.normal(size=(len(embeddings), *([1] * (len(shape) - 1))))
    shared = shared * shared_noise(num_units).reshape(1, -1, *([1] * (len(shape) - 2)))
    if bins:
        when = np.exp(-((np.arange(bins) - bins / 2) ** 2) / 2)
        clean = clean[:, :, None] * when
    return (clean + noise * (own + shared) + 2).astype(np.float32)


def coded_samples(
    embeddings: np.ndarray, code: np.ndarray, *, num_units: int = 16, noise: float = 0.5, seed: int
) -> Samples:
    """Return responses of units that mix what a code, (12, L), reads of the pictures."""
    generator = np.random.default_rng(seed)
    mixture = generator.normal(size=(code.shape[1], num_units))
    clean = (embeddings - 3) @ code @ mixture
    own = generator.normal(size=clean.shape)
    return Samples(
        values=(clean / clean.std(axis=0) + noise * own).astype(np.float32),
        embeddings=embeddings,
        picture=np.arange(len(embeddings)),
        fold=np.arange(len(embeddings)) % 2,
    )


def shared_noise(num_units: int = 16) -> np.ndarray:
    """Return how much of the noise that all share each unit has, (N,)."""
    return np.random.default_rng(3).normal(size=num_units)


def samples(num_pictures: int = 240, *, num_folds: int = 2, **world: float) -> Samples:
    """Return training pairs of the world, with folds."""
    embeddings = embeddings_of(num_pictures)
    return Samples(
        values=answers(embeddings, **world),  # type: ignore[arg-type]
        embeddings=embeddings,
        picture=np.arange(num_pictures),
        fold=np.arange(num_pictures) % num_folds,
    )


def picture_hashes(num_pictures: int) -> list[str]:
    """Return hashes of pictures that need not be drawn."""
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(num_pictures)]


def write_world(
    folder: Path,
    *,
    num_pictures: int = 160,
    num_test: int = 40,
    num_repeats: int = 4,
    names: tuple[str, ...] = ("one",),
    bins: int = 0,
    areas: tuple[str, ...] = ("",),
    hashes: Sequence[str] | None = None,
    num_categories: int = 20,
    first_picture: int = 0,
) -> Path:
    """Write recordings of single test trials, and their bank, into a folder; return the bank.

    Units are of the areas in turns. Pictures are numbered from `first_picture`.
    """
    last = first_picture + num_pictures
    embeddings = embeddings_of(last)[first_picture:]
    hashes = picture_hashes(last)[first_picture:] if hashes is None else list(hashes)
    test = np.arange(num_pictures) < num_test
    image = np.concatenate([np.flatnonzero(~test), np.tile(np.flatnonzero(test), num_repeats)])
    start, end = presentation_clock(len(image))
    for number, name in enumerate(names):
        values = answers(embeddings[image], seed=10 + number, bins=bins)
        recording = ResponseRecording(
            id=name,
            subject="animal",
            source="made up",
            units=replace(
                Units.numbered(values.shape[1]),
                area=np.resize(np.array(areas), values.shape[1]),
            ),
            responses=Responses(
                values=values,
                start=start,
                end=end,
                image=image,
                part=np.where(test[image], "test", "train"),
                repeat=np.concatenate(
                    [np.zeros(np.sum(~test)), np.repeat(np.arange(num_repeats), num_test)]
                ).astype(np.int64),
                day=np.zeros(len(image), dtype=np.int64),
                bin_edges_s=np.linspace(0, 0.2, bins + 1) if bins else None,
            ),
            images=Images(
                name=np.array([f"picture{n}" for n in range(num_pictures)]),
                path=np.array([f"picture{n}.png" for n in range(num_pictures)]),
                sha256=np.array(hashes),
                category=np.array([f"category{n % num_categories}" for n in range(num_pictures)]),
            ),
        )
        write_responses(recording, folder / "recordings" / f"{name}.h5")
    bank = EmbeddingBank(
        embeddings=embeddings,
        hashes=hashes,
        names=[f"picture{n}" for n in range(num_pictures)],
        fingerprint=Fingerprint("made up"),
    )
    return bank.save(folder / "bank")
