"""What benchmarks keep of the runs of a sweep: enough for its tables."""

import sys
from pathlib import Path

import numpy as np
import pytest

from neurohorizon.evaluation.sweep_results import RecordingSums, SeedResult, SetSums
from neurohorizon.evaluation.sweep_steps import bits_of, step_between

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def packed_runs(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield __import__("packed_runs")
    sys.modules.pop("packed_runs")


def made(seed, better=0.0):
    random = np.random.default_rng(seed)
    recordings = {
        f"session{number}": RecordingSums(
            gain=random.normal(size=(6, 2)) + 20 + better,
            spikes=np.full((6, 2), 100 + number),
            block=np.arange(6),
            origin_ticks=np.arange(60) * 500_000,
            origin_block=np.repeat(np.arange(6), 10),
        )
        for number in range(9)
    }
    sums = SetSums("held out", (0.1, 1.0), recordings)
    return SeedResult(
        seed=seed,
        sets={"held-out": sums},
        by_reference={},
        withheld={"no adapter": {"held-out": sums}},
        forced={},
        strongest={"held-out": (sums, ["stack", "ridge"])},
        num_parameters=7,
        seconds=1.23,
    )


def test_a_run_that_was_packed_is_scored_as_it_was(packed_runs, tmp_path):
    path = tmp_path / "runs.json"
    first, other = made(0), made(1, better=0.5)
    packed = packed_runs.PackedRuns(path)
    packed.add("seed=0", first, whole=True)
    packed.add("bin_s=0.01 seed=1", other, whole=False)
    again = packed_runs.PackedRuns(path)
    assert "seed=0" in again
    assert "seed=2" not in again
    assert len(again.windows) == 9  # of the recordings, once for both runs
    found = [again.open(key) for key in ("seed=0", "bin_s=0.01 seed=1")]
    for one, before in zip(found, (first, other), strict=True):
        np.testing.assert_allclose(
            bits_of(one.sets["held-out"]), bits_of(before.sets["held-out"]), atol=1e-5
        )
        assert (one.seed, one.num_parameters) == (before.seed, 7)
    assert found[0].strongest["held-out"][1] == ["stack", "ridge"]
    assert "no adapter" in found[0].withheld
    assert found[1].withheld == found[1].strongest == {}
    steps = [
        step_between({0: b.sets["held-out"]}, {0: a.sets["held-out"]})
        for a, b in (found, (first, other))
    ]
    np.testing.assert_allclose(steps[0].interval.low, steps[1].interval.low, atol=1e-5)
    assert steps[0].same_windows
    np.testing.assert_allclose(steps[0].p, steps[1].p)
