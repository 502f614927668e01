"""Networks that draw pictures, on disk: what is saved is loaded, and what is none is refused."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.files import (
    StartDecoder,
    load_generator,
    save_generator,
    save_judge,
)
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.judge import JudgeNetwork

SEEN = ["ab" * 32, "01" * 32]


def make(kind):
    torch.manual_seed(0)
    if kind == "direct":
        return DirectNetwork(size_px=16, num_dimensions=5, widths=(16, 8)).eval()
    return FlowNetwork(
        size_px=16, num_dimensions=5, widths=(16, 32), num_tokens=2, start_noise=0.3
    ).eval()


@pytest.fixture(params=["tiny", "direct"])
def saved(request, tmp_path):
    network, path = make(request.param), tmp_path / "generator.safetensors"
    network.standardise.fit(torch.randn(20, 5))
    start = None
    if request.param == "tiny":
        decoder = DirectNetwork(size_px=16, num_dimensions=3, widths=(8, 8)).eval()
        start = StartDecoder(decoder, '{"encoder": "y"}')
    needs, about = '{"encoder": "x"}', {"a": "b"}
    save_generator(network, path, needs=needs, start=start, trained_on=SEEN, about=about)
    return network, path


def test_what_is_saved_is_loaded(saved):
    network, path = saved
    found = load_generator(path)
    assert type(found.network) is type(network)
    assert (found.needs, found.about["a"]) == ('{"encoder": "x"}', "b")
    assert found.trained_on == set(SEEN)
    assert not found.network.training
    for name, weight in network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], weight)
    if isinstance(network, FlowNetwork):
        assert found.network.start_noise == 0.3
        assert found.start is not None
        assert found.start.needs == '{"encoder": "y"}'
        assert found.start.network.widths == (8, 8)
        assert not any(each.requires_grad for each in found.start.network.parameters())
    else:
        assert found.start is None
    again = load_generator(path)
    assert again.digest == found.digest


def test_what_is_none_is_refused(saved, tmp_path):
    _, path = saved
    content = path.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="not a safetensors checkpoint but damaged"):
        load_generator(damaged)
    torch.save({"a": torch.zeros(2)}, damaged)
    with pytest.raises(CheckpointError, match="a pickle, which is never opened"):
        load_generator(damaged)
    save_judge(JudgeNetwork({"shape": ("a", "b")}, size_px=16), damaged)
    with pytest.raises(CheckpointError, match="a checkpoint of 'judge of pictures'"):
        load_generator(damaged)
    with pytest.raises(CheckpointError, match="bridge train-generator` writes it"):
        load_generator(tmp_path / "nothing.safetensors")
    weights = load_file(path)
    header = {"system": load_generator(path).about["system"], "version": "0"}
    save_file(
        {name: each for name, each in weights.items() if name != "trained_on"}, damaged, header
    )
    with pytest.raises(CheckpointError, match="does not say what it was trained on"):
        load_generator(damaged)
    save_file(weights, damaged, header)
    with pytest.raises(CheckpointError, match="its header lacks 'made_of'"):
        load_generator(damaged)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size_px": 24}, "size_px is 24: expected a power of 2"),
        ({"size_px": 4}, "size_px is 4"),
        ({"widths": (8,)}, r"widths \(8,\): expected 3 for pictures of 32 pixels"),
    ],
)
def test_direct_decoders_that_cannot_be(settings, told):
    with pytest.raises(ConfigError, match=told):
        DirectNetwork(**{"size_px": 32, "num_dimensions": 5, **settings})
