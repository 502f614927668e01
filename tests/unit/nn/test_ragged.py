"""Parts of similar length: complete, little padding, few."""

import numpy as np
import pytest

from neurohorizon.nn.ragged import parts_of_similar_length

RNG = np.random.default_rng(0)
ROWS = {
    "alike": [7] * 50,
    "steady": RNG.poisson(200, 40),
    "bursting": np.round(RNG.pareto(0.8, 300) * 5).clip(max=2000).astype(int),
    "uniform": np.arange(500),
    "one": [3],
    "empty": [0, 0, 0],
}


@pytest.mark.parametrize("rows", ROWS)
def test_parts_hold_all_rows_and_little_padding(rows):
    lengths = sorted(np.asarray(ROWS[rows]).tolist(), reverse=True)
    sizes = parts_of_similar_length(lengths, others=30)
    assert sum(sizes) == len(lengths)
    assert min(sizes) >= 1
    assert len(sizes) <= 8
    firsts = np.cumsum([0, *sizes[:-1]])
    slots = sum(size * lengths[first] for size, first in zip(sizes, firsts, strict=True))
    total = sum(lengths) + 30 * len(lengths)
    assert slots - sum(lengths) <= 0.2 * total


def test_rows_alike_stay_together_and_the_number_of_rows_does_not_matter():
    assert parts_of_similar_length([7] * 50) == [50]
    lengths = ROWS["bursting"].tolist()
    few = parts_of_similar_length(sorted(lengths, reverse=True), others=30)
    many = parts_of_similar_length(sorted(lengths * 10, reverse=True), others=30)
    assert abs(len(few) - len(many)) <= 1
