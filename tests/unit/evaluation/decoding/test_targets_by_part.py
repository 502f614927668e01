"""A target that drifts between training and test is told in one line; a steady one is not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from decoding_cases import wandering_case
from neurohorizon.evaluation.decoding.targets_by_part import (
    PARTS,
    kolmogorov_distance,
    targets_by_part,
    warnings_of,
)


def test_numbers_are_those_of_the_parts():
    case = wandering_case(length_s=120.0)
    found = targets_by_part([case])
    assert [each.column for each in found] == [0, 1]
    for index, name in enumerate(PARTS):
        values = case.part(name).values[:, 1]
        assert found[1].counts[index] == len(values)
        assert found[1].mean[index] == pytest.approx(values.mean())
        assert found[1].quantiles[index, 3] == pytest.approx(np.median(values))
        assert found[1].shares[index].sum() == pytest.approx(1.0)
    train, test = (case.part(name).values[:, 0] for name in ("train", "test"))
    assert found[0].distance[2] == pytest.approx(ks_2samp(train, test).statistic)
    assert found[0].shift[2] == pytest.approx((test.mean() - train.mean()) / train.std())
    assert found[0].distance[0] == 0.0


def test_interleaved_is_quiet_and_a_drift_behind_one_cut_is_told():
    case = wandering_case(length_s=400.0)
    assert warnings_of(targets_by_part([case])) == []
    drifting = replace(
        case,
        values=case.values + 0.01 * case.times_s[:, None] * np.array([1.0, 0.0]),
        train=np.array([[0.0, 240.0]]),
        valid=np.array([[240.0, 280.0]]),
        test=np.array([[280.0, 400.0]]),
    )
    (line,) = warnings_of(targets_by_part([drifting]))
    assert "wander-0, task place: the test part's distribution is not that of training" in line
    assert "column 0 has moved by +" in line
    assert "interleave the split" in line


def test_classes_are_counted():
    case = wandering_case(kind="binary", length_s=120.0)
    (found,) = targets_by_part([case])
    share = float(np.mean(case.part("train").values))
    assert found.shares[0].tolist() == pytest.approx([1 - share, share])
    assert found.classes == ("left", "right")
    one_sided = replace(case, values=np.where(case.times_s > 60, 1, case.values))
    cut = replace(
        one_sided,
        train=np.array([[0.0, 50.0]]),
        valid=np.array([[50.0, 60.0]]),
        test=np.array([[60.0, 120.0]]),
    )
    (line,) = warnings_of(targets_by_part([cut]))
    assert "of its time stamps are of other classes" in line
    records = found.table()
    assert [record["part"] for record in records] == list(PARTS)
    assert records[0]["shares"].startswith("left ")


def test_an_empty_part_is_told_and_no_crash():
    case = replace(wandering_case(length_s=60.0), test=np.empty((0, 2)))
    assert "the test part has no value" in warnings_of(targets_by_part([case]))[0]
    assert np.isnan(kolmogorov_distance(np.empty(0), np.ones(2)))
