"""Fitting a token adapter: the loss, what gets gradients, what stays as it was, interruptions."""

import hashlib

import numpy as np
import pytest
import torch

from diffusion_world import TOKEN_WIDTH, denoiser_error, teach_denoiser, write_base
from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.imaging.pictures import open_pictures
from neurohorizon.imaging.stable_diffusion import find_base
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.training.generator.adapter import Denoiser, EndToEnd, fit_adapter
from neurohorizon.training.generator.fit import Blur, draws_of
from neurohorizon.training.generator.latents import LatentCache
from neurohorizon.training.image_encoder.loop import LoopSettings
from neurohorizon.training.image_encoder.resume_point import ResumePoint

EXACT = Blur(noise=0.0, unknown=0.0)
EMBEDDINGS = torch.cat([torch.eye(5), -torch.ones(1, 5)])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    pytest.importorskip("diffusers")
    return find_base(write_base(tmp_path_factory.mktemp("diffusion") / "base"))


@pytest.fixture(scope="module")
def denoiser(base):
    return Denoiser(base.load_unet(torch.float32), base.noise_levels())


@pytest.fixture(scope="module")
def latents():
    return torch.randn((6, 4, 8, 8), generator=torch.Generator().manual_seed(3)).half()


def make(gain=1.0):
    """Return an adapter; a random denoiser hears strong tokens better."""
    torch.manual_seed(0)
    adapter = TokenAdapter(
        num_dimensions=5, num_outputs=TOKEN_WIDTH, num_tokens=4, width=32, num_heads=2, num_parts=2
    )
    torch.nn.init.constant_(adapter.norm.weight, gain)
    return adapter


def digest(network):
    values = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        values.update(name.encode() + weight.numpy().tobytes())
    return values.hexdigest()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("min_snr", [None, 5.0])
def test_the_loss_is_that_of_the_schedule_of_diffusers(
    base, denoiser, latents, prediction, min_snr
):
    import diffusers

    schedule = diffusers.DDPMScheduler.from_config(
        base.config("scheduler"), prediction_type=prediction
    )
    torch.manual_seed(0)
    values, noise = latents[:4].float(), torch.randn(4, 4, 8, 8)
    times, tokens = torch.tensor([2, 300, 700, 999]), torch.randn(4, 3, TOKEN_WIDTH)
    mine = Denoiser(denoiser.network, denoiser.levels_T, prediction, min_snr)
    with torch.inference_mode():
        noisy = schedule.add_noise(values, noise, times)
        said = denoiser.network(noisy, times, tokens).sample
        true = noise
        if prediction == "v_prediction":
            true = schedule.get_velocity(values, noise, times)
        errors = ((said - true) ** 2).numpy().mean(axis=(1, 2, 3))
        found = float(mine.loss(values, tokens, times, noise))
    level = schedule.alphas_cumprod[times].numpy().astype(float)
    weight = np.ones(4)
    if min_snr:
        ratio = level / (1 - level)
        weight = np.minimum(ratio, 5) / (ratio if prediction == "epsilon" else ratio + 1)
    assert found == pytest.approx(float((weight * errors).mean()), rel=1e-5)


def test_a_batch_is_learned_and_only_the_adapter_changes(denoiser, latents):
    # One time and one noise for all pictures: what else is to be known of them the tokens must
    # tell, and a loss that falls is what they tell.
    torch.manual_seed(1)
    times, noise = torch.full((6,), 900), torch.randn(6, 4, 8, 8)
    adapter, before = make(gain=5.0), digest(denoiser.network)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        tokens = adapter(adapter.tell(EMBEDDINGS))
        loss = denoiser.loss(latents.float(), tokens, times, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    # Which token set belongs to which picture matters: others' tokens tell less.
    with torch.inference_mode():
        wrong = adapter(adapter.tell(EMBEDDINGS.roll(1, 0)))
        assert float(denoiser.loss(latents.float(), wrong, times, noise)) > losses[-1]
    assert all(weight.grad is None for weight in denoiser.network.parameters())
    assert digest(denoiser.network) == before
    for name, weight in adapter.named_parameters():
        if name != "nothing_D":  # all of them are told
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name


def test_what_is_computed_twice_gives_the_same_gradients(base, denoiser, latents):
    saving = Denoiser(base.load_unet(torch.float32), denoiser.levels_T)
    saving.network.enable_gradient_checkpointing()
    looked = []
    saving.network.up_blocks[1].resnets[0].norm1.register_forward_hook(lambda *_: looked.append(1))
    gradients = []
    for each in (denoiser, saving):
        adapter = make()
        torch.manual_seed(0)
        tokens = adapter(adapter.tell(EMBEDDINGS))
        each.loss(latents.float(), tokens, torch.arange(6), torch.randn(6, 4, 8, 8)).backward()
        gradients.append(adapter.to_parts.weight.grad)
    torch.testing.assert_close(*gradients)
    assert len(looked) == 2


def test_tokens_are_worth_what_the_texts_were_that_the_denoiser_learned_with(base, denoiser):
    mine = Denoiser(base.load_unet(torch.float32), denoiser.levels_T)
    flat, texts = teach_denoiser(mine)
    before = digest(mine.network)
    adapter = make()
    adapter.standardise.fit(EMBEDDINGS)
    fitted = fit_adapter(
        flat,
        EMBEDDINGS,
        network=EndToEnd(adapter),
        denoiser=mine,
        settings=LoopSettings(steps=50, batch_size=6, learning_rate=1e-2, weight_decay=0.0),
        blur=EXACT,
    )
    assert digest(mine.network) == before
    trained = fitted.network.adapter
    assert not trained.training

    def error(tokens):
        return denoiser_error(mine, flat, tokens)

    with torch.inference_mode():
        tokens = trained(trained.tell(EMBEDDINGS))
    assert error(texts) < 0.95 * error(texts.roll(1, 0))
    assert error(tokens) < 0.95 * error(tokens.roll(1, 0))
    assert error(tokens) < 1.05 * error(texts)


def test_embeddings_that_are_not_told_teach_what_stands_for_none(denoiser, latents):
    settings = LoopSettings(steps=3, batch_size=6)
    for unknown, changed in ((0.0, False), (0.5, True)):
        fitted = fit_adapter(
            latents,
            EMBEDDINGS,
            network=EndToEnd(make()),
            denoiser=denoiser,
            settings=settings,
            blur=Blur(noise=0.0, unknown=unknown),
        )
        assert bool(fitted.network.adapter.nothing_D.abs().max() > 0) == changed


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(denoiser, latents, tmp_path):
    settings = LoopSettings(steps=7, batch_size=4, seed=5)

    def fit(name, progress=None):
        torch.manual_seed(len(name))
        generator = draws_of(settings)
        resume = ResumePoint(tmp_path / name, {"of": "adapter"}, [generator], every_steps=2)
        return fit_adapter(
            latents,
            EMBEDDINGS,
            network=EndToEnd(make()),
            denoiser=denoiser,
            settings=settings,
            generator=generator,
            resume=resume,
            progress=progress,
        )

    def stop(stage, done, total):
        if done == 5:
            raise KeyboardInterrupt

    whole = fit("whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        fit("broken.safetensors", stop)
    steps = []
    resumed = fit("broken.safetensors", lambda stage, done, total: steps.append(done))
    assert steps == [5, 6, 7]
    assert resumed.curve == whole.curve
    assert digest(resumed.network) == digest(whole.network)


def test_what_does_not_fit_is_refused(denoiser, latents):
    with pytest.raises(ConfigError, match="embeddings of 3 dimensions, the adapter reads 5"):
        fit_adapter(
            latents,
            EMBEDDINGS[:, :3],
            network=EndToEnd(make()),
            denoiser=denoiser,
            settings=LoopSettings(steps=1),
        )
    with pytest.raises(ConfigError, match="expected both or neither"):
        fit_adapter(
            latents,
            EMBEDDINGS,
            network=EndToEnd(make()),
            denoiser=denoiser,
            settings=LoopSettings(steps=1),
            responses_NU=EMBEDDINGS,
        )


@pytest.fixture
def pictures(tmp_path):
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, shape in enumerate([(40, 60, 3), (64, 64, 3), (28, 28, 3)]):
        pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return open_pictures(folder)


def test_latents_are_those_of_the_autoencoder_and_are_made_once(base, pictures, tmp_path):
    folder, hashes = tmp_path / "latents", pictures.hashes()
    row_of = {one: row for row, one in enumerate(hashes)}
    cache = LatentCache(folder, base, size_px=64, precision="float32")
    steps = []
    cache.fill(pictures, dict([*row_of.items()][:2]), progress=lambda *step: steps.append(step))
    assert steps == [("encode", 1, 2), ("encode", 2, 2)]
    again = LatentCache(folder, base, size_px=64, precision="float32")
    assert len(again) == 2
    steps.clear()
    again.fill(pictures, row_of, progress=lambda *step: steps.append(step))
    assert steps == [("encode", 1, 1)]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(before) == 2
    # Made at once, they are the same to the last bit.
    whole = LatentCache(tmp_path / "whole", base, size_px=64, precision="float32")
    whole.fill(pictures, row_of)
    found = again.select(hashes[::-1])
    assert torch.equal(whole.select(hashes[::-1]), found)
    assert found.shape == (3, 4, 8, 8)
    LatentCache(folder, base, size_px=64, precision="float32").fill(pictures, row_of)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    # The second picture is 64 pixels already.
    import diffusers

    vae = diffusers.AutoencoderKL.from_pretrained(base.folder / "vae")
    pixels = torch.from_numpy(next(pictures.picked([1])).pixels).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = 0.18215 * vae.encode(pixels / 127.5 - 1).latent_dist.mode()[0]
    torch.testing.assert_close(found[1].float(), expected, rtol=1e-3, atol=1e-3)


def test_latents_of_another_making_and_damaged_ones_are_refused(base, pictures, tmp_path):
    folder = tmp_path / "latents"
    row_of = {one: row for row, one in enumerate(pictures.hashes())}
    LatentCache(folder, base, size_px=64, precision="float32").fill(pictures, row_of)
    with pytest.raises(ConfigError, match=r"latents of another size_px \(64, here it is 128\)"):
        LatentCache(folder, base, size_px=128, precision="float32")
    with pytest.raises(ConfigError, match="latents of another precision"):
        LatentCache(folder, base, size_px=64, precision="bfloat16")
    other = find_base(write_base(tmp_path / "other", seed=2))
    with pytest.raises(ConfigError, match="latents of another autoencoder"):
        LatentCache(folder, other, size_px=64, precision="float32")
    path = next(folder.iterdir())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="not a safetensors checkpoint but damaged"):
        LatentCache(folder, base, size_px=64, precision="float32")
