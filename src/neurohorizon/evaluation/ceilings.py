"""What could be reached at best, where that is known: simulated worlds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import Role, SessionCase
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import pooled
from neurohorizon.ops.binning import to_ticks
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import Windows
from neurohorizon.simulate.observer import IdealObserver
from neurohorizon.simulate.session import SimulatedSession

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


def ideal_observer(
    sessions: Mapping[str, SimulatedSession],
    *,
    gains: Literal["current", "reference"] = "current",
    num_particles: int = 1000,
    num_rollouts: int = 250,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Ceiling:
    """Make the row of the particle filter that knows the world and sees only the spikes.

    Parameters
    ----------
    sessions : mapping of str to SimulatedSession
        By recording id; same spikes, same order of units.
    gains : {"current", "reference"}
        Whether the observer is told each unit's gain at every moment, or only its mean
        over what precedes the scored stretch.
    num_particles, num_rollouts, seed : int
    progress : callable, optional
        Called with (origins done, origins in all) of a recording.
    """

    def expected_counts(case: SessionCase) -> FloatArray:
        spec = case.protocol.spec
        observer = IdealObserver(
            _session_of(sessions, case),
            num_particles=num_particles,
            num_rollouts=num_rollouts,
            gains=gains,
            reference_s=float(case.scored[0, 0]),
            seed=seed,
        )
        return observer.forecast(
            case.origins_s, bin_s=spec.bin_s, num_bins=spec.num_bins, progress=progress
        )

    told = "gains known" if gains == "current" else "reference gains"
    return Ceiling(f"ideal observer ({told})", expected_counts)


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
