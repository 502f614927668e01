"""The oracle gate lets through what draws its embedding, and nothing else."""

import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.pictures.gate import (
    FEWEST_PICTURES,
    oracle_gate,
    require_other_network,
    require_passed,
    shuffled_order,
)
from neurohorizon.imaging.fingerprint import Fingerprint

JUDGE = Fingerprint("dinov2", weights="ab")
SMALL = Fingerprint("small", weights="cd", settings={"readout": "projected"})
NUM = 100


def truth(seed=0):
    return np.random.default_rng(seed).normal(size=(NUM, 16))


def seen(pictures, noise, seed=1):
    return pictures + noise * np.random.default_rng(seed).normal(size=pictures.shape)


def judged(true, from_true, from_shuffled, **settings):
    return oracle_gate(
        true, [from_true], [from_shuffled], network=JUDGE, conditioning=SMALL, **settings
    )


def test_a_generator_that_draws_its_embedding_passes():
    for seed in range(5):
        true = truth(seed)
        drawn = seen(true, 0.3)
        gate = judged(true, drawn, drawn[shuffled_order(NUM, seed=seed)])
        assert gate.passed, gate.reason
        assert gate.from_true.low > 0.9
        assert gate.top_1.value > 0.8
        assert (gate.network, gate.conditioning, gate.gallery) == ("dinov2", "small", 100)
        assert "chance 0.5" in gate.reason
        require_passed(gate, "tiny")


def test_pictures_that_are_anything_fail():
    true = truth()
    anything = truth(7)
    gate = judged(true, anything, anything[::-1])
    assert not gate.passed
    assert "does not read its embedding" in gate.reason
    with pytest.raises(
        DataError, match=r"^tiny: no result is reported, the oracle gate failed: "
    ) as e:
        require_passed(gate, "tiny")
    assert "\n" not in str(e.value)


def test_above_chance_is_not_enough():
    true = truth()
    drawn = seen(true, 3.0)
    gate = judged(true, drawn, drawn[shuffled_order(NUM)])
    assert gate.from_true.above
    assert 0.5 < gate.from_true.low < gate.from_true.value < 0.9
    assert not gate.passed
    assert "0.9 is asked" in gate.reason
    assert judged(true, drawn, drawn[shuffled_order(NUM)], threshold=0.6).passed


def test_a_generator_that_knows_the_picture_otherwise_fails():
    true = truth()
    drawn = seen(true, 0.3)
    gate = judged(true, drawn, seen(true, 2.0, seed=3))
    assert not gate.passed
    assert "should be at chance" in gate.reason


def test_shuffled_embeddings_rarely_fail_by_chance():
    failed = 0
    for seed in range(40):
        true = truth(seed)
        drawn = seen(true, 0.3, seed=seed + 100)
        failed += not judged(true, drawn, drawn[shuffled_order(NUM, seed=seed)]).passed
    assert failed <= 2


def test_the_same_network_may_not_judge():
    other_layer = Fingerprint("small", weights="cd", settings={"readout": "pooled"})
    with pytest.raises(ConfigError, match="judge by small, which made embeddings"):
        require_other_network(other_layer, SMALL)
    with pytest.raises(ConfigError, match="name another encoder"):
        require_other_network(Fingerprint("layout"), Fingerprint("layout"))
    renamed = Fingerprint("mine", weights="cd")
    with pytest.raises(ConfigError):
        require_other_network(renamed, SMALL)
    require_other_network(Fingerprint("small", weights="ef"), SMALL)
    require_other_network(Fingerprint("layout"), SMALL)
    with pytest.raises(ConfigError):
        oracle_gate(truth(), [truth()], [truth()], network=SMALL, conditioning=SMALL)


def test_too_few_pictures_show_nothing():
    few = truth()[: FEWEST_PICTURES - 1]
    with pytest.raises(DataError, match="19 pictures: it needs 20"):
        judged(few, few, few)
    with pytest.raises(DataError, match="no pictures from true, or none from shuffled"):
        oracle_gate(truth(), [truth()], [], network=JUDGE, conditioning=SMALL)


def test_shuffling_leaves_nothing_in_its_place():
    for num in (2, 3, 50):
        for seed in range(20):
            order = shuffled_order(num, seed=seed)
            assert sorted(order) == list(range(num))
            assert (order != np.arange(num)).all()
    assert len({tuple(shuffled_order(4, seed=seed)) for seed in range(200)}) == 6
    with pytest.raises(DataError, match="it takes two"):
        shuffled_order(1)
