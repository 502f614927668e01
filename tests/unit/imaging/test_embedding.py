from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.embedding import BATCHES_A_PART, embed_pictures
from neurohorizon.imaging.layout import LayoutEncoder
from neurohorizon.imaging.pictures import FramePictures, open_pictures


class Killed(BaseException):
    """Stands for a signal: nothing in the package may catch it."""


class CountingEncoder(LayoutEncoder):
    """The layout encoder; notes its batches, and is killed when its work is used up."""

    def __init__(self, *, batch_size=2, work=10_000):
        super().__init__(batch_size=batch_size)
        self.work = work
        self.batches = []

    def encode(self, pictures):
        if len(self.batches) == self.work:
            raise Killed
        self.batches.append(len(pictures))
        return super().encode(pictures)


def write_pictures(folder, count, *, first=0):
    folder.mkdir(exist_ok=True)
    for seed in range(first, first + count):
        pixels = np.random.default_rng(seed).integers(0, 256, (12, 15, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed:03d}.png")
    return open_pictures(folder)


def test_rows_are_what_the_encoder_says_by_hash(tmp_path):
    pictures = write_pictures(tmp_path / "p", 5)
    bank = embed_pictures(pictures, LayoutEncoder(batch_size=2), tmp_path / "bank")
    assert bank.names == [f"{seed:03d}.png" for seed in range(5)]
    everything = next(pictures.batches(5))
    expected = LayoutEncoder().encode([one.pixels for one in everything])
    np.testing.assert_array_equal(bank.embeddings, expected)
    read = EmbeddingBank.load(tmp_path / "bank.npz")
    np.testing.assert_array_equal(read.select(pictures.hashes()), expected)
    assert read.fingerprint == LayoutEncoder().fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank.npz", "p"]


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path):
    pictures = write_pictures(tmp_path / "p", 41)
    Image.open(tmp_path / "p" / "003.png").save(tmp_path / "p" / "020_again.png")
    pictures = open_pictures(tmp_path / "p")
    undisturbed = CountingEncoder()
    embed_pictures(pictures, undisturbed, tmp_path / "whole")
    assert undisturbed.batches == [2] * 20 + [1]
    # Killed after 1.5 parts, then again at once, then left alone.
    first = CountingEncoder(work=int(1.5 * BATCHES_A_PART))
    for encoder in (first, CountingEncoder(work=0)):
        with pytest.raises(Killed):
            embed_pictures(pictures, encoder, tmp_path / "killed")
        assert not (tmp_path / "killed.npz").exists()
        assert len(list((tmp_path / "killed.npz.parts").iterdir())) == 1
    last = CountingEncoder()
    embed_pictures(pictures, last, tmp_path / "killed")
    assert last.batches == undisturbed.batches[BATCHES_A_PART:]
    whole, killed = tmp_path / "whole.npz", tmp_path / "killed.npz"
    assert killed.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "killed.npz.parts").exists()


def test_half_of_a_part_is_thrown_away(tmp_path):
    pictures = write_pictures(tmp_path / "p", 3)
    parts = tmp_path / "bank.npz.parts"
    parts.mkdir()
    (parts / ".0123.abcd.part.npz").write_bytes(b"PK half")
    bank = embed_pictures(pictures, LayoutEncoder(), tmp_path / "bank")
    assert len(bank) == 3
    assert not parts.exists()


def test_a_bank_grows_and_nothing_is_embedded_twice(tmp_path):
    pictures = write_pictures(tmp_path / "p", 4)
    embed_pictures(pictures, LayoutEncoder(), tmp_path / "bank")
    before = (tmp_path / "bank.npz").stat()
    idle = CountingEncoder()
    embed_pictures(pictures, idle, tmp_path / "bank")
    assert idle.batches == []
    assert (tmp_path / "bank.npz").stat().st_mtime_ns == before.st_mtime_ns
    more = write_pictures(tmp_path / "q", 6, first=2)
    encoder = CountingEncoder()
    bank = embed_pictures(more, encoder, tmp_path / "bank")
    assert sum(encoder.batches) == 4
    assert bank.names == [f"{seed:03d}.png" for seed in range(8)]
    everything = [one.pixels for one in next(more.batches(6))]
    np.testing.assert_array_equal(bank.select(more.hashes()), LayoutEncoder().encode(everything))


def test_a_repeated_frame_is_one_row_and_selected_as_often_as_shown(tmp_path):
    shown = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)[[0, 1, 0, 2, 2]]
    frames = FramePictures(shown)
    bank = embed_pictures(frames, LayoutEncoder(batch_size=2), tmp_path / "bank")
    assert bank.names == ["frame_000000", "frame_000001", "frame_000003"]
    rows = bank.select(frames.hashes())
    np.testing.assert_array_equal(rows, bank.embeddings[[0, 1, 0, 2, 2]])


def test_progress_rises_to_the_number_of_pictures(tmp_path):
    calls = []
    pictures = write_pictures(tmp_path / "p", 7)
    embed_pictures(
        pictures, LayoutEncoder(batch_size=3), tmp_path / "bank", lambda *call: calls.append(call)
    )
    assert calls == [("embed", 3, 7), ("embed", 6, 7), ("embed", 6, 7), ("embed", 7, 7)]


def test_another_encoders_bank_or_parts_are_not_touched(tmp_path, monkeypatch):
    pictures = write_pictures(tmp_path / "p", 40)
    with pytest.raises(Killed):
        embed_pictures(pictures, CountingEncoder(work=BATCHES_A_PART), tmp_path / "half")
    embed_pictures(pictures, LayoutEncoder(), tmp_path / "bank")
    monkeypatch.setattr("neurohorizon.imaging.layout._VERSION", 2)
    before = (tmp_path / "bank.npz").read_bytes()
    reason = "made in another way: setting recipe: 1 against 2"
    with pytest.raises(DataError, match=rf"bank\.npz is there already, and was {reason}"):
        embed_pictures(pictures, LayoutEncoder(), tmp_path / "bank")
    with pytest.raises(DataError, match=rf"half\.npz\.parts holds an unfinished.*{reason}"):
        embed_pictures(pictures, LayoutEncoder(), tmp_path / "half")
    assert (tmp_path / "bank.npz").read_bytes() == before
    assert len(list(Path(tmp_path / "half.npz.parts").iterdir())) == 1


def test_a_picture_that_does_not_decode_stops_with_its_path_and_keeps_what_is_done(tmp_path):
    pictures = write_pictures(tmp_path / "p", 20)
    (tmp_path / "p" / "017.png").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"017\.png: cannot be decoded"):
        embed_pictures(pictures, CountingEncoder(), tmp_path / "bank")
    (tmp_path / "p" / "017.png").unlink()
    encoder = CountingEncoder()
    bank = embed_pictures(open_pictures(tmp_path / "p"), encoder, tmp_path / "bank")
    assert len(bank) == 19
    assert sum(encoder.batches) == 3


def test_an_embedding_that_is_not_finite_is_named(tmp_path):
    class Broken(LayoutEncoder):
        def encode(self, pictures):
            rows = super().encode(pictures)
            rows[1, 5] = np.inf
            return rows

    with pytest.raises(DataError, match=r"001\.png: layout gives it an embedding that is not fin"):
        embed_pictures(write_pictures(tmp_path / "p", 3), Broken(), tmp_path / "bank")
    assert not (tmp_path / "bank.npz").exists()
