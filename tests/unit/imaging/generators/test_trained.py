"""The flow and the direct decoder as generators: pictures do not depend on their company."""

import numpy as np
import pytest
import torch
from torch import nn

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.direct import DirectGenerator
from neurohorizon.imaging.generators.open import DrawSettings, open_generator
from neurohorizon.imaging.generators.tiny import TinyGenerator
from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.files import StartDecoder, save_generator
from neurohorizon.models.pictures.flow import FlowNetwork

MADE = Fingerprint("small", "ab" * 32)
NEEDS = MADE.to_json()
EMBEDDINGS = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
SEEDS = [3, 1, 4, 1, 5, 9, 2]


def write(path, kind, needs=NEEDS, start_needs=None):
    torch.manual_seed(0)
    if kind == "direct":
        network = DirectNetwork(size_px=16, num_dimensions=5, widths=(16, 8))
    else:
        network = FlowNetwork(
            size_px=16,
            num_dimensions=5,
            widths=(16, 32),
            num_tokens=2,
            start_noise=0.5 if kind == "tiny with starts" else 0.0,
        )
        nn.init.normal_(network.draw.weight, std=0.1)
    start = None
    if kind == "tiny with starts":
        decoder = DirectNetwork(size_px=16, num_dimensions=5, widths=(16, 8))
        start = StartDecoder(decoder.eval(), start_needs or needs)
    save_generator(network, path, needs=needs, start=start, trained_on=["cd" * 32])
    return path


@pytest.mark.parametrize("kind", ["tiny", "tiny with starts", "direct"])
def test_a_picture_does_not_depend_on_what_is_drawn_beside_it(tmp_path, kind):
    path = write(tmp_path / "generator.safetensors", kind)
    made = open_generator(path)
    together = made.generate(EMBEDDINGS, SEEDS)
    assert together.shape == (7, 16, 16, 3)
    assert together.dtype == np.uint8
    assert together.std(axis=0).max() > 5
    order = [6, 2, 0, 5, 1, 4, 3]
    made.batch_size = 3
    told = []
    again = made.generate(
        EMBEDDINGS[order],
        [SEEDS[row] for row in order],
        progress=lambda *step: told.append(step),
    )
    # Sums are rounded otherwise in batches of another size: a level of 255, and rarely.
    assert np.abs(again.astype(int) - together[order]).max() <= 1
    assert (again != together[order]).mean() < 0.01
    assert told == [("draw", 3, 7), ("draw", 6, 7), ("draw", 7, 7)]
    alone = made.generate(EMBEDDINGS[2:3], SEEDS[2:3])
    assert np.abs(alone.astype(int) - together[2:3]).max() <= 1
    none = made.generate(EMBEDDINGS[:0], [])
    assert none.shape == (0, 16, 16, 3)
    assert made.known == {"cd" * 32}
    assert not made.needs.difference(MADE)


def test_seed_embedding_and_start_make_the_picture(tmp_path):
    made = TinyGenerator(write(tmp_path / "tiny.safetensors", "tiny with starts"))
    seeds = [0] * 7
    drawn = made.generate(EMBEDDINGS, seeds)
    others = [made.generate(EMBEDDINGS, [1] * 7), made.generate(EMBEDDINGS[::-1], seeds)]
    starts = made.draw_starts(EMBEDDINGS)
    for weight in made._start.draw.parameters():
        weight.copy_(-weight)
    assert (made.draw_starts(EMBEDDINGS) != starts).mean() > 0.3
    others.append(made.generate(EMBEDDINGS, seeds))
    for other in others:
        assert (drawn != other).mean() > 0.3


def test_settings_are_part_of_what_makes_the_picture(tmp_path):
    path = write(tmp_path / "tiny.safetensors", "tiny")
    one, other = TinyGenerator(path), open_generator(path, settings=DrawSettings(guidance=3.0))
    assert "guidance: 1.5 against 3.0" in one.fingerprint.difference(other.fingerprint)
    assert not one.fingerprint.difference(TinyGenerator(path).fingerprint)
    direct = DirectGenerator(write(tmp_path / "direct.safetensors", "direct"))
    assert direct.fingerprint.encoder == "direct"
    np.testing.assert_array_equal(
        direct.generate(EMBEDDINGS, SEEDS), direct.generate(EMBEDDINGS, [0] * 7)
    )


def test_what_does_not_fit_is_refused(tmp_path):
    flow = write(tmp_path / "tiny.safetensors", "tiny")
    begun = write(tmp_path / "starts.safetensors", "tiny with starts")
    direct = write(tmp_path / "direct.safetensors", "direct")
    with pytest.raises(CheckpointError, match="a flow, expected a direct decoder"):
        DirectGenerator(flow)
    with pytest.raises(CheckpointError, match="a direct decoder, expected a flow"):
        TinyGenerator(direct)
    for opened, asked, told in (
        (direct, DrawSettings(steps=4), "a direct decoder, which knows no steps: leave it out"),
        (direct, DrawSettings(guidance=1, base="x"), "knows no guidance and no base: leave them"),
        (flow, DrawSettings(start="retrieved"), "a flow, which knows no start: leave it out"),
        (flow, DrawSettings(base="x", steps=2), "a flow, which knows no base: leave it out"),
        (flow, DrawSettings(size_px=64, scheduler="ddim"), "no size_px and no scheduler: leave"),
        (flow, DrawSettings(precision="float16", offload=True), "knows no precision and no offlo"),
    ):
        with pytest.raises(ConfigError, match=told):
            open_generator(opened, settings=asked)
    with pytest.raises(ConfigError, match=r"strength is 0\.5 without a start"):
        DrawSettings(strength=0.5)
    with pytest.raises(ConfigError, match="starts at no picture"):
        TinyGenerator(begun).generate(
            EMBEDDINGS, SEEDS, starts_ISS3=np.zeros((7, 16, 16, 3), np.uint8)
        )
    with pytest.raises(ConfigError, match="starts at noise, not at pictures"):
        TinyGenerator(flow).draw_starts(EMBEDDINGS)
    network = FlowNetwork(size_px=16, num_dimensions=5, widths=(16, 32), start_noise=0.5)
    with pytest.raises(ConfigError, match="goes with what draws them"):
        save_generator(network, tmp_path / "other.safetensors", needs=NEEDS)
    strange = Fingerprint("other", "cd" * 32).to_json()
    path = write(tmp_path / "strange.safetensors", "tiny with starts", start_needs=strange)
    with pytest.raises(CheckpointError, match="its start reads other embeddings: embeddings of o"):
        TinyGenerator(path)
    with pytest.raises(ConfigError, match="expected one each, from 0"):
        TinyGenerator(flow).generate(EMBEDDINGS, [-1] * 7)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        TinyGenerator(flow, batch_size=0)
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        TinyGenerator(flow, device="abacus")
    with pytest.raises(CheckpointError, match="does not say what embeddings it was trained with"):
        TinyGenerator(write(tmp_path / "none.safetensors", "tiny", needs=""))
