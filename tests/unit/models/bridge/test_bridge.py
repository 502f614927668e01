import numpy as np
import pytest
import torch

from bridge_worlds import answers, embeddings_of
from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.files import load_bridge, save_bridge
from neurohorizon.models.bridge.inputs import ResponseScale, TargetSpace
from neurohorizon.models.bridge.towers import TowerSpec

PICTURES = embeddings_of(60)
RESPONSES = answers(PICTURES)


def make(kind="mlp", *, measure="cosine", bins=0, project=True):
    shape = (16, bins) if bins else (16,)
    bridge = Bridge(
        num_dimensions=12,
        num_components=6,
        whitening=0.5,
        root=False,
        neural=TowerSpec(kind, shape, 9 if project else 6, width=32),
        image=TowerSpec("linear", (6,), 9) if project else None,
        measure=measure,
    ).eval()
    bridge.scale.fit(answers(PICTURES, bins=bins))
    bridge.space.fit(PICTURES)
    return bridge


def test_responses_are_standardised_and_what_is_missing_is_the_mean():
    values = RESPONSES.copy()
    values[:, 3] = 7.0  # never changes
    values[4, 5] = np.nan
    scale = ResponseScale((16,)).fit(values)
    read = scale.read(values).numpy()
    assert np.allclose(read.mean(axis=0), 0, atol=1e-5)
    moving = np.arange(16) != 3
    assert np.allclose(read.std(axis=0)[moving], 1, atol=0.02)
    assert not read[:, 3].any()
    assert read[4, 5] == 0
    rooted = ResponseScale((16,), root=True).fit(-values)
    assert np.isfinite(rooted.read(-values).numpy()).all(), "negative values have a root too"


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_the_space_holds_the_leading_components(whitening):
    from sklearn.decomposition import PCA

    space = TargetSpace(12, 5, whitening=whitening).fit(PICTURES)
    places = space.read(PICTURES).numpy()
    theirs = PCA(5, svd_solver="full").fit_transform(PICTURES.astype(np.float64))
    for mine, other in zip(places.T, theirs.T, strict=True):
        assert abs(np.corrcoef(mine, other)[0, 1]) == pytest.approx(1, abs=1e-5)
    spread = places.var(axis=0)
    assert np.mean(places**2) == pytest.approx(1, rel=1e-4)
    ratio = theirs.var(axis=0) ** (1 - whitening)
    assert spread / spread[0] == pytest.approx(ratio / ratio[0], rel=1e-3)
    back = space.embeddings(space.read(PICTURES)).numpy()
    best = PCA(5, svd_solver="full").fit(PICTURES)
    expected = best.inverse_transform(best.transform(PICTURES))
    assert np.allclose(back, expected, atol=1e-4)


def test_the_space_of_few_pictures_is_the_same():
    from sklearn.decomposition import PCA

    few = np.random.default_rng(0).normal(size=(15, 40)).astype(np.float32)
    places = TargetSpace(40, 6).fit(few).read(few).numpy()
    theirs = PCA(6, svd_solver="full").fit_transform(few.astype(np.float64))
    for mine, other in zip(places.T, theirs.T, strict=True):
        assert abs(np.corrcoef(mine, other)[0, 1]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["linear", "mlp", "temporal", "perceiver"])
def test_each_response_and_picture_is_read_by_itself(kind):
    bins = 5 if kind == "temporal" else 0
    bridge = make(kind, bins=bins)
    values = answers(PICTURES, bins=bins)
    whole = bridge.similarity(values, PICTURES)
    assert whole.shape == (60, 60)
    assert np.allclose(bridge.similarity(values[7:8], PICTURES), whole[7:8], atol=1e-5)
    assert np.allclose(bridge.similarity(values, PICTURES[20:30]), whole[:, 20:30], atol=1e-5)
    assert np.abs(whole).max() <= 1 + 1e-5


def test_a_temporal_tower_weighs_bins():
    bridge = make("temporal", bins=5)
    values = answers(PICTURES, bins=5)
    moved = values.copy()
    moved[:, :, 2] += np.random.default_rng(0).normal(size=moved.shape[:2])
    assert not np.allclose(bridge.similarity(moved, PICTURES), bridge.similarity(values, PICTURES))
    with pytest.raises(ConfigError, match="reads time bins"):
        make("temporal")


@pytest.mark.parametrize(
    ("kind", "measure", "bins"),
    [
        ("linear", "likelihood", 0),
        ("mlp", "cosine", 0),
        ("temporal", "cosine", 4),
        ("perceiver", "cosine", 4),
    ],
)
def test_a_saved_bridge_is_the_same(tmp_path, kind, measure, bins):
    bridge = make(kind, measure=measure, bins=bins)
    if measure == "likelihood":
        bridge.marginal.copy_(torch.eye(9) / 2)
    save_bridge(bridge, tmp_path / "b.safetensors", about={"row": "one"})
    loaded, header = load_bridge(tmp_path / "b.safetensors")
    values = answers(PICTURES, bins=bins)
    found = loaded.similarity(values, PICTURES)
    assert np.allclose(found, bridge.similarity(values, PICTURES), atol=1e-6)
    assert header["row"] == "one"


def test_what_does_not_fit_is_told_in_a_line(tmp_path):
    bridge = make()
    with pytest.raises(DataError, match="the model was trained on"):
        bridge.similarity(RESPONSES[:, :9], PICTURES)
    with pytest.raises(DataError, match="give the bank that it was trained on"):
        bridge.similarity(RESPONSES, PICTURES[:, :4])
    with pytest.raises(ConfigError, match="no common space"):
        Bridge(
            num_dimensions=12,
            num_components=6,
            whitening=0,
            root=False,
            neural=TowerSpec("linear", (16,), 5),
            image=None,
        )
    with pytest.raises(DataError, match="fewer than 13 components"):
        TargetSpace(12, 13).fit(PICTURES)
    (tmp_path / "b.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        load_bridge(tmp_path / "b.safetensors")
