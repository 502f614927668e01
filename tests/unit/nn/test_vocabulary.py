"""Rows belong to words: growing, loading and saving never mix them up."""

import json

import pytest
import torch
from torch import nn

from neurohorizon.errors import DataError
from neurohorizon.nn.vocabulary import Vocabulary


def grown(*words: str) -> Vocabulary:
    torch.manual_seed(1)
    vocabulary = Vocabulary(5, what="units")
    vocabulary.extend(words)
    return vocabulary


def test_growing_keeps_parameter_rows_and_order():
    vocabulary = grown("a/1", "a/2")
    parameter, before = vocabulary.weight, vocabulary.weight.detach().clone()
    assert vocabulary.extend(["b/1", "a/1", "b/1"])
    assert vocabulary.weight is parameter
    assert vocabulary.weight.shape == (4, 5)
    torch.testing.assert_close(vocabulary.weight[:3].detach(), before, rtol=0, atol=0)
    assert vocabulary.words == ("a/1", "a/2", "b/1")
    assert not vocabulary.extend(["a/2"])
    assert vocabulary.rows(["b/1", "a/1"]).tolist() == [3, 1]


def test_new_rows_are_small_and_random_and_row_zero_is_zero():
    vocabulary = Vocabulary(64)
    vocabulary.extend(f"unit {index}" for index in range(500))
    assert vocabulary.weight[0].eq(0).all()
    assert vocabulary.weight[1:].std().item() == pytest.approx(0.02, rel=0.02)


def test_words_need_not_be_ascii():
    vocabulary = grown("Größe/単位", "б/1")
    again = Vocabulary(5)
    again.load_state_dict(vocabulary.state_dict())
    assert again.words == ("Größe/単位", "б/1")


def test_unknown_words_are_refused_or_read_row_zero():
    vocabulary = grown("a/1")
    assert vocabulary.rows(["new", "a/1"], unknown="zero").tolist() == [0, 1]
    with pytest.raises(DataError, match=r"units: 'new' and 1 more of 3 not among the 1") as caught:
        vocabulary.rows(["new", "a/1", "newer"])
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="one text 'a/1'"):
        vocabulary.extend("a/1")
    with pytest.raises(DataError, match="not empty, got ''"):
        vocabulary.extend(["b", ""])
    assert vocabulary.words == ("a/1",)


def test_the_unknown_row_is_never_learned():
    vocabulary = grown("a/1")
    vocabulary(torch.tensor([0, 1])).sum().backward()
    assert vocabulary.weight.grad is not None
    assert vocabulary.weight.grad.eq(torch.tensor([[0.0], [1.0]])).all()


def test_growing_drops_a_gradient_of_the_old_shape_and_learns_on():
    vocabulary = grown("a/1")
    vocabulary(torch.tensor([1])).sum().backward()
    vocabulary.extend(["a/2"])
    assert vocabulary.weight.grad is None
    vocabulary(torch.tensor([2])).sum().backward()
    assert vocabulary.weight.grad.shape == vocabulary.weight.shape


def test_an_empty_vocabulary_takes_over_the_words_of_a_state():
    state = grown("a/1", "a/2").state_dict()
    copies = {name: tensor.clone() for name, tensor in state.items()}
    for _ in range(2):
        vocabulary = Vocabulary(5)
        parameter = vocabulary.weight
        vocabulary.load_state_dict(state)
        assert vocabulary.weight is parameter
        assert vocabulary.words == ("a/1", "a/2")
        for name, tensor in copies.items():
            assert torch.equal(state[name], tensor)
            assert torch.equal(vocabulary.state_dict()[name], tensor)


def test_rows_follow_their_words_into_another_order():
    first, second = grown("a/1", "a/2", "b/1"), grown("b/1", "a/1", "a/2")
    state = first.state_dict()
    second.load_state_dict(state)
    assert second.words == ("b/1", "a/1", "a/2")
    words = list(first.words)
    assert torch.equal(second(second.rows(words)), first(first.rows(words)))
    assert json.loads(bytes(state["words"].tolist())) == words  # what was read is as it was


@pytest.mark.parametrize("words", [("a/1",), ("a/1", "a/2", "b/1"), ("a/1", "c/1")])
def test_another_vocabulary_is_refused_and_changes_nothing(words):
    vocabulary, state = grown("a/1", "a/2"), grown(*words).state_dict()
    before = vocabulary.weight.detach().clone()
    with pytest.raises(RuntimeError, match="load it into an empty vocabulary, then extend that"):
        vocabulary.load_state_dict(state)
    assert torch.equal(vocabulary.weight, before)
    assert vocabulary.words == ("a/1", "a/2")
    Vocabulary(5).load_state_dict(state)


def test_states_that_do_not_belong_are_refused():
    state = grown("a/1").state_dict()
    for broken, told in (
        ({"weight": state["weight"]}, "Missing key"),
        (state | {"weight": torch.zeros(3, 5)}, "need rows of shape"),
        (state | {"colour": torch.zeros(1)}, "Unexpected key"),
    ):
        with pytest.raises(RuntimeError, match=told):
            Vocabulary(5).load_state_dict(broken)


def test_a_state_inside_a_model_and_a_file_of_tensors(tmp_path):
    model = nn.ModuleDict({"units": grown("a/1", "ü/2")})
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other = nn.ModuleDict({"units": Vocabulary(5)})
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert other["units"].words == ("a/1", "ü/2")
