"""A small evaluation whose numbers are easy to reason about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.evaluation.baselines.constant import Mean, OracleMean, ReferenceRate
from neurohorizon.evaluation.describe import describe_session
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.example import Example, choose_example, make_example
from neurohorizon.evaluation.protocol import Protocol, Role, SessionCase, prepare_case
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import RunResults, SetResults
from neurohorizon.recordings.schema import Table
from worlds import waving_recording


class Peek:
    """Forecast a mixture of the reference rate and the very counts to come."""

    def __init__(self, name: str, share: float, role: Role = "model") -> None:
        self.name, self.share, self.role = name, share, role

    def forecast(self, case, windows):
        base = (case.reference.rate_hz * windows.spec.bin_s)[None, :, None]
        return (1 - self.share) * base + self.share * windows.counts


@pytest.fixture(scope="package")
def peek() -> type[Peek]:
    return Peek


@pytest.fixture(scope="package")
def cases() -> list[SessionCase]:
    protocol = Protocol(reference_s=20.0, block_s=4.0, fewest_spikes=100)
    recordings = []
    for index in range(3):
        recording = waving_recording(num_units=8 + index, seed=index, name=f"s{index}")
        starts = np.arange(3.0, 117.0, 2.0)
        trials = Table(starts, starts + 1.5, {"go_onset_s": starts + 0.5})
        quality = recording.units.quality.astype("U16")
        if index == 2:
            quality[0] = "unsorted"
        recordings.append(
            replace(
                recording,
                tables={"trials": trials},
                units=replace(recording.units, quality=quality),
            )
        )
    return [prepare_case(recording, protocol, held_out=True) for recording in recordings]


@pytest.fixture(scope="package")
def rows(cases) -> EvaluationResult:
    forecasters = [Peek("model", 0.2), Mean(), ReferenceRate(), Peek("glm", 0.1, "baseline")]
    return evaluate([*forecasters, OracleMean()], cases, title="held-out waves")


@pytest.fixture(scope="package")
def observer(cases) -> EvaluationResult:
    """The ceiling, on every third window."""
    thinned = [case.thin(3) for case in cases]
    ceiling = Peek("ideal", 0.4, "ceiling")
    return evaluate([Peek("model", 0.2), Peek("glm", 0.1, "baseline"), ceiling], thinned)


@pytest.fixture(scope="package")
def example(cases, rows) -> Example:
    recording = choose_example(rows, "model")
    case = next(case for case in cases if case.recording.id == recording)
    bits = np.linspace(0.0, 1.0, int(case.scored_units.sum()))
    forecasters = [Peek("model", 0.2), Peek("glm", 0.1, "baseline")]
    return make_example(case, forecasters, bits_per_spike=bits)


@pytest.fixture(scope="package")
def results(cases, rows, observer, example) -> RunResults:
    ablations = evaluate([Peek("adapter withheld", 0.05)], cases)
    of_set = SetResults(
        name="held-out",
        rows=rows,
        ablations=ablations,
        observer=observer,
        by_reference={20.0: rows},
        example=example,
    )
    sessions = [describe_session(case.recording, held_out=True) for case in cases]
    return RunResults(sets={"held-out": of_set}, sessions=sessions, made_from={"seconds": 1.0})
