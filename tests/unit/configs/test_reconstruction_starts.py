"""Where a diffusion starts, and what pictures a run holds small and reads in full."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neurohorizon.configs.reconstruction_pictures import MOST_SMALL_PX, RunPictures
from neurohorizon.configs.reconstruction_starts import Starts
from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.pictures import open_pictures

NUM, WIDTH = 6, 80


@pytest.fixture
def world(tmp_path):
    """Pictures of one grey each, and their bank: test pictures 0 and 1 are like 2 and 3."""
    for number in range(NUM):
        grey = np.full((WIDTH, WIDTH, 3), 40 * number, np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{number}.png")
    angle = np.array([0.1, 2.1, 0.0, 2.0, 4.0, 5.0])
    embeddings = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    hashes = open_pictures(tmp_path).hashes()
    names = [f"{number}.png" for number in range(NUM)]
    return tmp_path, EmbeddingBank(embeddings, hashes, names, Fingerprint("angle"))


class Painter:
    """Stands for a generator, of which only the size is asked here."""

    name, needs, known, needs_starts = "painter", Fingerprint("angle"), frozenset(), True
    fingerprint, size_px = Fingerprint("painter"), WIDTH


def start(world, kind):
    folder, bank = world
    return Starts(kind, Painter(), bank, bank.hashes[2:], [folder])


def test_a_retrieved_start_follows_the_embedding_that_is_told(world):
    starts, (_, bank) = start(world, "retrieved"), world
    told = [bank.hashes[row] for row in (1, 0, 1)]
    found = starts.of_true(told)
    assert found.shape == (3, WIDTH, WIDTH, 3)
    # Never the picture itself, which is no training picture, but the nearest of these.
    assert found[:, 0, 0, 0].tolist() == [120, 80, 120]
    assert starts.judged is starts.generator
    low, retrieved = (np.full((2, 8, 8, 3), level, np.uint8) for level in (1, 2))
    assert (starts.of_responses(list(low), list(retrieved)) == 2).all()


def test_true_embeddings_start_at_nothing_that_responses_drew(world):
    starts, (_, bank) = start(world, "low-level"), world
    assert starts.of_true(bank.hashes[:2]) is None
    low, retrieved = (np.full((2, 8, 8, 3), level, np.uint8) for level in (1, 2))
    begun = starts.of_responses(list(low), list(retrieved))
    assert (begun == 1).all()
    # As large as what is drawn.
    assert begun.shape == (2, WIDTH, WIDTH, 3)
    assert starts.about() == (", started at the low-level path's picture", ", from noise")


def test_without_a_kind_nothing_starts_at_a_picture(world):
    starts, (_, bank) = start(world, None), world
    assert starts.of_true(bank.hashes[:2]) is None
    assert starts.of_responses([], []) is None
    assert starts.about() == ("", "")
    assert starts.judged is starts.generator


def test_pictures_are_held_small_and_read_in_full(world):
    folder, bank = world
    large = RunPictures.find([folder], bank, bank.hashes, size_px=WIDTH)
    assert {each.shape for each in large.small.values()} == {(MOST_SMALL_PX, MOST_SMALL_PX, 3)}
    full = large.in_full([bank.hashes[3], bank.hashes[1], bank.hashes[3]])
    assert [each.shape for each in full] == [(WIDTH, WIDTH, 3)] * 3
    assert [int(each[0, 0, 0]) for each in full] == [120, 40, 120]
    little = RunPictures.find([folder], bank, bank.hashes, size_px=16)
    assert little.in_full(bank.hashes[:1])[0] is little.small[bank.hashes[0]]
    Path(folder / "4.png").unlink()
    with pytest.raises(DataError, match="1 of 6 pictures are not there"):
        RunPictures.find([folder], bank, bank.hashes, size_px=16)
