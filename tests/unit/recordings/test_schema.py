from dataclasses import replace

import numpy as np

from neurohorizon.recordings.schema import Units


def units(num_units, prefix, **columns):
    return replace(Units.numbered(num_units, prefix=prefix), columns=columns)


def test_selected_units_keep_their_columns():
    some = units(4, "a", snr=np.arange(4.0), shape=np.arange(8).reshape(4, 2))
    kept = some.select(np.array([3, 1]))
    assert kept.id.tolist() == ["a_0003", "a_0001"]
    assert kept.columns["snr"].tolist() == [3.0, 1.0]
    assert kept.columns["shape"].tolist() == [[6, 7], [2, 3]]


def test_concatenated_units_keep_the_columns_that_all_have():
    first = units(2, "a", snr=np.arange(2.0), only=np.zeros(2))
    both = Units.concatenate([first, units(3, "b", snr=np.arange(3.0))])
    assert both.id.tolist() == ["a_0000", "a_0001", "b_0000", "b_0001", "b_0002"]
    assert both.position_um.shape == (5, 3)
    assert list(both.columns) == ["snr"]
    assert both.columns["snr"].tolist() == [0.0, 1.0, 0.0, 1.0, 2.0]
