"""What the reference said about each unit of the scored recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import SessionCase
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path
from neurohorizon.recordings.schema import FloatArray

if TYPE_CHECKING:  # results are read without torch
    from torch import Tensor, nn

    from neurohorizon.models.forecasting import TrainedForecaster


@dataclass(frozen=True)
class Identities:
    """Scored units, with what stands for them.

    Parameters
    ----------
    recording, unit, area : (U,) str
    rate_hz : (U,) float
        In the reference.
    statistics : (U, 33) float32
        Raw reference features.
    functional : (U, F) float32
        Functional identity.
    vectors : (U, D) float32
        The model's own identity vectors; D is 0 without a model.
    """

    recording: NDArray[np.str_]
    unit: NDArray[np.str_]
    area: NDArray[np.str_]
    rate_hz: FloatArray
    statistics: NDArray[np.float32]
    functional: NDArray[np.float32]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.unit)


def gather_identities(
    cases: Sequence[SessionCase],
    forecaster: TrainedForecaster | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Identities:
    """Take the features of every scored unit and, with a model, its vector for the unit.

    Parameters
    ----------
    cases : sequence of SessionCase
        At least one.
    forecaster : TrainedForecaster, optional
    progress : callable, optional
        Called with recordings done, and recordings in all.
    """
    rows: dict[str, list[NDArray[Any]]] = {field.name: [] for field in fields(Identities)}
    for index, case in enumerate(cases):
        if progress is not None:
            progress(index, len(cases))
        scored, units = case.scored_units, case.recording.units
        vectors = np.empty((len(units), 0)) if forecaster is None else _vectors(case, forecaster)
        for name, values in (
            ("recording", np.full(len(units), case.recording.id)),
            ("unit", units.id),
            ("area", units.area),
            ("rate_hz", case.reference.rate_hz),
            ("statistics", case.reference.statistics.astype(np.float32)),
            ("functional", case.reference.functional.astype(np.float32)),
            ("vectors", vectors.astype(np.float32)),
        ):
            rows[name].append(values[scored])
    return Identities(**{name: np.concatenate(parts) for name, parts in rows.items()})


def save_identities(identities: Identities, path: Path | str) -> None:
    """Write identities as an npz file."""
    arrays = {field.name: getattr(identities, field.name) for field in fields(Identities)}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def load_identities(path: Path | str) -> Identities:
    """Read identities.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return Identities(**{field.name: file[field.name] for field in fields(Identities)})
    except NPZ_DAMAGE as error:
        raise DataError(f"{path}: no readable identities ({error}): evaluate again") from error


def _vectors(case: SessionCase, forecaster: TrainedForecaster) -> NDArray[np.floating]:
    """Forecast one window and take what the model made of the units on the way, (N, D)."""
    seen: list[Tensor] = []

    def take(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        seen.append(output)

    hook = forecaster.model.identity.register_forward_hook(take)
    try:
        windows = next(case.chunks(1))
        forecaster.expected_counts(case.recording, case.reference, windows)
    finally:
        hook.remove()
    return seen[0][0].cpu().numpy()
