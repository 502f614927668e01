"""What is scored, against what, and what a forecaster may read: the protocol.

A *case* is one recording made ready: its reference, its scored origins and its null. All
rows of a table are scored on the same cases, so on the same windows, against the same
null, with the same seconds of reference.

Origins lie every 0.5 s and forecast 1 s, so windows overlap. That is meant: what is scored
is each pair of an origin and a bin, which is one forecast made at one time; a bin of the
recording is forecast from two origins at two distances. No pair counts twice
(:class:`~neurohorizon.evaluation.scores.Scores` refuses an origin it has seen), and since
neighbouring forecasts share spikes, intervals are bootstrapped over blocks of 30 s or over
sessions, never over windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, runtime_checkable
from typing import Protocol as StructuralProtocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.calibration import CountBounds
from neurohorizon.evaluation.null import NullModel, count_between, session_null
from neurohorizon.ops.intervals import as_intervals, subtract, total_s
from neurohorizon.recordings.reference import Reference, compute_reference
from neurohorizon.recordings.reference_pool import last_stretch
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import History, WindowReader, Windows

Role = Literal["model", "baseline", "ceiling", "cheat"]

LEFT_OUT_QUALITIES = ("unsorted",)
"""Quality words of units that are left out unless somebody says otherwise."""

_CHUNK = 256


@dataclass(frozen=True)
class Protocol:
    """How forecasts are scored.

    Parameters
    ----------
    spec : WindowSpec
    horizons_s : tuple of float
        Horizons that tables report, in seconds; a score is cumulative, over all bins from
        the origin to the horizon.
    origin_step_s : float
        Seconds between origins.
    reference_s : float or None
        Seconds of reference; None for all that may be read.
    block_s : float
        Length of the blocks that intervals are bootstrapped over, in seconds.
    fewest_spikes : int
        A recording with fewer spikes in its scored part is shown, not scored.
    left_out_qualities : tuple of str
        Units with these quality words are not scored.

    Raises
    ------
    ConfigError
        If a horizon is no whole number of bins or a quantity makes no sense.
    """

    spec: WindowSpec = field(default_factory=WindowSpec)
    horizons_s: tuple[float, ...] = (0.1, 0.24, 0.5, 1.0)
    origin_step_s: float = 0.5
    reference_s: float | None = 120.0
    block_s: float = 30.0
    fewest_spikes: int = 2000
    left_out_qualities: tuple[str, ...] = LEFT_OUT_QUALITIES

    def __post_init__(self) -> None:
        for name in ("origin_step_s", "reference_s", "block_s"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ConfigError(f"{name} is {value} s: it must be positive")
        bins = [self.spec.bins_until(horizon_s) for horizon_s in self.horizons_s]
        if not bins or sorted(set(bins)) != bins or bins[0] < 1 or bins[-1] > self.spec.num_bins:
            raise ConfigError(
                f"horizons_s is {self.horizons_s}: expected rising horizons of at most "
                f"{self.spec.horizon_s:g} s, the horizon of the windows"
            )

    @property
    def comparable(self) -> Protocol:
        """The same without what models read besides spikes: that is their own affair."""
        return replace(self, spec=self.spec.geometry)

    @property
    def horizon_bins(self) -> NDArray[np.int64]:
        """Number of bins up to each reported horizon."""
        return np.array([self.spec.bins_until(horizon_s) for horizon_s in self.horizons_s])


@dataclass(frozen=True)
class KnownSession:
    """What a forecaster may read of a session besides a window: its past and its reference.

    Parameters
    ----------
    recording : Recording
    reference : Reference
    history : History
        Says from where on the past may be read.
    scored_units : (N,) bool
        Units that count.
    """

    recording: Recording
    reference: Reference
    history: History
    scored_units: NDArray[np.bool_]


@dataclass(frozen=True)
class SessionCase:
    """One recording, ready to be scored.

    Parameters
    ----------
    protocol : Protocol
    known : KnownSession
    origins_s : (T,) float
        Origins to forecast from, in seconds, sorted.
    scored : (K, 2) float
        The stretches they lie in.
    null : NullModel
    held_out : bool
        Whether the recording was held out as a whole, or only its later time.
    """

    protocol: Protocol
    known: KnownSession
    origins_s: FloatArray
    scored: FloatArray
    null: NullModel
    held_out: bool

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self.known.recording

    @property
    def reference(self) -> Reference:
        """The reference that every forecaster reads."""
        return self.known.reference

    @property
    def scored_units(self) -> NDArray[np.bool_]:
        """Units that count, shape (N,)."""
        return self.known.scored_units

    @cached_property
    def num_spikes(self) -> int:
        """Spikes of scored units in the scored targets, each counted once."""
        ends = self.origins_s + self.protocol.spec.horizon_s
        counts = count_between(
            self.recording, as_intervals(np.column_stack([self.origins_s, ends]))
        )
        return int(counts[self.scored_units].sum())

    @property
    def why_not_scored(self) -> str:
        """Why the recording is shown but not scored; empty if it is scored."""
        if self.num_spikes >= self.protocol.fewest_spikes:
            return ""
        return f"{self.num_spikes} test spikes, fewer than {self.protocol.fewest_spikes}"

    def left_out_units(self) -> dict[str, str]:
        """Return why each unit that is not scored is not: id to reason."""
        units = self.recording.units
        return {
            str(units.id[index]): f"quality {str(units.quality[index])!r}"
            for index in np.flatnonzero(~self.scored_units)
        }

    def chunks(self, size: int = _CHUNK) -> Iterator[Windows]:
        """Read the windows, a bounded number of origins at a time."""
        reader = WindowReader(self.recording, self.protocol.spec, self.known.history)
        for start in range(0, len(self.origins_s), size):
            yield self.reference.read_windows(reader, self.origins_s[start : start + size])

    def thin(self, every: int) -> SessionCase:
        """Return the case with every so many-th origin, for forecasters that are slow."""
        return replace(self, origins_s=self.origins_s[::every])


@dataclass(frozen=True)
class CountForecast:
    """A forecast that says more than expected counts.

    Parameters
    ----------
    expected_counts : (T, N, B) float
    log_prob : (T, N, B) float
        Log-probability of the counts that were observed, in nats, under the forecaster's own
        distribution. It is scored beside the expected counts, which are scored as Poisson.
    totals : CountBounds, optional
        Of the counts summed from the origin to each reported horizon, (T, N, H): where they fall
        in what was forecast of them. Without it nothing is said of its calibration.
    """

    expected_counts: NDArray[np.floating]
    log_prob: NDArray[np.floating]
    totals: CountBounds | None = None


def expected_of(forecast: NDArray[np.floating] | CountForecast) -> NDArray[np.floating]:
    """Return the expected counts of a forecast, whatever else it says."""
    return forecast.expected_counts if isinstance(forecast, CountForecast) else forecast


@runtime_checkable
class Forecaster(StructuralProtocol):
    """Anything that forecasts expected counts.

    A class attribute ``role`` ("baseline", "ceiling" or "cheat") says how tables treat the
    row; without it the row is a "model".
    """

    @property
    def name(self) -> str:
        """The row's name in tables."""
        ...

    def forecast(self, case: SessionCase, windows: Windows) -> NDArray[np.floating] | CountForecast:
        """Forecast the expected counts that follow each origin.

        Parameters
        ----------
        case : SessionCase
            The session, of which only `case.known` may be read.
        windows : Windows
            All but their `counts` may be read.

        Returns
        -------
        (T, N, B) float or CountForecast
            Expected counts by window, unit (left-out ones included) and bin, all positive; with
            a distribution that is not Poisson, what it makes of the windows' `counts` too.
        """
        ...


def prepare_case(
    recording: Recording,
    protocol: Protocol,
    *,
    held_out: bool,
    part: Literal["valid", "test"] = "test",
    history: History | None = None,
) -> SessionCase:
    """Make a recording ready to be scored.

    Parameters
    ----------
    recording : Recording
        With a split.
    protocol : Protocol
    held_out : bool
        False for a recording whose train domain was trained on: its reference is the last
        `reference_s` seconds of that domain. True for one that no training has seen: its
        reference is the last `reference_s` seconds before the scored stretch (in
        interleaved splits, of all that is not scored).
    part : {"test", "valid"}
        Part of the split to score. What is tuned is tuned on "valid".
    history : History, optional
        Of the recording, if it is at hand.

    Raises
    ------
    DataError
        If the recording has no split, or the part holds no window, or nothing is left for
        reference and null.
    """
    split = recording.require_split()
    scored = split.domain(part)
    origins = protocol.spec.origins(scored, step_s=protocol.origin_step_s)
    if len(origins) == 0:
        raise DataError(
            f"{recording.id}: the {part} domain ({total_s(scored):.3g} s) holds no window of "
            f"{protocol.spec.context_s + protocol.spec.horizon_s:g} s: use a longer recording "
            "or another split"
        )
    if held_out:
        readable = subtract(recording.domain, scored)
        if not split.interleaved:
            later = np.array([[float(scored[0, 0]), np.inf]])
            readable = subtract(readable, later)
    else:
        readable = split.train
    reference = compute_reference(
        recording, last_stretch(readable, protocol.reference_s), spec=protocol.spec
    )
    # The validation part must not know the test part's mean either.
    hidden = as_intervals(np.concatenate([split.valid, split.test])) if part == "valid" else scored
    null = session_null(recording, hidden)
    null.require_unscored(origins, horizon_s=protocol.spec.horizon_s, recording=recording.id)
    return SessionCase(
        protocol=protocol,
        known=KnownSession(
            recording=recording,
            reference=reference,
            history=history if history is not None else History(recording),
            scored_units=scored_units(recording, protocol),
        ),
        origins_s=origins,
        scored=scored,
        null=null,
        held_out=held_out,
    )


def scored_units(recording: Recording, protocol: Protocol) -> NDArray[np.bool_]:
    """Tell which units are scored, shape (N,).

    Raises
    ------
    DataError
        If none is.
    """
    scored = ~np.isin(recording.units.quality, protocol.left_out_qualities)
    if not scored.any():
        raise DataError(
            f"{recording.id}: none of {recording.num_units} units is scored (qualities "
            f"{', '.join(protocol.left_out_qualities)} are left out): sort the units, or score "
            "all of them with left_out_qualities=()"
        )
    return scored
