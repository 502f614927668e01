"""Encoders, on tiny random checkpoints that transformers itself writes.

What needs transformers is skipped where it is not installed (the extra `vision`).
"""

import hashlib
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from neurohorizon.errors import ConfigError, DataError, MissingExtraError
from neurohorizon.imaging.checkpoints import hash_weights
from neurohorizon.imaging.embedding import embed_pictures
from neurohorizon.imaging.encoders import ENCODERS, open_encoder, open_encoder_of
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.pictures import FramePictures
from neurohorizon.imaging.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    read_preprocessing,
)

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
PICTURES = [
    np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    for seed, shape in enumerate([(40, 60, 3), (61, 33, 3), (28, 28, 3), (200, 30, 3), (20, 20, 3)])
]


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers")


def write_clip(transformers, folder, *, whole=False, shard=False, **changes):
    """Write a CLIP's vision part or a whole CLIP in the layout of its hub repositories."""
    torch.manual_seed(0)
    vision = {**SMALL, "intermediate_size": 32, "projection_dim": 12, **changes}
    if whole:
        text = {**SMALL, "intermediate_size": 32, "vocab_size": 50, "projection_dim": 12}
        text = {name: text[name] for name in text if name not in ("image_size", "patch_size")}
        del vision["projection_dim"]
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
        model = transformers.CLIPModel(config)
    else:
        model = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**vision))
    model.save_pretrained(folder, **({"max_shard_size": "10KB"} if shard else {}))
    write_processor(folder, {"size": {"shortest_edge": 28}, "crop_size": 28})
    return model.eval()


def write_dinov2(transformers, folder):
    torch.manual_seed(1)
    model = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, mlp_ratio=2))
    model.save_pretrained(folder)
    processor = {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 28, "width": 28},
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
    }
    write_processor(folder, processor)
    return model.eval()


def write_processor(folder, found, *, name="preprocessor_config.json"):
    (folder / name).write_text(json.dumps(found))


def test_clip_gives_what_transformers_gives(transformers, tmp_path):
    model = write_clip(transformers, tmp_path)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(tmp_path)
    pixels = processor([Image.fromarray(one) for one in PICTURES], return_tensors="pt")
    with torch.inference_mode():
        projected = model(**pixels).image_embeds.numpy()
        cls = model.vision_model(**pixels).pooler_output.numpy()
    encoder = open_encoder("clip", checkpoint=tmp_path, batch_size=2)
    assert encoder.num_dimensions == 12
    np.testing.assert_allclose(encoder.encode(PICTURES), projected, atol=1e-5)
    encoder = open_encoder("clip", checkpoint=tmp_path, readout="cls")
    assert encoder.num_dimensions == 16
    np.testing.assert_allclose(encoder.encode(PICTURES), cls, atol=1e-5)
    assert encoder.encode([]).shape == (0, 16)
    assert np.ptp(projected, axis=0).min() > 1e-3  # pictures do differ


def test_dinov2_gives_what_transformers_gives(transformers, tmp_path):
    model = write_dinov2(transformers, tmp_path)
    processor = transformers.BitImageProcessorPil.from_pretrained(tmp_path)
    pixels = processor([Image.fromarray(one) for one in PICTURES], return_tensors="pt")
    with torch.inference_mode():
        expected = model(**pixels).last_hidden_state[:, 0].numpy()
    encoder = open_encoder("dinov2", checkpoint=tmp_path)
    np.testing.assert_allclose(encoder.encode(PICTURES), expected, atol=1e-5)
    assert encoder.num_dimensions == 16
    with pytest.raises(ConfigError, match="dinov2 has no embedding 'projected': choose cls"):
        open_encoder("dinov2", checkpoint=tmp_path, readout="projected")


def test_the_vision_part_of_a_whole_clip_is_found(transformers, tmp_path):
    model = write_clip(transformers, tmp_path, whole=True)
    described = json.loads((tmp_path / "config.json").read_text())
    # As some repositories do: the width of the projection is told outside the vision part.
    described["vision_config"].pop("projection_dim", None)
    described["projection_dim"] = 12
    (tmp_path / "config.json").write_text(json.dumps(described))
    encoder = open_encoder("clip", checkpoint=tmp_path)
    pixels = torch.from_numpy(encoder.preprocessing(PICTURES))
    with torch.inference_mode():
        features = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    np.testing.assert_allclose(encoder.encode(PICTURES), features.numpy(), atol=1e-5)


def test_the_encoder_is_frozen_and_batches_do_not_matter(transformers, tmp_path):
    write_clip(transformers, tmp_path, attention_dropout=0.5)
    encoder = open_encoder("clip", checkpoint=tmp_path, batch_size=5)
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())
    together = encoder.encode(PICTURES)
    np.testing.assert_array_equal(together, encoder.encode(PICTURES))
    other = open_encoder("clip", checkpoint=tmp_path, batch_size=2)
    np.testing.assert_allclose(other.encode(PICTURES[::-1])[::-1], together, atol=1e-5)
    assert other.fingerprint == encoder.fingerprint


def test_the_fingerprint_knows_weights_readout_and_preprocessing(transformers, tmp_path):
    write_clip(transformers, tmp_path / "a")
    write_clip(transformers, tmp_path / "b")  # the same seed: the same weights elsewhere
    made = open_encoder("clip", checkpoint=tmp_path / "a").fingerprint
    weights = (tmp_path / "a" / "model.safetensors").read_bytes()
    assert made.weights == hashlib.sha256(weights).hexdigest()
    assert made.difference(open_encoder("clip", checkpoint=tmp_path / "b").fingerprint) == ""
    assert made.versions["transformers"] == transformers.__version__
    cls = open_encoder("clip", checkpoint=tmp_path / "b", readout="cls").fingerprint
    assert made.difference(cls) == "setting readout: projected against cls"
    write_processor(tmp_path / "b", {"size": 30, "crop_size": 28})
    other = open_encoder("clip", checkpoint=tmp_path / "b").fingerprint
    assert made.difference(other) == "setting resize_px: 28 against 30"
    write_clip(transformers, tmp_path / "b", hidden_act="gelu")
    other = open_encoder("clip", checkpoint=tmp_path / "b").fingerprint
    assert made.difference(other) == "setting hidden_act: quick_gelu against gelu"
    changed = bytearray(weights)
    changed[-1] ^= 1
    (tmp_path / "b" / "model.safetensors").write_bytes(changed)
    other = open_encoder("clip", checkpoint=tmp_path / "b").fingerprint
    assert made.difference(other).startswith(f"weights {made.weights[:12]} against ")


def test_weights_in_several_files_are_one(transformers, tmp_path):
    write_clip(transformers, tmp_path / "one")
    write_clip(transformers, tmp_path / "many", shard=True)
    files = sorted((tmp_path / "many").glob("model-*.safetensors"))
    assert len(files) > 1
    one = open_encoder("clip", checkpoint=tmp_path / "one")
    many = open_encoder("clip", checkpoint=tmp_path / "many")
    np.testing.assert_array_equal(one.encode(PICTURES), many.encode(PICTURES))
    assert many.fingerprint.weights == hash_weights(files) != one.fingerprint.weights
    files[1].unlink()
    with pytest.raises(DataError, match=f"{files[1].name} is missing"):
        open_encoder("clip", checkpoint=tmp_path / "many")


def test_a_second_bank_of_a_network_has_the_same_bytes(transformers, tmp_path):
    write_clip(transformers, tmp_path / "clip")
    frames = FramePictures(np.random.default_rng(0).integers(0, 256, (9, 30, 40), dtype=np.uint8))
    for name in ("a", "b"):
        encoder = open_encoder("clip", checkpoint=tmp_path / "clip", batch_size=4)
        bank = embed_pictures(frames, encoder, tmp_path / name)
    assert bank.embeddings.shape == (9, 12)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def break_checkpoint(folder, how):
    if how == "config":
        (folder / "config.json").write_text("{")
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "truncated":
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    elif how == "pickled":
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    elif how == "no weights":
        (folder / "model.safetensors").unlink()
    elif how == "index":
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text("[]")
    elif how == "deeper":
        described = json.loads((folder / "config.json").read_text())
        described["num_hidden_layers"] = 3
        (folder / "config.json").write_text(json.dumps(described))
    elif how == "wider":
        described = json.loads((folder / "config.json").read_text())
        described["projection_dim"] = 13
        (folder / "config.json").write_text(json.dumps(described))
    else:
        write_processor(folder, {"do_center_crop": False})


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("config", "not the config of a checkpoint"),
        ("no config", "not the config of a checkpoint"),
        ("truncated", "the checkpoint cannot be loaded"),
        ("pickled", r"only pickled weights \(pytorch_model.bin\), which are never opened"),
        ("no weights", "expected weights in model.safetensors, found none"),
        ("index", "not an index of weights"),
        ("deeper", "16 of the network's weights are missing"),
        ("wider", "1 of the network's weights are missing or of another size"),
        ("uncropped", "do_center_crop is false"),
    ],
)
def test_a_broken_checkpoint_is_one_line_with_its_path(transformers, tmp_path, how, reason):
    write_clip(transformers, tmp_path)
    break_checkpoint(tmp_path, how)
    with pytest.raises(DataError, match=reason) as caught:
        open_encoder("clip", checkpoint=tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_another_network_is_not_taken_for_the_one_named(transformers, tmp_path):
    write_clip(transformers, tmp_path / "clip")
    write_dinov2(transformers, tmp_path / "dinov2")
    with pytest.raises(DataError, match="not clip-vit-h14: its hidden_size is 16, expected 1280"):
        open_encoder("clip-vit-h14", checkpoint=tmp_path / "clip")
    with pytest.raises(DataError, match="a network of type 'dinov2', expected clip or clip_vis"):
        open_encoder("clip", checkpoint=tmp_path / "dinov2")


def test_places_and_devices_that_are_not_there(transformers, tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("no_such_folder", tmp_path / "none", tmp_path / "file", "../a/b"):
        with pytest.raises(DataError, match="expected a folder with a checkpoint, or a hub id"):
            open_encoder("clip", checkpoint=place)
    # The tests have no network: the hub's library says so, and that is one line.
    with pytest.raises(DataError, match=r"^nobody/nothing: no such folder, and the hub") as caught:
        open_encoder("clip", checkpoint="nobody/nothing")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="clip needs a checkpoint"):
        open_encoder("clip")
    write_clip(transformers, tmp_path / "clip")
    for device in ("abacus", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device '{device}' cannot be used here"):
            open_encoder("clip", checkpoint=tmp_path / "clip", device=device)


def test_loading_prints_nothing_and_leaves_logging_as_it_was(transformers, tmp_path, capfd):
    write_clip(transformers, tmp_path, whole=True)  # the text part is not used
    before = transformers.logging.get_verbosity()
    capfd.readouterr()
    open_encoder("clip", checkpoint=tmp_path)
    assert capfd.readouterr() == ("", "")
    assert transformers.logging.get_verbosity() == before


def test_without_transformers_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"embed pictures with clip .*neurohorizon\[vision"):
        open_encoder("clip", checkpoint=tmp_path)
    assert open_encoder("layout").encode(PICTURES).shape == (5, 1056)


def test_names_and_settings_without_effect_are_refused():
    assert ENCODERS == ("layout", "small", "clip-vit-l14", "clip-vit-h14", "dinov2", "clip")
    with pytest.raises(ConfigError, match="unknown image encoder 'clop': choose layout, small, "):
        open_encoder("clop")
    for setting in ({"checkpoint": "x"}, {"readout": "cls"}, {"device": "cpu"}):
        with pytest.raises(ConfigError, match="the encoder layout has none"):
            open_encoder("layout", **setting)
    with pytest.raises(ConfigError, match="a batch of 0 pictures"):
        open_encoder("layout", batch_size=0)


def test_what_made_embeddings_is_opened_again(transformers, tmp_path):
    write_clip(transformers, tmp_path / "one")
    write_clip(transformers, tmp_path / "other", num_hidden_layers=1)
    encoder = open_encoder("clip", checkpoint=tmp_path / "one", readout="cls")
    again = open_encoder_of(encoder.fingerprint, checkpoint=tmp_path / "one")
    np.testing.assert_array_equal(again.encode(PICTURES[:2]), encoder.encode(PICTURES[:2]))
    with pytest.raises(ConfigError, match="not the encoder that made the embeddings: weights"):
        open_encoder_of(encoder.fingerprint, checkpoint=tmp_path / "other")
    layout = open_encoder("layout").fingerprint
    assert open_encoder_of(layout, device="cpu").fingerprint == layout
    with pytest.raises(ConfigError, match="made by responses: no encoder"):
        open_encoder_of(Fingerprint("responses"))


def test_preprocessing_is_that_of_transformers(transformers):
    for size, crop in ((224, 224), (256, 224), (37, 30)):
        mine = Preprocessing(size, crop, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        theirs = transformers.BitImageProcessorPil(
            size={"shortest_edge": size},
            crop_size={"height": crop, "width": crop},
            image_mean=IMAGENET_MEAN,
            image_std=IMAGENET_STD,
        )
        images = [Image.fromarray(one) for one in PICTURES]
        expected = theirs(images, return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(mine(PICTURES), expected, atol=1e-5)


def test_preprocessing_is_read_in_every_way_it_is_written(tmp_path):
    default = Preprocessing(256, 224)
    assert read_preprocessing(tmp_path, default=default) == default
    write_processor(
        tmp_path,
        {
            "image_processor": {
                "size": {"shortest_edge": 40},
                "crop_size": {"height": 30, "width": 30},
            }
        },
        name="processor_config.json",
    )
    assert read_preprocessing(tmp_path, default=default) == Preprocessing(40, 30)
    write_processor(tmp_path, {"size": 50, "crop_size": 50, "resample": 2, "image_mean": [0, 0, 0]})
    found = read_preprocessing(tmp_path, default=default)
    assert found == Preprocessing(50, 50, mean=(0, 0, 0), resample=2)
    for wrong in (
        {"size": {"height": 30, "width": 40}},
        {"size": {"longest_edge": 30}},
        {"crop_size": {"height": 30, "width": 40}},
        {"image_std": [1.0]},
        {"resample": 17},
        {"size": 20, "crop_size": 30},
        {"rescale_factor": 1 / 127.5},
        {"do_normalize": False},
        [],
    ):
        write_processor(tmp_path, wrong)
        with pytest.raises(DataError, match=r"preprocessor_config\.json: ") as caught:
            read_preprocessing(tmp_path, default=default)
        assert "\n" not in str(caught.value)
