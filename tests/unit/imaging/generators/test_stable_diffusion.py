"""Stable Diffusion on a tiny checkpoint of its layout: what draws, from what, and what does not."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from diffusion_world import TOKEN_WIDTH, write_base, write_ip_adapter
from neurohorizon.errors import CheckpointError, ConfigError, DataError, MissingExtraError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.conditioning import (
    ImagePromptConditioning,
    TokenConditioning,
)
from neurohorizon.imaging.generators.generator import select_embeddings
from neurohorizon.imaging.generators.open import DrawSettings, open_generator
from neurohorizon.imaging.generators.stable_diffusion import (
    DiffusionSampling,
    StableDiffusionGenerator,
)
from neurohorizon.imaging.stable_diffusion import HUB_ID, find_base
from neurohorizon.models.pictures.files import save_adapter
from neurohorizon.models.pictures.token_adapter import TokenAdapter

MADE = Fingerprint("small", "ab" * 32)
VIT_H = Fingerprint("clip-vit-h14", "cd" * 32, {"readout": "projected"})
EMBEDDINGS = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
LONG = np.random.default_rng(0).normal(size=(5, 1024)).astype(np.float32)
STARTS = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
SEEDS = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    pytest.importorskip("diffusers")
    return write_base(tmp_path_factory.mktemp("diffusion") / "base")


@pytest.fixture(scope="module")
def adapter(base):
    return write_adapter(base.parent / "adapter.safetensors", find_base(base).digest)


@pytest.fixture(scope="module")
def ip_adapter(base):
    return write_ip_adapter(base.parent / "ip-adapter_sd15.safetensors", base)


def write_adapter(path, digest):
    torch.manual_seed(0)
    network = TokenAdapter(
        num_dimensions=6, num_outputs=TOKEN_WIDTH, num_tokens=5, width=32, num_heads=2
    )
    # Where tokens are strong, what they say can be told from the noise of a random denoiser.
    torch.nn.init.constant_(network.norm.weight, 10.0)
    torch.nn.init.normal_(network.nothing_D)
    needs = MADE.to_json()
    save_adapter(network, path, base=digest, size_px=64, needs=needs, trained_on=["ef" * 32])
    return path


def make(conditioning, base, *, batch_size=4, precision="float32", **sampling):
    return StableDiffusionGenerator(
        conditioning,
        base,
        size_px=64,
        sampling=DiffusionSampling(**{"steps": 3, **sampling}),
        batch_size=batch_size,
        precision=precision,
    )


def conditioning_of(kind, adapter, ip_adapter):
    if kind == "tokens":
        return TokenConditioning(adapter), EMBEDDINGS
    return ImagePromptConditioning(ip_adapter, VIT_H), LONG


@pytest.mark.parametrize(
    ("kind", "sampling"),
    [
        ("tokens", {"scheduler": "dpm++"}),
        ("tokens", {"scheduler": "ddim", "guidance": 1.0}),
        ("tokens", {"scheduler": "ddim", "strength": 0.7}),
        ("IP-Adapter", {"scheduler": "ddim"}),
        ("IP-Adapter", {"scheduler": "dpm++", "strength": 0.7}),
    ],
)
def test_a_picture_is_of_its_embedding_seed_and_start_alone(
    base, adapter, ip_adapter, kind, sampling
):
    conditioning, embeddings = conditioning_of(kind, adapter, ip_adapter)
    made = make(conditioning, base, batch_size=3, **sampling)
    assert made.needs_starts == ("strength" in sampling)

    def draw(rows=slice(None), seeds=SEEDS, told=embeddings, shown=STARTS, progress=None):
        starts = shown[rows] if made.needs_starts else None
        seeds = np.array(seeds)[rows].tolist()
        return made.generate(told[rows], seeds, starts_ISS3=starts, progress=progress).astype(int)

    steps = []
    drawn = draw(progress=lambda *step: steps.append(step))
    assert steps == [("draw", 3, 5), ("draw", 5, 5)]
    assert drawn.shape == (5, 64, 64, 3)
    assert drawn.std(axis=(1, 2)).min() > 5
    order = [4, 0, 2]
    again = draw(order)
    # Sums are rounded otherwise in batches of another size: a level of 255, and rarely.
    assert np.abs(again - drawn[order]).max() <= 1
    assert (again != drawn[order]).mean() < 0.01
    others = [draw(seeds=[seed + 9 for seed in SEEDS]), draw(told=embeddings[::-1])]
    if made.needs_starts:
        others.append(draw(shown=STARTS[::-1]))
    for other in others:
        changed = np.abs(other - drawn).max(axis=(1, 2, 3)) > 2
        # The embedding and the start in the middle are the same in reverse order.
        assert changed.sum() == (5 if other is others[0] else 4)
    assert draw(slice(0, 0)).shape == (0, 64, 64, 3)


@pytest.mark.parametrize("kind", ["tokens", "IP-Adapter"])
def test_one_that_starts_at_pictures_draws_from_noise_too(base, adapter, ip_adapter, kind):
    conditioning, embeddings = conditioning_of(kind, adapter, ip_adapter)
    begun = make(conditioning, base, strength=0.7)
    before = begun.generate(embeddings, SEEDS, starts_ISS3=STARTS)
    found = begun.from_noise()
    expected = make(conditioning_of(kind, adapter, ip_adapter)[0], base)
    assert not found.needs_starts
    assert not found.fingerprint.difference(expected.fingerprint)
    drawn = found.generate(embeddings, SEEDS)
    np.testing.assert_array_equal(drawn, expected.generate(embeddings, SEEDS))
    # The weights are shared, and the other one is as it was.
    assert found._pipeline.unet is begun._pipeline.unet
    np.testing.assert_array_equal(begun.generate(embeddings, SEEDS, starts_ISS3=STARTS), before)


def test_adapters_are_opened_by_their_file_and_base(base, adapter, ip_adapter, tmp_path):
    made = open_generator(adapter, settings=DrawSettings(base=base))
    assert (made.size_px, made.precision) == (64, "float32")  # the size is the adapter's
    assert made.sampling == DiffusionSampling()
    settings = DrawSettings(
        steps=4,
        guidance=2.0,
        base=str(base),
        size_px=128,
        scheduler="ddim",
        precision="bfloat16",
        start="retrieved",
    )
    made = open_generator(adapter, settings=settings)
    assert (made.size_px, made.precision) == (128, "bfloat16")
    assert made.sampling == DiffusionSampling(4, "ddim", 2.0, 0.8)
    prompt = DrawSettings(base=base, start="low-level", strength=0.5)
    made = open_generator(ip_adapter, settings=prompt, embeddings=VIT_H)
    assert (made.size_px, made.sampling.strength, made.needs) == (512, 0.5, VIT_H)
    for path in (adapter, ip_adapter):
        with pytest.raises(ConfigError, match=f"an adapter, which .*: give its base, .*{HUB_ID}"):
            open_generator(path, embeddings=VIT_H)
    with pytest.raises(ConfigError, match="does not say what embeddings it reads"):
        open_generator(ip_adapter, settings=prompt)
    with pytest.raises(DataError, match="reads projected embeddings of clip-vit-h14"):
        open_generator(ip_adapter, settings=prompt, embeddings=MADE)
    torch.save({}, tmp_path / "ip.bin")
    with pytest.raises(CheckpointError, match=r"ip.bin: only \.safetensors files are opened"):
        open_generator(tmp_path / "ip.bin", settings=prompt, embeddings=VIT_H)


def test_without_guidance_the_pipeline_of_diffusers_draws_the_same(base, adapter):
    import diffusers

    made = make(TokenConditioning(adapter), base, scheduler="ddim", guidance=2.0)
    drawn = made.generate(EMBEDDINGS[:1], [8])[0].astype(int)
    unet = diffusers.UNet2DConditionModel.from_pretrained(base / "unet")
    vae = diffusers.AutoencoderKL.from_pretrained(base / "vae")
    schedule = diffusers.DDIMScheduler.from_pretrained(base / "scheduler")
    schedule.set_timesteps(3)
    network = TokenConditioning(adapter).network
    with torch.inference_mode():
        told = network(network.tell(torch.from_numpy(EMBEDDINGS[:1])))
        untold = network(network.nothing_D[None])
        noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(8))
        for time in schedule.timesteps:
            with_it, without = (unet(noisy, time, each).sample for each in (told, untold))
            noisy = schedule.step(without + 2 * (with_it - without), time, noisy).prev_sample
        picture = vae.decode(noisy / 0.18215).sample[0].permute(1, 2, 0)
    expected = (255 * (picture / 2 + 0.5).clamp(0, 1)).round().numpy().astype(int)
    assert np.abs(drawn - expected).max() <= 1


def test_the_strength_says_how_much_of_the_start_is_left(base, adapter):
    def distance(strength):
        made = make(TokenConditioning(adapter), base, steps=20, strength=strength)
        drawn = [
            made.generate(EMBEDDINGS[:3], SEEDS[:3], starts_ISS3=starts).astype(float)
            for starts in (STARTS[:3], 255 - STARTS[:3])
        ]
        return np.abs(drawn[0] - drawn[1]).mean()

    weak, strong = distance(0.05), distance(1.0)
    assert weak > 2 * strong


def test_the_ip_adapter_counts_by_its_scale_and_direction_of_embeddings(base, ip_adapter):
    def draw(scale, told=LONG[:1]):
        conditioning = ImagePromptConditioning(ip_adapter, VIT_H, scale=scale)
        return make(conditioning, base).generate(told, [0]).astype(float)

    nothing, other = draw(1e-6), draw(1e-6, LONG[1:2])
    assert np.abs(nothing - other).max() <= 1
    assert np.abs(draw(0.5) - nothing).mean() < np.abs(draw(1.0) - nothing).mean()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sixteen_bits_draw_nearly_the_same(base, adapter, precision):
    exact = make(TokenConditioning(adapter), base).generate(EMBEDDINGS, SEEDS).astype(float)
    made = make(TokenConditioning(adapter), base, precision=precision)
    drawn = made.generate(EMBEDDINGS, SEEDS)
    assert 0 < np.abs(drawn - exact).mean() < 4
    assert f"precision: {precision} against float32" in made.fingerprint.difference(
        make(TokenConditioning(adapter), base).fingerprint
    )


def test_what_made_a_picture_is_told(base, adapter, ip_adapter):
    tokens = make(TokenConditioning(adapter), base)
    assert not tokens.fingerprint.difference(make(TokenConditioning(adapter), base).fingerprint)
    assert Fingerprint.from_json(tokens.fingerprint.to_json()) == tokens.fingerprint
    assert tokens.known == {"ef" * 32}
    prompt = make(ImagePromptConditioning(ip_adapter, VIT_H), base)
    assert "conditioning" in tokens.fingerprint.difference(prompt.fingerprint)
    assert prompt.needs == VIT_H
    other = make(ImagePromptConditioning(ip_adapter, VIT_H, scale=0.5), base)
    assert "scale: 1.0 against 0.5" in prompt.fingerprint.difference(other.fingerprint)
    steps = make(TokenConditioning(adapter), base, steps=4)
    assert "steps: 3 against 4" in tokens.fingerprint.difference(steps.fingerprint)


def test_banks_of_another_encoder_are_refused(base, adapter, ip_adapter):
    def bank(fingerprint, width=6):
        return EmbeddingBank(np.ones((1, width), np.float32), ["ab"], ["x"], fingerprint)

    made = make(TokenConditioning(adapter), base)
    predicted = Fingerprint("responses", "12", {"space": MADE.to_json()})
    assert select_embeddings(made, bank(predicted), ["ab"]).shape == (1, 6)
    with pytest.raises(DataError, match="stable-diffusion was made with other embeddings: encoder"):
        select_embeddings(made, bank(VIT_H), ["ab"])
    with pytest.raises(DataError, match="the generator was made with 6 dimensions"):
        made.generate(LONG, SEEDS)
    told = "reads projected embeddings of clip-vit-h14, the bank holds"
    for other in (
        Fingerprint("clip-vit-l14", "1", {"readout": "projected"}),
        Fingerprint("clip-vit-h14", "1", {"readout": "cls"}),
        MADE,
    ):
        with pytest.raises(DataError, match=told):
            ImagePromptConditioning(ip_adapter, other)
    of_responses = Fingerprint("responses", "12", {"space": VIT_H.to_json()})
    made = make(ImagePromptConditioning(ip_adapter, of_responses), base)
    assert select_embeddings(made, bank(VIT_H, 1024), ["ab"]).shape == (1, 1024)
    with pytest.raises(DataError, match="the generator was made with 1024 dimensions"):
        made.generate(LONG[:, :768], SEEDS)
    with pytest.raises(ConfigError, match="scale is 0"):
        ImagePromptConditioning(ip_adapter, VIT_H, scale=0)


def test_an_adapter_of_another_base_is_refused(base, adapter, tmp_path):
    other = write_base(tmp_path / "other", seed=1)
    with pytest.raises(
        CheckpointError, match="was trained through another diffusion model"
    ) as told:
        make(TokenConditioning(adapter), other)
    assert str(other) in str(told.value)
    with pytest.raises(CheckpointError, match="`neurohorizon bridge train-adapter` writes it"):
        TokenConditioning(tmp_path / "nothing.safetensors")


def test_files_that_are_no_ip_adapter_are_refused(base, ip_adapter, tmp_path):
    def opened(path):
        return ImagePromptConditioning(path, VIT_H)

    published = r"expected ip-adapter_sd15.safetensors, in models/ of the hub's h94/IP-Adapter"
    with pytest.raises(CheckpointError, match=f"no such file; {published}"):
        opened(tmp_path / "none.safetensors")
    pickled = tmp_path / "ip-adapter_sd15.bin"
    torch.save({"image_proj": {}}, pickled)
    with pytest.raises(CheckpointError, match=r"only \.safetensors files are opened"):
        opened(pickled)
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(pickled.read_bytes())
    with pytest.raises(CheckpointError, match="damaged, or no safetensors file"):
        opened(wrong)
    plus = {
        "image_proj.latents": torch.zeros(1, 16, 768),
        "ip_adapter.1.to_k_ip.weight": torch.ones(1),
    }
    save_file(plus, wrong)
    with pytest.raises(CheckpointError, match="not of the layout of the plain IP-Adapter"):
        opened(wrong)
    write_ip_adapter(wrong, base, num_dimensions=768)
    with pytest.raises(CheckpointError, match="embeddings of 768 dimensions, expected 1024"):
        opened(wrong)
    write_ip_adapter(wrong, base, width=2 * TOKEN_WIDTH)
    with pytest.raises(CheckpointError, match=rf"width 48, .* reads {TOKEN_WIDTH}"):
        make(opened(wrong), base)
    weights = load_file(ip_adapter)
    del weights["ip_adapter.31.to_v_ip.weight"]
    save_file(weights, wrong)
    with pytest.raises(CheckpointError, match="does not fit the denoiser"):
        make(opened(wrong), base)


EXPECTED = "expected were the files unet/config.json, unet/diffusion_pytorch_model.safetensors, vae"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("empty", f"unet/config.json is missing; {EXPECTED}"),
        ("no weights", f"vae/diffusion_pytorch_model.safetensors is missing; {EXPECTED}"),
        ("pickled", r"model.safetensors is missing \(diffusion_pytorch_model.bin is pickled, whi"),
        ("truncated", "unet: cannot be loaded"),
        ("config", "not readable as JSON"),
        ("incomplete", "1 of its weights are missing, the first conv_in.bias"),
        ("inpainting", "not of Stable Diffusion 1.5's layout: its in_channels is 9, expected 4"),
        ("sample", "prediction_type is sample: expected epsilon or v_prediction"),
    ],
)
def test_a_broken_base_is_one_line_with_its_path(base, adapter, tmp_path, how, reason):
    folder = tmp_path / "base"
    shutil.copytree(base, folder)
    unet, vae = (folder / part / "diffusion_pytorch_model.safetensors" for part in ("unet", "vae"))
    if how == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif how == "no weights":
        vae.unlink()
    elif how == "pickled":
        torch.save(load_file(unet), unet.with_suffix(".bin"))
        unet.unlink()
    elif how == "truncated":
        unet.write_bytes(unet.read_bytes()[:10_000])
    elif how == "config":
        (folder / "vae" / "config.json").write_text("{")
    elif how == "incomplete":
        save_file({k: v for k, v in load_file(unet).items() if k != "conv_in.bias"}, unet)
        # Of another base than the adapter's nothing is loaded.
        adapter = write_adapter(tmp_path / "adapter.safetensors", find_base(folder).digest)
    else:
        path = folder / (
            "scheduler/scheduler_config.json" if how == "sample" else "unet/config.json"
        )
        change = {"prediction_type": "sample"} if how == "sample" else {"in_channels": 9}
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=reason) as caught:
        make(TokenConditioning(adapter), folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_base_that_cannot_be_had_tells_what_was_tried(base):
    with pytest.raises(DataError, match="the hub's copy cannot be had") as caught:
        find_base()
    told = str(caught.value)
    assert EXPECTED in told
    assert told.endswith(f"tried was the hub id {HUB_ID}")
    assert "text_encoder/model.safetensors" not in told
    with pytest.raises(DataError, match=f"hub id no/body, that of .* is {HUB_ID}$") as caught:
        find_base("no/body", text=True)
    assert "text_encoder/model.safetensors, tokenizer/vocab.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_opening_prints_nothing(base, ip_adapter, capfd):
    capfd.readouterr()
    make(ImagePromptConditioning(ip_adapter, VIT_H), base).generate(LONG[:1], [0])
    assert capfd.readouterr() == ("", "")


def test_settings_that_cannot_be_are_refused(base, adapter, monkeypatch):
    for setting, told in (
        ({"steps": 0}, "steps is 0"),
        ({"scheduler": "euler"}, "scheduler is 'euler': choose dpm"),
        ({"guidance": 0.5}, "guidance is 0.5: expected 1 to 30"),
        ({"strength": 1.5}, "strength is 1.5: expected above 0, at most 1"),
        ({"strength": 0.1}, "strength 0.1 of 3 steps is not one step"),
        ({"precision": "int8"}, "precision is 'int8': choose float32"),
        ({"batch_size": 0}, "batch_size is 0"),
    ):
        with pytest.raises(ConfigError, match=told):
            make(TokenConditioning(adapter), base, **setting)
    for more, told in (
        ({"size_px": 100}, "size_px is 100: expected a multiple of 64"),
        ({"offload": True}, "the device is cpu: leave it out"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here"),
    ):
        with pytest.raises(ConfigError, match=told):
            StableDiffusionGenerator(TokenConditioning(adapter), base, **more)
    with pytest.raises(ConfigError, match="starts at no picture"):
        make(TokenConditioning(adapter), base).generate(EMBEDDINGS, SEEDS, starts_ISS3=STARTS)
    with pytest.raises(ConfigError, match="the generator starts at pictures, of shape"):
        make(TokenConditioning(adapter), base, strength=0.5).generate(EMBEDDINGS, SEEDS)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"diffusers is needed to draw .*neurohorizon\[vis"):
        make(TokenConditioning(adapter), base)
