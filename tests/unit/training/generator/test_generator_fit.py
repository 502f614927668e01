"""Fitting generators: losses start where chance is, few pictures are learned, nothing is lost."""

import numpy as np
import pytest
import torch

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.sampling import Sampling, follow, noise_of
from neurohorizon.models.pictures.standard import to_values
from neurohorizon.training.generator.fit import Blur, draws_of, fit_direct, fit_flow
from neurohorizon.training.image_encoder.loop import LoopSettings
from neurohorizon.training.image_encoder.resume_point import ResumePoint

EXACT = Blur(noise=0.0, unknown=0.2)


@pytest.fixture(scope="module")
def pixels():
    """Six pictures of coarse colours."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 4), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(4, axis=2).repeat(4, axis=3))


@pytest.fixture(scope="module")
def embeddings():
    return torch.cat([torch.eye(5), -torch.ones(1, 5)])


def flow(start_noise=0.0):
    torch.manual_seed(2)
    return FlowNetwork(
        size_px=16, num_dimensions=5, widths=(16, 32), num_tokens=2, start_noise=start_noise
    )


def direct():
    torch.manual_seed(2)
    return DirectNetwork(size_px=16, num_dimensions=5, widths=(32, 16))


def correlation(one, other):
    """Return the correlation of each picture with each, (n, m)."""
    one, other = one.flatten(1).numpy(), other.flatten(1).numpy()
    return np.corrcoef(one, other)[: len(one), len(one) :]


def test_losses_start_where_chance_is(pixels, embeddings):
    start = LoopSettings(steps=1, batch_size=600, learning_rate=0.0)
    many, told = pixels.repeat(100, 1, 1, 1), embeddings.repeat(100, 1)
    squares = float(to_values(pixels).square().mean())
    # Grey is expected, so velocities are off by the picture over the time that is left.
    weight = (1 / np.maximum(np.linspace(0, 1, 10_000), 0.3) ** 2).mean()
    for starts in (None, many):
        network = flow(0.0 if starts is None else 0.5)
        fitted = fit_flow(many, told, settings=start, starts=starts, network=network)
        assert fitted.curve[0][1] == pytest.approx(weight * squares, rel=0.1)


def test_a_batch_is_learned_and_each_embedding_draws_its_own_picture(pixels, embeddings):
    settings = LoopSettings(steps=200, batch_size=24, learning_rate=1e-2, weight_decay=0.0)
    many, told = pixels.repeat(4, 1, 1, 1), embeddings.repeat(4, 1)
    fitted = fit_flow(many, told, settings=settings, blur=EXACT, network=flow())
    assert fitted.curve[-1][1] < 0.3 * fitted.curve[0][1]
    true = to_values(pixels)

    def drawn(asked, guidance=1.0, seed=0):
        noise = noise_of(range(seed, seed + 6), size_px=16)
        return follow(fitted.network, asked, noise, sampling=Sampling(8, "heun", guidance))

    found = correlation(drawn(embeddings), true)
    assert np.diag(found).min() > 0.9
    # Another embedding, another picture: the one that is asked for.
    assert (correlation(drawn(embeddings.roll(1, 0)), true.roll(1, 0)).argmax(1) == range(6)).all()
    assert correlation(drawn(embeddings, seed=100), drawn(embeddings)).diagonal().min() > 0.8
    # Without an embedding noise alone decides, and each picture is one of the six or between.
    nothing = drawn(embeddings, guidance=0.0)
    torch.testing.assert_close(nothing, drawn(embeddings.roll(1, 0), guidance=0.0))
    assert np.diag(correlation(nothing, true)).mean() < 0.6


def test_a_direct_decoder_learns_a_batch_and_draws_the_mean_of_what_it_cannot_tell(
    pixels, embeddings
):
    settings = LoopSettings(steps=150, batch_size=6, learning_rate=1e-2, weight_decay=0.0)
    fitted = fit_direct(pixels, embeddings, settings=settings, blur=EXACT, network=direct())
    with torch.inference_mode():
        drawn = fitted.network(embeddings)
    assert np.diag(correlation(drawn, to_values(pixels))).min() > 0.9
    alike = torch.zeros(6, 5)
    fitted = fit_direct(pixels, alike, settings=settings, blur=EXACT, network=direct())
    with torch.inference_mode():
        drawn = fitted.network(alike[:1])
    assert correlation(drawn, to_values(pixels).mean(dim=0, keepdim=True))[0, 0] > 0.95


@pytest.mark.parametrize("kind", ["flow", "flow with starts", "direct"])
def test_a_training_that_was_interrupted_ends_as_one_that_was_not(
    pixels, embeddings, tmp_path, kind
):
    settings = LoopSettings(steps=9, batch_size=4, seed=5)

    def fit(name, progress=None):
        torch.manual_seed(len(name))
        generator = draws_of(settings)
        resume = ResumePoint(tmp_path / name, {"of": kind}, [generator], every_steps=2)
        more = {"settings": settings, "generator": generator, "resume": resume}
        if kind == "direct":
            return fit_direct(pixels, embeddings, network=direct(), progress=progress, **more)
        starts = pixels.roll(1, 0) if "starts" in kind else None
        network = flow(0.5 if "starts" in kind else 0.0)
        return fit_flow(
            pixels, embeddings, network=network, starts=starts, progress=progress, **more
        )

    def stop(stage, done, total):
        if done == 7:
            raise KeyboardInterrupt

    whole = fit("whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        fit("broken.safetensors", stop)
    steps = []
    resumed = fit("broken.safetensors", lambda stage, done, total: steps.append(done))
    assert steps == [7, 8, 9]
    assert resumed.curve == whole.curve
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], weight), name


def test_a_point_of_another_training_and_a_damaged_one_are_refused(pixels, embeddings, tmp_path):
    settings = LoopSettings(steps=2, batch_size=4)

    def fit(made_by):
        resume = ResumePoint(tmp_path / "point.safetensors", made_by, every_steps=1)
        fit_direct(pixels, embeddings, settings=settings, network=direct(), resume=resume)

    fit({"seed": 1})
    with pytest.raises(ConfigError, match="is of a training with other settings or pictures"):
        fit({"seed": 2})
    content = (tmp_path / "point.safetensors").read_bytes()
    (tmp_path / "point.safetensors").write_bytes(content[:1000])
    with pytest.raises(CheckpointError, match=r"point\.safetensors: not a safetensors checkpoint"):
        fit({"seed": 1})


def test_noise_is_between_nothing_and_the_most():
    vectors = torch.zeros(400, 50)
    level = Blur(noise=0.4).draw_noise(vectors, torch.Generator().manual_seed(0)).std(dim=1)
    assert float(level.max()) < 0.55
    assert float(level.mean()) == pytest.approx(0.2, rel=0.1)
    assert Blur(noise=0.0).draw_noise(vectors, torch.Generator()).abs().max() == 0


def test_what_cannot_be_learned_is_refused(pixels, embeddings):
    settings = LoopSettings(steps=1)
    with pytest.raises(ConfigError, match="1 pictures to train on: expected 2 or more"):
        fit_flow(pixels[:1], embeddings[:1], settings=settings)
    with pytest.raises(ConfigError, match=r"vectors of shape \(5, 5\): expected one for each"):
        fit_direct(pixels, embeddings[:5], settings=settings)
    with pytest.raises(ConfigError, match="starts of shape"):
        fit_flow(pixels, embeddings, settings=settings, starts=pixels[:3])
    for name, value in (("noise", -1.0), ("noise", float("nan")), ("unknown", 1.0)):
        with pytest.raises(ConfigError, match=f"{value}: expected 0"):
            Blur(**{name: value})
