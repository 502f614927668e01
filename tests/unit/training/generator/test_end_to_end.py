"""From responses through the frozen denoiser: what is learned, what stays, what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV

from diffusion_world import TOKEN_WIDTH, denoiser_error, teach_denoiser, write_base
from neurohorizon.errors import CheckpointError, DataError
from neurohorizon.imaging.stable_diffusion import find_base
from neurohorizon.models.pictures.files import load_adapter, save_adapter
from neurohorizon.models.pictures.response_head import ResponseHead, digest_units
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.training.generator.adapter import Denoiser, EndToEnd, fit_adapter
from neurohorizon.training.generator.end_to_end import (
    PENALTIES,
    Heard,
    begin_head,
)
from neurohorizon.training.generator.fit import Blur, draws_of
from neurohorizon.training.image_encoder.loop import LoopSettings

EXACT = Blur(noise=0.0, unknown=0.0)
EMBEDDINGS = torch.cat([torch.eye(5), -torch.ones(1, 5)])
KIND = np.arange(120) % 6


def heard(seed=0, num_units=12):
    """Return responses that tell which of six kinds a picture is of."""
    generator = np.random.default_rng(seed)
    patterns = np.random.default_rng(1).normal(size=(6, num_units))
    values = patterns[KIND] + 0.2 * generator.normal(size=(len(KIND), num_units)) + 5
    hashes = [f"{number:064x}" for number in range(len(KIND))]
    return Heard("one", digest_units(["a", "b"]), hashes, values.astype(np.float32))


def make_adapter():
    torch.manual_seed(0)
    adapter = TokenAdapter(
        num_dimensions=5, num_outputs=TOKEN_WIDTH, num_tokens=4, width=32, num_heads=2, num_parts=2
    )
    adapter.standardise.fit(EMBEDDINGS)
    return adapter


def test_a_head_begins_as_a_ridge_regression():
    given, wanted = heard(), EMBEDDINGS.numpy()[KIND] + np.float32(3)
    values = given.values.astype(float)
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    reference = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(standard, wanted)
    head = begin_head(given, wanted)
    found = head(torch.from_numpy(given.values)).detach().numpy()
    np.testing.assert_allclose(found, reference.predict(standard), atol=2e-3)
    # What is missing is the mean.
    holes = given.values.copy()
    holes[::5, 3] = np.nan
    again = begin_head(replace(given, values=holes), wanted)
    nothing = again(torch.full((1, 12), torch.nan)).detach().numpy()[0]
    np.testing.assert_allclose(nothing, wanted.mean(axis=0), atol=1e-3)
    few = Heard("one", "", given.hashes[:19], given.values[:19])
    with pytest.raises(DataError, match="one: 19 of its training pictures are learned from"):
        begin_head(few, wanted[:19])


def test_responses_are_told_by_picture_and_change_the_digest():
    given = heard()
    some = given.of(given.hashes[5:2:-1])
    np.testing.assert_array_equal(some.values, given.values[5:2:-1])
    assert given.of(given.hashes).digest == given.digest
    assert some.digest != given.digest
    assert replace(given, values=given.values + 1).digest != given.digest
    assert digest_units(["a", "b"]) != digest_units(["b", "a"])


def test_left_out_values_are_drawn_and_scaled():
    head = begin_head(heard(), EMBEDDINGS.numpy()[KIND])
    values = torch.from_numpy(heard().values[:6])
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        drawn = [head(values, dropout=0.5, generator=generator) for _ in range(2000)]
        assert not torch.equal(drawn[0], drawn[1])
        torch.testing.assert_close(torch.stack(drawn).mean(0), head(values), atol=0.05, rtol=0)


def test_a_wrong_head_is_put_right_by_the_loss_of_a_frozen_denoiser(tmp_path):
    pytest.importorskip("diffusers")
    base = find_base(write_base(tmp_path / "base"))
    denoiser = Denoiser(base.load_unet(torch.float32), base.noise_levels())
    flat, texts = teach_denoiser(denoiser)
    before = {name: each.clone() for name, each in denoiser.network.state_dict().items()}
    learning = LoopSettings(steps=50, batch_size=12, learning_rate=1e-2, weight_decay=0.0)
    adapter = fit_adapter(
        flat,
        EMBEDDINGS,
        network=EndToEnd(make_adapter()),
        denoiser=denoiser,
        settings=replace(learning, batch_size=6),
        blur=EXACT,
    ).network.adapter.requires_grad_()
    given = heard()
    # It says of each picture what is true of another kind.
    head = begin_head(given, EMBEDDINGS.numpy()[(KIND + 1) % 6])
    new = torch.from_numpy(heard(seed=7).values[:6])

    def error(adapter, head):
        with torch.inference_mode():
            return denoiser_error(denoiser, flat, adapter(adapter.tell(head(new))))

    wrong, right = error(adapter, head), denoiser_error(denoiser, flat, texts)
    torch.manual_seed(3)
    fitted = fit_adapter(
        flat[KIND],
        EMBEDDINGS[KIND],
        network=EndToEnd(adapter, head),
        responses_NU=torch.from_numpy(given.values),
        denoiser=denoiser,
        settings=learning,
        blur=EXACT,
        generator=draws_of(learning),
    )
    both = fitted.network
    assert error(both.adapter, both.head) < right + 0.2 * (wrong - right)
    assert len(fitted.curve) == 50
    for name, each in denoiser.network.state_dict().items():
        assert torch.equal(each, before[name]), name
    # True embeddings are still understood: three of ten pictures were told by them.
    with torch.inference_mode():
        tokens = both.adapter(both.adapter.tell(EMBEDDINGS))
    assert denoiser_error(denoiser, flat, tokens) < right + 0.2 * (wrong - right)


def test_a_head_is_kept_in_the_file_of_its_adapter(tmp_path):
    path = tmp_path / "adapter.safetensors"
    head = begin_head(heard(), EMBEDDINGS.numpy()[KIND])
    made = {"base": "ba5e", "size_px": 64, "needs": "{}"}
    save_adapter(make_adapter(), path, head=head, **made)
    found = load_adapter(path)
    assert isinstance(found.head, ResponseHead)
    assert (found.head.recording, found.head.units) == ("one", digest_units(["a", "b"]))
    values = torch.from_numpy(heard().values)
    torch.testing.assert_close(found.head(values), head(values))
    assert not any(weight.requires_grad for weight in found.head.parameters())
    digest = found.digest
    save_adapter(make_adapter(), path, **made)
    assert load_adapter(path).head is None
    assert load_adapter(path).digest != digest
    head.num_values = 7
    save_adapter(make_adapter(), path, head=head, **made)
    with pytest.raises(
        CheckpointError, match=r"does not fit the model: its weights \S+ have shape"
    ):
        load_adapter(path)
