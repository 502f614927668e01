"""Pictures on disk: what is drawn stays, an interruption costs little, other requests draw anew."""

import hashlib

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.drawn import draw_to_folder

HASHES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(20)]
EMBEDDINGS = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


class Painter:
    """Draws a colour of the embedding and the seed, and counts; falls over when told to."""

    name = "painter"
    needs = Fingerprint("made up")
    size_px = 8
    needs_starts = False
    known = frozenset()

    def __init__(self, *, weights="a", most=10_000):
        self.fingerprint = Fingerprint("painter", weights)
        self.most, self.count = most, 0

    def generate(self, embeddings, seeds, *, starts_ISS3=None, progress=None):
        if self.count + len(seeds) > self.most:
            raise KeyboardInterrupt
        self.count += len(seeds)
        level = (np.abs(embeddings).sum(axis=1) * 40 + np.array(seeds) % 50).astype(np.uint8)
        drawn = np.repeat(level, 8 * 8 * 3).reshape(-1, 8, 8, 3)
        return drawn if starts_ISS3 is None else drawn // 2 + starts_ISS3 // 2


def flat(drawn):
    return np.array(drawn)[:, :, 0, 0, 0]


def test_an_interrupted_batch_is_gone_on_with(tmp_path):
    whole = draw_to_folder(Painter(), EMBEDDINGS, HASHES, tmp_path / "whole", num_seeds=2)
    cut = Painter(most=30)
    with pytest.raises(KeyboardInterrupt):
        draw_to_folder(cut, EMBEDDINGS, HASHES, tmp_path / "cut", num_seeds=2)
    kept = list((tmp_path / "cut").glob("*/*.png"))
    assert 24 <= len(kept) < 40
    later, told = Painter(), []
    found = draw_to_folder(
        later,
        EMBEDDINGS,
        HASHES,
        tmp_path / "cut",
        num_seeds=2,
        progress=lambda *words: told.append(words),
    )
    assert later.count == 40 - len(kept)
    assert told[-1] == ("draw", 40, 40)
    assert np.array_equal(flat(found), flat(whole))
    assert not np.array_equal(flat(whole)[0], flat(whole)[1])
    idle = Painter(most=0)
    assert np.array_equal(
        flat(draw_to_folder(idle, EMBEDDINGS, HASHES, tmp_path / "cut", num_seeds=2)), flat(whole)
    )


def test_another_request_is_drawn_anew(tmp_path):
    starts = np.zeros((20, 8, 8, 3), np.uint8)
    draw_to_folder(Painter(), EMBEDDINGS, HASHES, tmp_path)
    for painter, embeddings, hashes, more in (
        (Painter(weights="b"), EMBEDDINGS, HASHES, {}),
        (Painter(), EMBEDDINGS + 1, HASHES, {}),
        (Painter(), EMBEDDINGS, HASHES[::-1], {}),
        (Painter(), EMBEDDINGS, HASHES, {"starts_ISS3": starts}),
        (Painter(), EMBEDDINGS, HASHES, {"starts_ISS3": starts + 1}),
    ):
        draw_to_folder(painter, embeddings, hashes, tmp_path, **more)
        assert painter.count == 20


def test_a_damaged_picture_is_one_line(tmp_path):
    draw_to_folder(Painter(), EMBEDDINGS, HASHES, tmp_path)
    path = tmp_path / "0" / f"{HASHES[3]}.png"
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match="delete it, and it is drawn anew") as caught:
        draw_to_folder(Painter(), EMBEDDINGS, HASHES, tmp_path)
    assert "\n" not in str(caught.value)
    path.unlink()
    draw_to_folder(Painter(), EMBEDDINGS, HASHES, tmp_path)
