"""Forecasts from a trained model: the Python side of ``neurohorizon forecast``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.checkpoint import load_forecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.ops.intervals import contains
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import Reference, compute_reference
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import History, WindowReader, Windows

if TYPE_CHECKING:
    from neurohorizon.models.streaming import StreamingForecaster

_WINDOWS_AT_ONCE = 128


@dataclass(frozen=True)
class Forecast:
    """Expected firing of every unit after every origin.

    Parameters
    ----------
    rate_hz : (T, N, B) float32
        Expected rates.
    origins_s : (T,) float
        Seconds on the recording's clock.
    bin_start_s : (B,) float
        Start of each bin, in seconds since the origin.
    bin_s : float
    unit_ids : (N,) str
    """

    rate_hz: NDArray[np.float32]
    origins_s: FloatArray
    bin_start_s: FloatArray
    bin_s: float
    unit_ids: NDArray[np.str_]


class TrainedForecaster:
    """A trained forecaster, ready for recordings it has never seen.

    Parameters
    ----------
    model : HorizonForecaster
    known_units : mapping of str to int, optional
        Rows of a learned identity table by "recording id/unit id".
    name : str
        What tables and figures call it.
    use_adapter : bool
        False withholds the adapter, to see what it is worth.
    shuffle_labels : bool
        True gives each window's spike events to random units of the population, to see
        what the labels are worth.
    device : str

    Examples
    --------
    >>> forecaster = TrainedForecaster.load("runs/demo")          # doctest: +SKIP
    >>> forecast = forecaster.forecast(recording, origins_s=[130.0, 131.0])  # doctest: +SKIP
    >>> forecast.rate_hz.shape                                     # doctest: +SKIP
    (2, 70, 50)
    """

    def __init__(
        self,
        model: HorizonForecaster,
        *,
        known_units: Mapping[str, int] | None = None,
        name: str = "NeuroHorizon",
        use_adapter: bool = True,
        shuffle_labels: bool = False,
        device: str = "cpu",
    ) -> None:
        self.model = model.to(device).eval()
        self.known_units = dict(known_units or {})
        self.name = name
        self.use_adapter = use_adapter
        self.shuffle_labels = shuffle_labels or not model.use_labels
        self.device = device

    @classmethod
    def load(
        cls, run: Path | str, *, name: str = "NeuroHorizon", device: str = "cpu"
    ) -> TrainedForecaster:
        """Load a run folder or checkpoint file.

        Raises
        ------
        CheckpointError
            If it is none.
        """
        model, known_units = load_forecaster(run)
        return cls(model, known_units=known_units, name=name, device=device)

    @property
    def spec(self) -> WindowSpec:
        """Geometry of the windows the model reads."""
        return self.model.spec

    def expected_counts(
        self, recording: Recording, reference: Reference, windows: Windows
    ) -> NDArray[np.float32]:
        """Forecast windows that were read already.

        Parameters
        ----------
        recording : Recording
            Where they were read from (its unit ids tell known units).
        reference : Reference
        windows : Windows

        Returns
        -------
        (T, N, B) float32
            Expected counts of each bin.
        """
        with torch.inference_mode():
            parts = [
                self.model.expected_counts(batch).cpu().numpy()
                for batch in self._batches(recording, reference, windows)
            ]
        return np.concatenate(parts)

    def expected_counts_and_log_prob(
        self, recording: Recording, reference: Reference, windows: Windows
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Forecast windows, and say how likely the counts were that followed.

        Returns
        -------
        expected_counts, log_prob : (T, N, B) float32
            The second in nats, of each bin by itself, under the model's own distribution of
            counts. A model with sampled feedback has a mixture: one component a path.
        """
        return self._told_and_log_prob(
            self._batches(recording, reference, windows), self.model.components
        )

    def teacher_forced_counts_and_log_prob(
        self, recording: Recording, reference: Reference, windows: Windows
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Say what a model that feeds counts back expects of each bin, told the bins before it.

        This reads the counts to be forecast, so it is **no forecast** from the origin. The sum of
        the log-probabilities is the exact one of all counts of a window together.

        Returns
        -------
        expected_counts, log_prob : (T, N, B) float32
        """
        return self._told_and_log_prob(
            self._batches(recording, reference, windows),
            lambda batch: [self.model(batch, counts_WNB=batch.counts_WNB).unsqueeze(0)],
        )

    def _told_and_log_prob(
        self,
        batches: Iterable[ForecastBatch],
        components: Callable[[ForecastBatch], Iterable[torch.Tensor]],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        parts, likelihood = [], self.model.likelihood
        with torch.inference_mode():
            for batch in batches:
                means, log_probs = [], []
                for parameters in components(batch):
                    means.append(likelihood.mean(parameters))
                    counts = batch.counts_WNB.expand(parameters.shape[:-1])
                    log_probs.append(likelihood.log_prob(parameters, counts))
                log_prob = torch.cat(log_probs)
                told = (
                    torch.cat(means).mean(dim=0),
                    torch.logsumexp(log_prob, dim=0) - math.log(len(log_prob)),
                )
                parts.append([values.cpu().numpy() for values in told])
        expected, log_prob = (np.concatenate(values) for values in zip(*parts, strict=True))
        return expected, log_prob

    def cosmoothed_counts(
        self,
        recording: Recording,
        reference: Reference,
        windows: Windows,
        *,
        hidden: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Tell the counts of hidden units in the context from those of all others.

        Parameters
        ----------
        recording, reference, windows
            As for `expected_counts`.
        hidden : (N,) bool
            Units of which nothing is read but the reference.

        Returns
        -------
        (T, M, C) float32
            Expected counts of the M hidden units, in the C bins that end at the origin.

        Raises
        ------
        ConfigError
            If the model was not trained for it, or no unit or every unit is hidden.
        """
        if self.model.cosmoother is None:
            raise ConfigError(
                f"{self.name} was not trained to tell hidden units: train with "
                "training.cosmoothing_share=0.3"
            )
        if hidden.all() or not hidden.any():
            raise ConfigError(
                f"{int(hidden.sum())} of {len(hidden)} units are hidden: hide some, not all"
            )
        # Labels shuffled would give a hidden unit's spikes to one that is seen.
        assert not self.shuffle_labels, "labels are shuffled for forecasts alone"
        known, parts = self.known_rows(recording.id, recording.units.id), []
        for start in range(0, len(windows), _WINDOWS_AT_ONCE):
            part = windows.part(start, start + _WINDOWS_AT_ONCE)
            batch = self.batch(WindowGroup(reference, part, known, hidden=hidden), seed=start)
            with torch.inference_mode():
                told = self.model.likelihood.mean(self.model.cosmooth(batch))
            parts.append(told.cpu().numpy()[:, hidden])
        return np.concatenate(parts)

    def sampled_counts(
        self,
        recording: Recording,
        reference: Reference,
        windows: Windows,
        *,
        num_samples: int,
        seed: int = 0,
    ) -> NDArray[np.int64]:
        """Draw counts of windows that were read already.

        Parameters
        ----------
        recording, reference, windows
            As for `expected_counts`.
        num_samples : int
        seed : int

        Returns
        -------
        (samples, T, N, B) int64
            From the model's distribution of counts. With the decoder ``autoregressive`` these are
            paths: each bin is drawn given the counts that were drawn before it, so bins and
            units depend on each other. Otherwise they are independent given what the model
            has read.

        Notes
        -----
        The mean of paths is the forecast of a model with ``feedback="sampled"``; with
        ``"expected"`` the two differ as far as the model is not linear.
        """
        parts = self._samples(recording, reference, windows, num_samples=num_samples, seed=seed)
        return np.concatenate([drawn.long().cpu().numpy() for drawn in parts], axis=1)

    def sampled_totals(
        self,
        recording: Recording,
        reference: Reference,
        windows: Windows,
        *,
        ends: ArrayLike,
        num_samples: int,
        seed: int = 0,
    ) -> NDArray[np.int64]:
        """Draw counts summed from the origin, as `sampled_counts` draws them.

        Parameters
        ----------
        recording, reference, windows
            As for `expected_counts`.
        ends : (H,) array_like of int
            Number of bins that each sum covers, at least 1.
        num_samples, seed : int

        Returns
        -------
        (samples, T, N, H) int64
        """
        last = torch.as_tensor(np.asarray(ends), device=self.device) - 1
        parts = self._samples(recording, reference, windows, num_samples=num_samples, seed=seed)
        totals = [drawn.cumsum(dim=-1)[..., last].long().cpu().numpy() for drawn in parts]
        return np.concatenate(totals, axis=1)

    def _samples(
        self,
        recording: Recording,
        reference: Reference,
        windows: Windows,
        *,
        num_samples: int,
        seed: int,
    ) -> Iterator[torch.Tensor]:
        generator = torch.Generator(self.device).manual_seed(seed)
        for batch in self._batches(recording, reference, windows):
            with torch.inference_mode():
                yield self.model.sample_counts(batch, num_samples=num_samples, generator=generator)

    def _batches(
        self, recording: Recording, reference: Reference, windows: Windows
    ) -> Iterator[ForecastBatch]:
        known = self.known_rows(recording.id, recording.units.id)
        for start in range(0, len(windows), _WINDOWS_AT_ONCE):
            part = windows.part(start, start + _WINDOWS_AT_ONCE)
            yield self.batch(WindowGroup(reference, part, known), seed=start)

    def known_rows(self, recording_id: str, unit_ids: Iterable[str]) -> NDArray[np.int64]:
        """Return each unit's row in the learned identity table, 0 where unknown, (N,)."""
        rows = [self.known_units.get(f"{recording_id}/{unit}", 0) for unit in unit_ids]
        return np.array(rows, dtype=np.int64)

    def batch(self, group: WindowGroup, *, seed: int = 0) -> ForecastBatch:
        """Make the model's input of windows, on its device.

        Parameters
        ----------
        group : WindowGroup
        seed : int
            Of the shuffle, where labels are shuffled.
        """
        if self.shuffle_labels:
            generator = np.random.default_rng(seed)
            group = replace(group, windows=group.windows.with_shuffled_events(generator))
        batch = collate_groups([group]).to(self.device)
        if not self.use_adapter:
            batch = batch.without_adapter(torch.ones(len(batch), dtype=torch.bool))
        return batch

    def stream(
        self,
        recording: Recording,
        *,
        reference: Reference | None = None,
        reference_s: float = 120.0,
    ) -> StreamingForecaster:
        """Go on from a recording with spikes that arrive live.

        Parameters
        ----------
        recording : Recording
            What was recorded so far. The stream's clock starts at its end; what fired in its
            last stretch counts as past.
        reference : Reference, optional
            What stands for the units. Default: computed from the last `reference_s` seconds
            of the recording, or all of it if it is shorter.
        reference_s : float

        Raises
        ------
        DataError
            If the recording is empty or too short for a reference.
        """
        # Imported here because it makes forecasts of this module's.
        from neurohorizon.models.streaming import StreamingForecaster

        return StreamingForecaster.after(
            self, recording, reference=reference, reference_s=reference_s
        )

    def forecast(
        self,
        recording: Recording,
        origins_s: ArrayLike,
        *,
        reference: Reference | None = None,
        reference_s: float = 120.0,
    ) -> Forecast:
        """Forecast a recording from the given origins; no gradient step is taken.

        Parameters
        ----------
        recording : Recording
        origins_s : (T,) array_like
            Seconds on the recording's clock. Each needs its context inside the recording.
        reference : Reference, optional
            What stands for the units. Default: computed from the `reference_s` seconds
            before the first origin or, if there are not as many, from the start.
        reference_s : float

        Raises
        ------
        DataError
            If the recording is empty or an origin lies outside it.
        """
        if len(recording.spike_times) == 0:
            raise DataError(f"{recording.id}: no spikes, so there is nothing to forecast from")
        origins = np.atleast_1d(np.asarray(origins_s, dtype=np.float64))
        # The whole context lies in one stretch: what was not recorded is no silence.
        starts = origins - self.spec.context_s
        reaches = contains(recording.domain, starts) & contains(recording.domain, origins - 1e-6)
        stretch = [np.searchsorted(recording.domain[:, 0], at, "right") for at in (starts, origins)]
        reaches &= stretch[0] == stretch[1]
        if not reaches.all():
            told = " and ".join(f"from {start:g} to {end:g} s" for start, end in recording.domain)
            raise DataError(
                f"{recording.id}: the origin {origins[~reaches][0]:g} s lacks "
                f"{self.spec.context_s:g} s of recording before it (the recording runs {told}): "
                "choose origins inside"
            )
        if reference is None:
            end = max(float(origins.min()), recording.domain[0, 0] + reference_s)
            if origins.min() < end - 1e-9:
                warnings.warn(
                    f"{recording.id}: origins before {end:g} s lie inside the reference that "
                    "their units are known from: they are no forecasts of something new",
                    stacklevel=2,
                )
            stretch = np.array([[end - reference_s, end]])
            reference = compute_reference(recording, stretch, spec=self.spec)
        reader = WindowReader(recording, self.spec, History(recording))
        windows = reference.read_windows(reader, origins)
        counts = self.expected_counts(recording, reference, windows)
        return Forecast(
            rate_hz=counts / np.float32(self.spec.bin_s),
            origins_s=origins,
            bin_start_s=np.arange(self.spec.num_bins, dtype=np.float64) * self.spec.bin_s,
            bin_s=self.spec.bin_s,
            unit_ids=recording.units.id,
        )
