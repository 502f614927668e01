"""Retrieval, the control: the nearest training pictures, found by brute force as well."""

import numpy as np
import pytest
from PIL import Image

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.generator import seeds_of, select_embeddings
from neurohorizon.imaging.generators.retrieval import RetrievalGenerator
from neurohorizon.imaging.pictures import open_pictures

MADE = Fingerprint("small", "ab" * 32, {"readout": "projected"}, {"torch": "2"})


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return place


@pytest.fixture
def bank(folder):
    pictures = open_pictures(folder)
    return EmbeddingBank(
        embeddings=np.random.default_rng(1).normal(3, 1, (8, 5)).astype(np.float32),
        hashes=pictures.hashes(),
        names=pictures.names,
        fingerprint=MADE,
    )


def pixels_of(folder, number):
    return np.asarray(Image.open(folder / f"{number}.png"))


def cosines(bank, rows, asked):
    """Return how near each training picture is, one pair at a time."""
    mean = np.mean([bank.embeddings[row] for row in rows], axis=0)
    return [
        np.dot(asked - mean, bank.embeddings[row] - mean)
        / np.linalg.norm(asked - mean)
        / np.linalg.norm(bank.embeddings[row] - mean)
        for row in rows
    ]


def test_the_nearest_training_picture_is_shown(bank, folder):
    rows = range(6)
    made = RetrievalGenerator(bank, [bank.hashes[row] for row in rows], places=[folder], size_px=16)
    asked = np.random.default_rng(2).normal(3, 1, (4, 5)).astype(np.float32)
    shown = made.generate(asked, [0] * 4)
    for picture, one in zip(shown, asked, strict=True):
        np.testing.assert_array_equal(
            picture, pixels_of(folder, np.argmax(cosines(bank, rows, one)))
        )
    itself = made.generate(bank.embeddings[2:4], [0, 1])
    np.testing.assert_array_equal(itself, [pixels_of(folder, 2), pixels_of(folder, 3)])
    # What is not a training picture is never shown.
    assert made.known == set(bank.hashes[:6])
    other = made.generate(bank.embeddings[6:], [0, 0])
    assert not (other == pixels_of(folder, 6)).all(axis=(1, 2, 3)).any()


def test_the_mean_of_several_is_weighed_by_a_softmax(bank, folder):
    made = RetrievalGenerator(
        bank, bank.hashes, places=[folder], size_px=16, num_nearest=3, temperature=0.2
    )
    asked = np.random.default_rng(2).normal(3, 1, (1, 5)).astype(np.float32)
    near = np.array(cosines(bank, range(8), asked[0]))
    best = np.argsort(-near)[:3]
    weight = np.exp(near[best] / 0.2) / np.exp(near[best] / 0.2).sum()
    mean = sum(share * pixels_of(folder, row) for share, row in zip(weight, best, strict=True))
    np.testing.assert_allclose(made.generate(asked, [0])[0], mean, atol=0.51)
    sharp = RetrievalGenerator(
        bank, bank.hashes, places=[folder], size_px=16, num_nearest=3, temperature=1e-6
    )
    np.testing.assert_array_equal(sharp.generate(asked, [0])[0], pixels_of(folder, best[0]))
    assert sharp.fingerprint.difference(made.fingerprint)
    assert made.generate(asked[:0], []).shape == (0, 16, 16, 3)


def test_a_bank_of_another_encoder_is_refused_and_a_predicted_one_is_not(bank, folder):
    made = RetrievalGenerator(bank, bank.hashes, places=[folder], size_px=16)

    def like(fingerprint):
        return EmbeddingBank(bank.embeddings, bank.hashes, bank.names, fingerprint)

    hashes = [bank.hashes[3], bank.hashes[1]]
    predicted = Fingerprint("responses", "12", {"row": "ridge", "space": MADE.to_json()})
    for fine in (MADE, predicted):
        chosen = select_embeddings(made, like(fine), hashes)
        np.testing.assert_array_equal(chosen, bank.embeddings[[3, 1]])
    other = Fingerprint("small", "cd" * 32, MADE.settings, MADE.versions)
    of_other = Fingerprint("responses", "12", {"space": other.to_json()})
    for bad in (other, of_other):
        with pytest.raises(DataError, match=r"made with other embeddings: weights abab.* cdcd"):
            select_embeddings(made, like(bad), hashes)
    damaged = Fingerprint("responses", "12", {"space": "x"})
    with pytest.raises(DataError, match="not a fingerprint"):
        select_embeddings(made, like(damaged), hashes)


def test_what_cannot_be_shown_is_refused(bank, folder):
    hashes = bank.hashes
    made = RetrievalGenerator(bank, hashes, places=[folder], size_px=16)
    asked = bank.embeddings
    with pytest.raises(DataError, match=r"shape \(8, 4\): the generator was made with 5"):
        made.generate(asked[:, :4], [0] * 8)
    with pytest.raises(DataError, match="embedding 0 is not finite"):
        made.generate(np.full((1, 5), np.nan, np.float32), [0])
    with pytest.raises(ConfigError, match="7 seeds for 8 pictures"):
        made.generate(asked, [0] * 7)
    with pytest.raises(ConfigError, match="starts at no picture"):
        made.generate(asked[:1], [0], starts_ISS3=np.zeros((1, 16, 16, 3), np.uint8))
    for settings in ({"num_nearest": 0}, {"num_nearest": 9}, {"temperature": 0.0}, {"size_px": 0}):
        with pytest.raises(ConfigError, match="expected"):
            RetrievalGenerator(bank, hashes, places=[folder], **settings)
    (folder / "3.png").unlink()
    with pytest.raises(DataError, match=r"1 training pictures are not there, the first 3\.png"):
        made.generate(asked[3:4], [0])


def test_a_seed_belongs_to_a_picture():
    hashes = ["ab", "cd", "ef"]
    assert seeds_of(hashes[::-1], 0) == seeds_of(hashes, 0)[::-1]
    assert len({*seeds_of(hashes, 0), *seeds_of(hashes, 1)}) == 6
