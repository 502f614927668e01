"""The encoder that is trained here, as data embed meets it."""

import numpy as np
import pytest
import torch
from PIL import Image

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.imaging.encoders import open_encoder
from neurohorizon.imaging.small import SmallEncoder, stack_pictures
from neurohorizon.models.pictures.files import load_encoder, save_encoder, save_judge
from neurohorizon.models.pictures.judge import JudgeNetwork
from neurohorizon.models.pictures.small import SmallNetwork

SEEN = ["ab" * 32, "01" * 32]
PICTURES = [
    np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    for seed, shape in enumerate([(40, 60, 3), (32, 32, 3), (200, 30, 3), (20, 20, 3), (9, 9, 3)])
]


def make_network(seed=0):
    torch.manual_seed(seed)
    network = SmallNetwork(size_px=32, widths=(4, 8, 12, 16), num_dimensions=10)
    for module in network.modules():  # as after training: not the identity
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.uniform_(-0.1, 0.1)
    return network.eval()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.safetensors"
    save_encoder(make_network(), path, trained_on=SEEN, about={"objective": "labels"})
    return path


def test_what_is_saved_is_loaded(file):
    saved = load_encoder(file)
    assert saved.trained_on == set(SEEN)
    assert saved.about["objective"] == "labels"
    shown = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(saved.network(shown), make_network()(shown))
        assert torch.equal(saved.network.pool(shown), make_network().pool(shown))


def test_pictures_are_encoded_one_by_one_as_at_once(file):
    for readout, num in (("projected", 10), ("pooled", 16)):
        at_once = open_encoder("small", checkpoint=file, readout=readout)
        assert at_once.num_dimensions == num
        one_by_one = open_encoder("small", checkpoint=file, readout=readout, batch_size=1)
        together = at_once.encode(PICTURES)
        assert together.shape == (5, num)
        assert together.std(axis=0).max() > 1e-3
        np.testing.assert_allclose(one_by_one.encode(PICTURES), together, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(at_once.encode(PICTURES[::-1])[::-1], together, atol=1e-5)
    assert at_once.encode([]).shape == (0, 16)


def test_a_fingerprint_is_that_of_the_weights(file, tmp_path):
    mine = SmallEncoder(file).fingerprint
    again, other = tmp_path / "again.safetensors", tmp_path / "other.safetensors"
    save_encoder(make_network(), again, trained_on=SEEN, about={"objective": "labels"})
    save_encoder(make_network(seed=1), other, trained_on=SEEN, about={"objective": "labels"})
    assert mine.difference(SmallEncoder(again).fingerprint) == ""
    assert mine.difference(SmallEncoder(other).fingerprint).startswith("weights ")
    pooled = SmallEncoder(file, readout="pooled").fingerprint
    assert mine.difference(pooled) == "setting readout: projected against pooled"


def test_it_tells_what_it_was_trained_on(file):
    assert SmallEncoder(file).saw(["01" * 32, "02" * 32]) == ["01" * 32]


def test_pictures_of_the_right_size_are_not_touched():
    right = PICTURES[1]
    np.testing.assert_array_equal(stack_pictures([right], size_px=32)[0], right)
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 20:] = 200  # stretched: the right half stays the right half
    stretched = stack_pictures([wide], size_px=32)[0]
    assert stretched[:, :14].max() == 0
    assert stretched[:, 18:].min() == 200
    assert Image.fromarray(stretched).size == (32, 32)


def test_what_is_no_encoder_is_refused(file, tmp_path):
    with pytest.raises(ConfigError, match="small needs a checkpoint: train one with `neurohor"):
        open_encoder("small")
    with pytest.raises(ConfigError, match="no embedding 'cls': choose projected, pooled"):
        open_encoder("small", checkpoint=file, readout="cls")
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used here"):
        open_encoder("small", checkpoint=file, device="abacus")
    with pytest.raises(CheckpointError, match="bridge train-encoder` writes it"):
        open_encoder("small", checkpoint=tmp_path / "none")
    judge = tmp_path / "judge.safetensors"
    save_judge(JudgeNetwork({"shape": ("disc", "star")}, size_px=16), judge)
    with pytest.raises(CheckpointError, match="a checkpoint of 'judge of pictures', expected 'im"):
        open_encoder("small", checkpoint=judge)
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        open_encoder("small", checkpoint=tmp_path / "cut.safetensors")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04N.")
    with pytest.raises(CheckpointError, match="a pickle, which is never opened"):
        open_encoder("small", checkpoint=tmp_path / "pickle.safetensors")


@pytest.mark.parametrize(
    "settings", [{"size_px": 40}, {"size_px": 0}, {"widths": (4, 8)}, {"num_dimensions": 0}]
)
def test_networks_that_cannot_be(settings):
    with pytest.raises(ConfigError, match="expected"):
        SmallNetwork(**settings)
