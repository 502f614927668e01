"""Forecasts while the session runs: spikes come in chunks, forecasts go out in milliseconds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.forecasting import Forecast, TrainedForecaster
from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.reference import Reference, compute_reference
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.recordings.stream import SpikeStream


class StreamingForecaster:
    """A trained forecaster at the end of a stream of spikes.

    Parameters
    ----------
    forecaster : TrainedForecaster
        Its weights must not change afterwards: identity is computed once.
    reference : Reference
        What stands for the units, computed with the forecaster's `spec`.
    start_s : float
        When the stream starts, in seconds on its own clock. What came before is taken to
        have been at the reference rates.
    unit_ids : (N,) sequence of str, optional
        Default: numbered.
    recording_id : str
        With the unit's id tells which units a learned identity knows.

    Raises
    ------
    ConfigError
        If the reference was computed for another horizon or bin.
    DataError
        If there are not as many ids as units, or `start_s` is no time.

    See Also
    --------
    TrainedForecaster.stream : go on from a recording.

    Examples
    --------
    >>> stream = forecaster.stream(calibration)              # doctest: +SKIP
    >>> stream.update([120.004, 120.011], [3, 17], until_s=120.02)  # doctest: +SKIP
    >>> stream.forecast().rate_hz.shape                      # doctest: +SKIP
    (1, 70, 50)
    """

    def __init__(
        self,
        forecaster: TrainedForecaster,
        reference: Reference,
        *,
        start_s: float,
        unit_ids: ArrayLike | None = None,
        recording_id: str = "stream",
    ) -> None:
        spec, num_units = forecaster.spec, len(reference.rate_hz)
        adapter = reference.adapter
        if adapter.dynamics.bin_s != spec.bin_s or not np.array_equal(
            adapter.group_edges, spec.group_edges
        ):
            raise ConfigError(
                "the reference was computed for another horizon or bin than the model's "
                f"{spec.horizon_s:g} s and {spec.bin_s:g} s: compute it with spec=forecaster.spec"
            )
        ids = Units.numbered(num_units).id if unit_ids is None else np.asarray(unit_ids, dtype=str)
        if len(ids) != num_units:
            raise DataError(f"{len(ids)} unit ids for the reference's {num_units} units")
        self.forecaster = forecaster
        self.reference = reference
        self.unit_ids = ids
        self._known_unit = forecaster.known_rows(recording_id, ids)
        self._spikes = SpikeStream(
            spec,
            start_rate_hz=reference.rate_hz,
            start_s=start_s,
            dynamics=adapter.dynamics,
        )
        self._bin_start_s = np.arange(spec.num_bins, dtype=np.float64) * spec.bin_s
        self._identity_SND: torch.Tensor | None = None

    @classmethod
    def after(
        cls,
        forecaster: TrainedForecaster,
        recording: Recording,
        *,
        reference: Reference | None = None,
        reference_s: float = 120.0,
    ) -> StreamingForecaster:
        """Go on from a recording: see :meth:`TrainedForecaster.stream`."""
        if len(recording.spike_times) == 0:
            raise DataError(f"{recording.id}: no spikes, so there is nothing to forecast from")
        start, end = recording.domain[-1].tolist()
        if reference is None:
            stretch = np.array([[end - reference_s, end]])
            reference = compute_reference(recording, stretch, spec=forecaster.spec)
        stream = cls(
            forecaster,
            reference,
            start_s=start,
            unit_ids=recording.units.id,
            recording_id=recording.id,
        )
        stream.update(*recording.between(start, end), until_s=end)
        return stream

    @property
    def now_s(self) -> float:
        """The clock: up to when spikes are known, in seconds."""
        return self._spikes.now_s

    def update(
        self, times_s: ArrayLike, unit_index: ArrayLike, *, until_s: float | None = None
    ) -> None:
        """Take in the next spikes, and move the clock on.

        Parameters
        ----------
        times_s : (S,) array_like
            Seconds, sorted, none before the clock. May be empty.
        unit_index : (S,) array_like of int
            Row of each spike's unit.
        until_s : float, optional
            Up to when all spikes have now been given: the clock goes there. Default: to the
            last spike.

        Raises
        ------
        DataError
            If spikes come late or unsorted, a unit does not exist, or time would go back.
            The stream is then as it was before.
        """
        self._spikes.update(times_s, unit_index, until_s=until_s)

    def forecast(self, at_s: float | None = None) -> Forecast:
        """Forecast from the clock, or from a time after it.

        The stream is not changed: spikes between the clock and `at_s` may still arrive.

        Parameters
        ----------
        at_s : float, optional
            The origin, in seconds; default the clock. Nothing fired between the clock and a
            later origin, as far as is known.

        Returns
        -------
        Forecast
            Of one origin, equal to `TrainedForecaster.forecast` of a recording of the same
            spikes.

        Raises
        ------
        DataError
            If the origin lies before the clock, or less than a context after the start.
        """
        windows = self._spikes.read(at_s)
        spec, model = self.forecaster.spec, self.forecaster.model
        batch = self.forecaster.batch(WindowGroup(self.reference, windows, self._known_unit))
        with torch.inference_mode():
            if self._identity_SND is None:
                self._identity_SND = model.identities(batch)
            expected = model.expected_counts(batch, identity_SND=self._identity_SND)
        counts: NDArray[np.float32] = expected.cpu().numpy()
        return Forecast(
            rate_hz=counts / np.float32(spec.bin_s),
            origins_s=windows.origins_s,
            bin_start_s=self._bin_start_s,
            bin_s=spec.bin_s,
            unit_ids=self.unit_ids,
        )
