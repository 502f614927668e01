"""The token adapter: what its tokens depend on, its file, and what is refused."""

import pytest
import torch

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.pictures.files import ADAPTER, load_adapter, save_adapter, save_judge
from neurohorizon.models.pictures.judge import JudgeNetwork
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.models.weights_file import save_weights


def make(**changes):
    torch.manual_seed(0)
    sizes = {"num_dimensions": 6, "num_outputs": 12, "num_tokens": 4, "width": 16, "num_heads": 2}
    return TokenAdapter(**{**sizes, "num_parts": 3, **changes}).eval()


@torch.inference_mode()
def test_tokens_are_of_their_embedding_alone_and_differ():
    adapter, embeddings = make(), torch.randn(5, 6)
    adapter.standardise.fit(embeddings)
    tokens = adapter(adapter.tell(embeddings))
    assert tokens.shape == (5, 4, 12)
    torch.testing.assert_close(adapter(adapter.tell(embeddings[[3, 1]])), tokens[[3, 1]])
    assert (tokens[0] - tokens[1]).abs().max() > 0.1
    assert (tokens[:, 0] - tokens[:, 1]).abs().max() > 0.1
    # As after the layer norm of a text encoder: mean 0 and spread 1 of each token.
    torch.testing.assert_close(tokens.mean(dim=2), torch.zeros(5, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.std(dim=2, correction=0), torch.ones(5, 4), rtol=1e-3, atol=0)


@torch.inference_mode()
def test_queries_choose_among_the_parts_of_an_embedding():
    """Of one part alone all queries read the same, whatever the embedding; of several, not."""
    embeddings = torch.randn(4, 6)
    for num_parts, differ in ((1, False), (3, True)):
        adapter = make(num_parts=num_parts, num_layers=0)
        parts = adapter.to_parts(embeddings).unflatten(1, (num_parts, 16))
        attention = adapter.read.attention
        read = attention(adapter.queries_TC.expand(4, -1, -1), attention.project(parts))
        assert bool((read[:, 0] - read[:, 1]).abs().max() > 1e-3) == differ


@torch.inference_mode()
def test_who_is_not_told_gets_what_stands_for_none():
    adapter, embeddings = make(), torch.randn(3, 6)
    torch.nn.init.normal_(adapter.nothing_D)
    known = torch.tensor([True, False, False])
    tokens = adapter(adapter.tell(embeddings, known_B=known, noise_BD=torch.ones(3, 6)))
    torch.testing.assert_close(tokens[1], tokens[2])
    torch.testing.assert_close(tokens[1:2], adapter(adapter.nothing_D[None]))
    torch.testing.assert_close(tokens[:1], adapter(adapter.tell(embeddings[:1] + 1)))


def test_what_is_saved_is_loaded_and_what_is_none_is_refused(tmp_path):
    adapter, path = make(num_layers=1), tmp_path / "adapter.safetensors"
    adapter.standardise.fit(torch.randn(20, 6))
    save_adapter(
        adapter, path, base="ba5e", size_px=64, needs="{}", trained_on=["ab" * 32], about={"a": "b"}
    )
    found = load_adapter(path)
    assert (found.base, found.size_px, found.needs, found.about["a"]) == ("ba5e", 64, "{}", "b")
    assert found.trained_on == {"ab" * 32}
    assert not any(weight.requires_grad for weight in found.network.parameters())
    for name, weight in adapter.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], weight)
    weights = {**adapter.state_dict(), "trained_on": torch.empty(0, 32).byte()}
    header = {**found.about, "size_px": ""}
    save_weights(path, weights, system=ADAPTER, header=header)
    with pytest.raises(CheckpointError, match="does not say the size of its pictures"):
        load_adapter(path)
    save_judge(JudgeNetwork({"shape": ("a", "b")}, size_px=16), path)
    with pytest.raises(CheckpointError, match="a checkpoint of 'judge of pictures'"):
        load_adapter(path)
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="a pickle, which is never opened"):
        load_adapter(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_tokens": 78}, "78 tokens: expected 1 to 77"),
        ({"num_tokens": 0}, "0 tokens"),
        ({"width": 15}, "width is 15: expected a multiple of the 2 heads"),
        ({"num_layers": -1}, "-1 layers"),
        ({"num_parts": 0}, "0 parts"),
        ({"num_dimensions": 0}, "vectors of 0 dimensions"),
    ],
)
def test_adapters_that_cannot_be(changes, told):
    with pytest.raises(ConfigError, match=told):
        make(**changes)
