"""The map keeps what is alike together, and says what a session alone explains."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.evaluation.identities import Identities, gather_identities
from neurohorizon.report.identity_map import (
    compute_identity_map,
    draw_identity_map,
    panels_of,
)
from neurohorizon.report.style import new_figure


def identities(vectors, *, recording, area=None) -> Identities:
    num_units = len(vectors)
    generator = np.random.default_rng(1)
    return Identities(
        recording=np.array(recording),
        unit=np.array([f"u{index}" for index in range(num_units)]),
        area=np.array([""] * num_units if area is None else area),
        rate_hz=np.geomspace(0.1, 20.0, num_units),
        statistics=generator.gamma(2.0, 1.0, (num_units, 33)).astype(np.float32),
        functional=generator.standard_normal((num_units, 43)).astype(np.float32),
        vectors=np.asarray(vectors, dtype=np.float32),
    )


@pytest.fixture
def clumped() -> Identities:
    """Units whose vectors go by area, and not at all by recording."""
    generator = np.random.default_rng(0)
    kind = np.arange(40) % 2
    vectors = generator.normal(0.0, 0.1, (40, 8))
    vectors[:, 3] += 5.0 * kind
    area = np.where(kind == 1, "CA1", "V1").tolist()
    return identities(vectors, recording=["one", "one", "two", "two"] * 10, area=area)


def test_units_that_are_alike_lie_together(clumped):
    data = compute_identity_map({"held-out": clumped})
    assert data is not None
    side = data.position[:, 0] > 0
    area = np.array(data.area)
    assert set(area[side]) != set(area[~side])
    assert len(set(area[side])) == len(set(area[~side])) == 1
    assert data.explained[0] > 0.9
    assert data.what == "the model's identity vectors"
    share, chance = data.same["area"]
    assert share == 1.0
    assert chance == pytest.approx(19 / 39)
    share, chance = data.same["recording"]
    assert abs(share - chance) < 0.3


def test_distances_in_the_plane_are_those_of_the_vectors(clumped):
    flat = replace(clumped, vectors=clumped.vectors * np.array([0, 0, 0, 1, 1, 0, 0, 0]))
    data = compute_identity_map({"later": flat})
    assert data is not None
    pairs = [(0, 1), (3, 8), (10, 39)]
    for one, other in pairs:
        there = np.linalg.norm(flat.vectors[one] - flat.vectors[other])
        here = np.linalg.norm(data.position[one] - data.position[other])
        assert here == pytest.approx(there, rel=1e-4)


def test_without_a_model_the_features_are_standardised(clumped):
    bare = replace(clumped, vectors=np.empty((40, 0), dtype=np.float32))
    data = compute_identity_map({"later": bare})
    # Units of measure must not matter, nor how much was read of each recording.
    statistics, functional = bare.statistics.copy(), bare.functional.copy()
    statistics[:, 5] *= 1000.0
    functional[:, -1] = 1e6
    again = compute_identity_map(
        {"later": replace(bare, statistics=statistics, functional=functional)}
    )
    assert data is not None
    assert again is not None
    assert np.allclose(data.position, again.position, atol=1e-6)
    assert "standardised" in data.what


def test_sets_are_joined_and_told_apart(cases, clumped):
    held_out = gather_identities(cases)
    later = replace(held_out, recording=np.char.add("t", held_out.recording))
    data = compute_identity_map({"held-out": held_out, "later": later})
    assert data is not None
    assert len(data.table()) == 2 * len(held_out)
    assert set(data.used_for) == {"held out", "training"}
    # Every unit has a twin in the other set, and twins lie on each other.
    assert np.allclose(data.position[: len(held_out)], data.position[len(held_out) :])
    assert data.same["recording"][0] == 0.0
    few = replace(clumped, **{name: getattr(clumped, name)[:3] for name in vars(clumped)})
    assert compute_identity_map({"held-out": few}) is None


def test_panels_are_those_of_what_is_known(cases, clumped):
    data = compute_identity_map({"later": clumped})
    assert data is not None
    assert panels_of(data) == ["recording", "area", "rate"]
    axes = new_figure(180, 80).subplots(1, 3)
    draw_identity_map(data, list(axes))
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["CA1", "V1"]
    bare = compute_identity_map({"later": gather_identities(cases)})
    assert bare is not None
    assert panels_of(bare) == ["recording", "rate"]


def test_many_recordings_are_told_by_their_use(clumped):
    many = replace(clumped, recording=np.array([f"r{index}" for index in range(40)]))
    data = compute_identity_map({"later": many})
    assert data is not None
    axes = new_figure(180, 80).subplots(1, 3)
    draw_identity_map(data, list(axes))
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["training"]
