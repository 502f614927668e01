import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.regions import choose_regions

AREA = np.array(["V1"] * 40 + ["V4"] * 20 + ["IT"] * 30)
RELIABILITY = np.concatenate(
    [np.linspace(0.5, 1.0, 40), np.linspace(0.3, 0.9, 20), np.linspace(0.0, 0.8, 30)]
)


def test_regions_alone_left_out_and_as_many():
    found = {choice.name: choice for choice in choose_regions(AREA)}
    assert found["V1 alone"].draws[0].tolist() == list(range(40))
    assert found["without V4"].draws[0].tolist() == [*range(40), *range(60, 90)]
    assert len(found) == 9
    for name in ("V1", "V4", "IT"):
        draws = found[f"{name}, 20 electrodes"].draws
        assert len(draws) == 5
        assert all(np.all(AREA[draw] == name) and len({*draw.tolist()}) == 20 for draw in draws)
    assert len({tuple(draw) for draw in found["V1, 20 electrodes"].draws}) == 5


def test_matched_electrodes_are_as_many_and_as_reliable():
    found = [c for c in choose_regions(AREA, RELIABILITY) if c.name.endswith("as reliable")]
    assert [choice.region for choice in found] == ["IT", "V1", "V4"]
    sizes = {len(draw) for choice in found for draw in choice.draws}
    assert len(sizes) == 1
    assert sizes.pop() >= 8
    means = [np.mean([RELIABILITY[draw].mean() for draw in choice.draws]) for choice in found]
    assert np.ptp(means) < 0.06
    alone = [RELIABILITY[name == AREA].mean() for name in ("IT", "V1", "V4")]
    assert np.ptp(alone) > 0.3


def test_where_nothing_is_in_common_nothing_is_matched():
    apart = np.where(AREA == "V1", 0.9, 0.1) + np.linspace(0, 0.01, 90)
    names = [choice.name for choice in choose_regions(AREA, apart)]
    assert not any("as reliable" in name for name in names)


def test_one_region_is_not_compared():
    with pytest.raises(DataError, match="regions are V4: two are needed"):
        choose_regions(np.full(9, "V4"))
    with pytest.raises(DataError, match="regions are unknown"):
        choose_regions(np.full(9, ""))
