import json
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint

MAKER = Fingerprint(
    encoder="clip",
    weights="ab" * 32,
    settings={"readout": "projected", "mean": [0.5, 0.5, 0.5], "crop_px": 224},
    versions={"torch": "2.13.0"},
)


def bank(names, *, seed=0, dimensions=4, maker=MAKER):
    rng = np.random.default_rng(seed)
    return EmbeddingBank(
        embeddings=rng.normal(size=(len(names), dimensions)).astype(np.float32),
        hashes=[name * 64 for name in names],
        names=[f"pictures/{name}.png" for name in names],
        fingerprint=maker,
    )


def altered(**changes):
    return Fingerprint(
        **{
            "encoder": MAKER.encoder,
            "weights": MAKER.weights,
            "settings": MAKER.settings,
            "versions": MAKER.versions,
            **changes,
        }
    )


def test_what_is_saved_comes_back_and_makes_the_same_bytes(tmp_path):
    made = bank("abc")
    path = made.save(tmp_path / "deep" / "bank")
    assert path == tmp_path / "deep" / "bank.npz"
    read = EmbeddingBank.load(tmp_path / "deep" / "bank")
    np.testing.assert_array_equal(read.embeddings, made.embeddings)
    assert (read.hashes, read.names) == (made.hashes, made.names)
    assert read.fingerprint == MAKER
    assert read.where == str(path)
    again = read.save(tmp_path / "again.npz")
    assert again.read_bytes() == path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["bank.npz"]
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["fingerprint"]))["weights"] == MAKER.weights


def test_selection_follows_the_order_asked_for_and_repeats():
    made = bank("abc")
    rows = made.select(["c" * 64, "a" * 64, "c" * 64])
    np.testing.assert_array_equal(rows, made.embeddings[[2, 0, 2]])
    assert made.select([]).shape == (0, 4)
    assert "a" * 64 in made
    with pytest.raises(DataError, match=r"no embedding of 2 of the 3 pictures .*dddddd"):
        made.select(["e" * 64, "a" * 64, "d" * 64, "d" * 64])


def test_banks_join_without_repeating_a_picture():
    first, second = bank("abc"), bank("xyd", seed=1)
    overlapping = EmbeddingBank(
        embeddings=np.concatenate([first.embeddings[[1]], second.embeddings]),
        hashes=[first.hashes[1], *second.hashes],
        names=["elsewhere/b.png", *second.names],
        fingerprint=MAKER,
    )
    joined = first.join(overlapping)
    assert [one[0] for one in joined.hashes] == list("abcxyd")
    np.testing.assert_array_equal(joined.select(second.hashes), second.embeddings)
    np.testing.assert_array_equal(joined.select(first.hashes), first.embeddings)
    with pytest.raises(DataError, match="different embeddings of the same picture"):
        first.join(bank("b", seed=3))


def test_pictures_that_the_encoder_was_trained_on_are_marked_and_no_test(tmp_path):
    first, second = bank("abc"), bank("cxy", seed=0)
    seen = EmbeddingBank(
        first.embeddings, first.hashes, first.names, MAKER, np.array([1, 0, 1]) > 0
    )
    read = EmbeddingBank.load(seen.save(tmp_path / "bank"))
    assert read.seen.tolist() == [True, False, True]
    read.check_unseen(["b" * 64])
    with pytest.raises(DataError, match="trained on 2 of the 3 test pictures, the first with"):
        read.check_unseen(first.hashes)
    assert not second.seen.any()
    other = EmbeddingBank(second.embeddings[1:], second.hashes[1:], second.names[1:], MAKER)
    assert read.join(other).seen.tolist() == [True, False, True, False, False]
    with pytest.raises(DataError, match="2 marks of seen for 3 embeddings"):
        replace(first, seen=np.ones(2, dtype=bool))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (altered(encoder="layout"), "encoder clip against layout"),
        (altered(weights="cd" * 32), "weights abababababab against cdcdcdcdcdcd"),
        (altered(weights=""), "weights abababababab against none"),
        (
            altered(settings={**MAKER.settings, "readout": "cls"}),
            "setting readout: projected against cls",
        ),
        (
            altered(settings={**MAKER.settings, "mean": [0.5, 0.5, 0.4]}),
            r"setting mean: \[0.5, 0.5, 0.5\] against \[0.5, 0.5, 0.4\]",
        ),
        (altered(versions={"torch": "2.6.0"}), "version of torch: 2.13.0 against 2.6.0"),
        (
            altered(versions={**MAKER.versions, "pillow": "12.0"}),
            "version of pillow: none against 12.0",
        ),
    ],
)
def test_banks_made_in_different_ways_are_refused_in_one_line(other, what):
    mine, theirs = bank("ab"), bank("cd", maker=other)
    for refuse in (mine.join, mine.check_comparable):
        with pytest.raises(DataError, match=f"cannot be compared: {what}; embed both") as caught:
            refuse(theirs)
        assert "\n" not in str(caught.value)
    mine.check_comparable(bank("cd"))


def test_a_changed_or_damaged_file_is_refused(tmp_path):
    path = bank("abc").save(tmp_path / "bank")
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}

    def refusal(reason):
        with pytest.raises(DataError, match=reason) as caught:
            EmbeddingBank.load(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)

    for name, change in (
        ("embeddings", lambda found: found + np.float32(1e-6)),
        ("hashes", lambda found: found[[1, 0, 2]]),
        ("names", lambda found: found[[1, 0, 2]]),
        ("fingerprint", lambda found: np.array(str(found).replace("2.13.0", "2.13.1"))),
    ):
        np.savez(path, **{**arrays, name: change(arrays[name])})
        refusal("its content is not what was written")
    np.savez(path, **{**arrays, "fingerprint": np.array("{")})
    refusal("not a fingerprint")
    np.savez(path, spike_times=np.arange(3.0))
    refusal("no array 'embeddings'")
    np.savez(path, **{**arrays, "names": np.array([{}, {}, {}])}, allow_pickle=True)
    refusal("not a readable bank")
    for content in (whole[:200], b"nonsense" * 40, b""):
        path.write_bytes(content)
        refusal("not a bank, or only a part of one")
    middle = whole.index(b"embeddings.npy") + 200
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    refusal("not a readable bank")
    path.unlink()
    refusal("no bank there")


def test_parts_that_do_not_fit_are_refused():
    good = np.zeros((2, 3), np.float32)
    bad = good.copy()
    bad[1, 2] = np.nan
    for embeddings, hashes, names, reason in (
        (good.astype(np.float64), "ab", "ab", "float64 of shape"),
        (good[0], "ab", "ab", r"shape \(3,\)"),
        (good, "abc", "abc", r"expected float32 of shape \(3, dimensions\)"),
        (good, "ab", "a", "1 names for 2 embeddings"),
        (good, "aa", "ab", "a picture has two rows"),
        (bad, "ab", "ab", "the embedding of b is not finite"),
    ):
        with pytest.raises(DataError, match=reason):
            EmbeddingBank(embeddings, list(hashes), list(names), MAKER)
