"""Small networks on binned activity: an MLP around each moment, a GRU along a window.

What every deep decoder has to beat: they see the same bins as the linear rows, both sides of
each moment, and cost seconds.

References
----------
Glaser et al. 2020, eNeuro 7:0506-19 (both as decoders); Cho et al. 2014, EMNLP (GRU).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from neurohorizon.evaluation.decoding.activity import Activity, Binned, scale_of, standardised
from neurohorizon.evaluation.decoding.cases import Asked, FitData, Part
from neurohorizon.evaluation.decoding.grid import at_times, bin_classes, bin_values
from neurohorizon.evaluation.decoding.network_training import (
    BINS_A_BATCH,
    MOST_LOOKS,
    Prepared,
    optimise,
    run_in_windows,
)
from neurohorizon.evaluation.decoding.tuning import Chosen, Search
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.schema import FloatArray

#: Clocks are told apart after so many looks; the best is then trained to its end.
LOOKS_A_CLOCK = 10


@dataclass(frozen=True)
class NetworkSettings:
    """One way to make and train a network.

    Parameters
    ----------
    bin_s : float
    window_s : float
        Of the GRU: length of its windows, in seconds. Of the MLP: what it reads, both sides
        together.
    width : int
    dropout : float
        Between layers.
    unit_dropout : float
        Share of the units that a training window does not see.
    weight_decay : float
    classes_weigh : {"as they are", "alike"}
        Of a categorical task.
    """

    bin_s: float
    window_s: float
    width: int = 64
    dropout: float = 0.3
    unit_dropout: float = 0.1
    weight_decay: float = 0.01
    classes_weigh: Literal["as they are", "alike"] = "as they are"


#: Where a search starts, and what is then varied around the best of them.
GRU_CLOCKS = ((0.025, 1.5), (0.1, 8.0), (0.25, 20.0))
MLP_CLOCKS = ((0.025, 0.5), (0.1, 2.0), (0.25, 5.0), (0.5, 10.0))
VARIATIONS: tuple[dict[str, float], ...] = (
    {"unit_dropout": 0.3, "weight_decay": 0.1},
    {"width": 32, "dropout": 0.5},
    {"width": 128, "dropout": 0.5, "unit_dropout": 0.3, "weight_decay": 0.1},
)


class LaggedMLP(nn.Module):
    """Two hidden layers on the bins around each moment.

    Parameters
    ----------
    num_units, num_outputs : int
    num_lags : int
        Bins on each side.
    width : int
    dropout : float
    """

    def __init__(
        self, *, num_units: int, num_outputs: int, num_lags: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        # A convolution along time is the same layer at every moment; past the ends are zeros.
        self.around = nn.Conv1d(num_units, width, 2 * num_lags + 1, padding=num_lags)
        self.rest = nn.Sequential(
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, num_outputs),
        )

    def forward(self, x_WBN: Tensor) -> Tensor:
        """Return outputs (W, B, P)."""
        return self.rest(self.around(x_WBN.transpose(1, 2)).transpose(1, 2))


class WindowGRU(nn.Module):
    """A bidirectional GRU with a linear readout.

    Parameters
    ----------
    num_units, num_outputs, width : int
    dropout : float
    """

    def __init__(self, *, num_units: int, num_outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.along = nn.GRU(num_units, width, batch_first=True, bidirectional=True)
        self.rest = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, num_outputs))

    def forward(self, x_WBN: Tensor) -> Tensor:
        """Return outputs (W, B, P)."""
        return self.rest(self.along(x_WBN)[0])


@dataclass(frozen=True, eq=False)
class _Fitted:
    module: nn.Module
    settings: NetworkSettings
    mean: FloatArray
    deviation: FloatArray
    target_mean: FloatArray
    target_deviation: FloatArray
    categorical: bool

    @property
    def window_bins(self) -> int:
        return _window_bins(self.settings, isinstance(self.module, WindowGRU))

    def by_bin(self, binned: Binned) -> list[FloatArray]:
        inputs = standardised(binned, self.mean, self.deviation)
        outputs = [run_in_windows(self.module, each, self.window_bins) for each in inputs]
        if self.categorical:
            return [torch.softmax(torch.from_numpy(each), dim=1).numpy() for each in outputs]
        return [each * self.target_deviation + self.target_mean for each in outputs]


class Network:
    """A small network of one session, with settings and stopping chosen on validation.

    Parameters
    ----------
    kind : {"MLP", "GRU"}
    clocks : sequence of (float, float)
        Bin and window in seconds; the best of them is then varied.
    variations : sequence of dict
        Changes to try of it, one after another.
    most_looks : int
        Longest training, in looks at the validation loss (every 20 steps).
    bins_a_batch : int
        How many bins a step sees, in windows.
    seed : int
        Of weights, dropout and windows: two fits are equal.
    """

    role: Role = "baseline"

    def __init__(
        self,
        kind: Literal["MLP", "GRU"],
        *,
        clocks: Sequence[tuple[float, float]] | None = None,
        variations: Sequence[dict[str, float]] = VARIATIONS,
        most_looks: int = MOST_LOOKS,
        bins_a_batch: int = BINS_A_BATCH,
        seed: int = 0,
    ) -> None:
        self.name = kind
        self.kind = kind
        self.clocks = clocks or (GRU_CLOCKS if kind == "GRU" else MLP_CLOCKS)
        self.variations = variations
        self.most_looks = most_looks
        self.bins_a_batch = bins_a_batch
        self.seed = seed
        self._fitted: _Fitted | None = None

    def why_not(self, data: FitData) -> str:
        """Say why not: never."""
        return ""

    def fit(self, data: FitData) -> Chosen:
        """Try the clocks, then vary the best."""
        search = Search(data.task, data.valid)
        shortest = 0.9 * data.activity.shortest_bin_s
        clocks = [each for each in self.clocks if each[0] >= shortest] or [
            (data.activity.shortest_bin_s, 20 * data.activity.shortest_bin_s)
        ]
        best = NetworkSettings(*clocks[0])
        if len(clocks) > 1:
            for bin_s, window_s in clocks:
                self._try(search, data, NetworkSettings(bin_s, window_s), LOOKS_A_CLOCK)
            best = search.best.settings
        varied = [best]
        varied += [replace(best, **each) for each in self.variations]  # type: ignore[arg-type]
        if data.task.spec.is_categorical:
            varied.append(replace(best, classes_weigh="alike"))
        for settings in varied:
            self._try(search, data, settings, self.most_looks)
        self._fitted = search.best
        return search.chosen()

    def predict(self, activity: Activity, asked: Asked) -> FloatArray:
        """Decode values, or probabilities of classes."""
        assert self._fitted is not None, "fit first"
        bin_s = self._fitted.settings.bin_s
        return at_times(asked, bin_s, self._fitted.by_bin(activity.binned(asked.stretches, bin_s)))

    def _try(
        self, search: Search, data: FitData, settings: NetworkSettings, most_looks: int
    ) -> None:
        fitted = self._train(data, settings, min(most_looks, self.most_looks))
        valid = data.activity.binned(data.valid.stretches, settings.bin_s)
        decoded = at_times(data.valid, settings.bin_s, fitted.by_bin(valid))
        told = {key: value for key, value in asdict(settings).items() if value is not None}
        if not data.task.spec.is_categorical:
            del told["classes_weigh"]
        search.offer(decoded, told, fitted)

    def _train(self, data: FitData, settings: NetworkSettings, most_looks: int) -> _Fitted:
        task, bin_s = data.task, settings.bin_s
        binned = data.activity.binned(data.train.stretches, bin_s)
        mean, deviation = scale_of(binned)
        if task.spec.is_categorical:
            target_mean, target_deviation = np.zeros(0), np.ones(0)
            num_outputs = task.num_outputs
        else:
            target_mean, target_deviation = data.train.values.mean(axis=0), _deviation(data.train)
            num_outputs = len(target_mean)
        scale = target_mean, target_deviation

        def prepared(part: Part, counts: Binned) -> Prepared:
            inputs = standardised(counts, mean, deviation)
            return Prepared(inputs, *_targets(part, data, bin_s, scale))

        train = prepared(data.train, binned)
        valid = prepared(data.valid, data.activity.binned(data.valid.stretches, bin_s))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            module = self._module(settings, data.activity.num_units, num_outputs)
            class_weights = _class_weights(train, settings, task.num_outputs)
            window = _window_bins(settings, self.kind == "GRU")
            optimise(
                module,
                train,
                valid,
                window=window,
                unit_dropout=settings.unit_dropout,
                weight_decay=settings.weight_decay,
                class_weights=class_weights,
                most_looks=most_looks,
                bins_a_batch=self.bins_a_batch,
                seed=self.seed,
            )
        return _Fitted(
            module, settings, mean, deviation, *scale, categorical=task.spec.is_categorical
        )

    def _module(self, settings: NetworkSettings, num_units: int, num_outputs: int) -> nn.Module:
        if self.kind == "GRU":
            return WindowGRU(
                num_units=num_units,
                num_outputs=num_outputs,
                width=settings.width,
                dropout=settings.dropout,
            )
        return LaggedMLP(
            num_units=num_units,
            num_outputs=num_outputs,
            num_lags=round(settings.window_s / settings.bin_s / 2),
            width=settings.width,
            dropout=settings.dropout,
        )


def _window_bins(settings: NetworkSettings, recurrent: bool) -> int:
    bins = round(settings.window_s / settings.bin_s)
    # A moment of the MLP sees its window whole only away from the ends of what it is given.
    return bins if recurrent else max(4 * bins, 20)


def _targets(
    part: Part, data: FitData, bin_s: float, scale: tuple[FloatArray, FloatArray]
) -> tuple[list, list[FloatArray]]:
    if data.task.spec.is_categorical:
        return bin_classes(part, bin_s, data.task.num_outputs)
    values, weights = bin_values(part, bin_s)
    return [np.nan_to_num((each - scale[0]) / scale[1]) for each in values], weights


def _deviation(part: Part) -> FloatArray:
    deviation = part.values.std(axis=0)
    return np.where(deviation > 0, deviation, 1.0)


def _class_weights(train: Prepared, settings: NetworkSettings, size: int) -> Tensor | None:
    if settings.classes_weigh == "as they are":
        return None
    label = np.concatenate(train.targets)
    counts = np.bincount(label[label >= 0], minlength=size)
    return torch.tensor(counts.sum() / np.maximum(counts, 1) / size, dtype=torch.float32)
