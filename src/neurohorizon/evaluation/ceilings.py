"""What could be reached at best, where that is known: simulated worlds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import Role, SessionCase
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import pooled
from neurohorizon.ops.binning import to_ticks
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import Windows
from neurohorizon.simulate.observer import IdealObserver
from neurohorizon.simulate.session import SimulatedSession
from neurohorizon.simulate.workers import map_in_processes

_TOLD: dict[Literal["current", "reference"], str] = {
    "current": "gains known",
    "reference": "reference gains",
}
ExpectedCounts = Callable[[SessionCase], NDArray[np.floating]]


class Ceiling:
    """A row that knows how the data were made.

    Parameters
    ----------
    name : str
    expected_counts : callable
        Given a case, returns the expected counts (T, N, B) after all its origins.
    """

    role: Role = "ceiling"

    def __init__(self, name: str, expected_counts: ExpectedCounts) -> None:
        self.name = name
        self.expected_counts = expected_counts
        self._of: tuple[SessionCase, NDArray[np.floating]] | None = None

    def forecast(self, case: SessionCase, windows: Windows) -> NDArray[np.floating]:
        """Look the windows up among all of the case's, forecast in one pass."""
        if self._of is None or self._of[0] is not case:
            self._of = (case, self.expected_counts(case))
        row = np.searchsorted(to_ticks(case.origins_s), to_ticks(windows.origins_s))
        return self._of[1][row]


def ideal_observers(
    sessions: Mapping[str, SimulatedSession],
    cases: Sequence[SessionCase],
    *,
    num_particles: int = 1000,
    num_rollouts: int = 250,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Ceiling]:
    """Make the rows of the particle filter that knows the world and sees only the spikes.

    Parameters
    ----------
    sessions : mapping of str to SimulatedSession
        By recording id; same spikes, same order of units.
    cases : sequence of SessionCase
        What is forecast, here and now, in as many processes as there are cores.
    num_particles, num_rollouts, seed : int
    progress : callable, optional
        Called with (forecast passes done, passes in all): one a row and case.

    Returns
    -------
    list of Ceiling
        "gains known" is told each unit's gain at every moment, "reference gains" only its
        mean over what precedes the scored stretch.

    Raises
    ------
    DataError
        If a case is of no simulated session, or of one with other units.
    """
    tasks = [
        partial(
            _observe,
            _session_of(sessions, case),
            origins_s=case.origins_s,
            spec=case.protocol.spec,
            gains=gains,
            reference_s=float(case.scored[0, 0]),
            num_particles=num_particles,
            num_rollouts=num_rollouts,
            seed=seed,
        )
        for gains in _TOLD
        for case in cases
    ]
    expected = []
    for counts in map_in_processes(_call, tasks):
        expected.append(counts)
        if progress is not None:
            progress(len(expected), len(tasks))
    ids = [case.recording.id for case in cases]
    return [
        Ceiling(
            f"ideal observer ({told})",
            partial(_look_up, dict(zip(ids, expected[first : first + len(ids)], strict=True))),
        )
        for told, first in zip(_TOLD.values(), (0, len(ids)), strict=True)
    ]


def _look_up(expected: Mapping[str, FloatArray], case: SessionCase) -> FloatArray:
    return expected[case.recording.id]


def _observe(
    session: SimulatedSession,
    *,
    origins_s: FloatArray,
    spec: WindowSpec,
    gains: Literal["current", "reference"],
    reference_s: float,
    num_particles: int,
    num_rollouts: int,
    seed: int,
) -> FloatArray:
    observer = IdealObserver(
        session,
        num_particles=num_particles,
        num_rollouts=num_rollouts,
        gains=gains,
        reference_s=reference_s,
        seed=seed,
    )
    return observer.forecast(origins_s, bin_s=spec.bin_s, num_bins=spec.num_bins)


def _call(task: Callable[[], FloatArray]) -> FloatArray:
    return task()


def reached(result: EvaluationResult, name: str, ceiling: str) -> FloatArray:
    """Return the share of the reachable bits that a row reached, by horizon, (H,).

    Parameters
    ----------
    result : EvaluationResult
        With both rows.
    name, ceiling : str
        Names of the row and of the ceiling.
    """
    return pooled(result, name).value / pooled(result, ceiling).value


def _session_of(sessions: Mapping[str, SimulatedSession], case: SessionCase) -> SimulatedSession:
    session = sessions.get(case.recording.id)
    if session is None:
        raise DataError(
            f"{case.recording.id}: no simulated session of this id: a ceiling is known only for "
            "simulated recordings"
        )
    if session.num_units != case.recording.num_units:
        raise DataError(
            f"{case.recording.id}: the simulated session has {session.num_units} units, the "
            f"recording {case.recording.num_units}: expected the same units in the same order"
        )
    return session
