"""What is trained, from a configuration of either kind: a forecaster, or a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from neurohorizon.configs import build, decode_build
from neurohorizon.configs.data_schema import SimulatedData
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.root import AnyConfig, TrainConfig
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.configs.sessions import Progress, population_plan, prepare_recording
from neurohorizon.recordings.schema import Recording
from neurohorizon.simulate.recordings import to_recording

if TYPE_CHECKING:
    from neurohorizon.training.callbacks import EpochReport, StepReport
    from neurohorizon.training.loop import FitSummary


class Fit(Protocol):
    """A training whose data and model are made."""

    def __call__(
        self,
        *,
        run_folder: Path,
        resume: bool,
        on_epoch: EpochReport | None,
        on_step: StepReport | None,
    ) -> FitSummary:
        """Train into a run folder."""
        ...


def check(config: AnyConfig) -> None:
    """Make all that is cheap to make, so that each part checks its own settings.

    Raises
    ------
    ConfigError
        If a setting makes no sense.
    """
    if not isinstance(config, ForecastConfig | DecodeConfig):
        return
    build.check_processes(config.training)
    if isinstance(config, ForecastConfig):
        build.check(config)
    else:
        decode_build.check_decoder(config)


def prepare_fit(
    config: TrainConfig, recordings: Sequence[Recording], *, progress: Progress | None = None
) -> Fit:
    """Make data and model of a training; what can be wrong with them is said here."""
    if isinstance(config, ForecastConfig):
        from neurohorizon.training.fit import fit_forecaster

        data = build.forecast_data(config, recordings, progress=progress)
        model = build.forecaster(
            config, num_known_units=len(data.known_units), recordings=recordings
        )
        return partial(fit_forecaster, model=model, data=data, **build.fit_arguments(config))

    from neurohorizon.training.decoding.fit import fit_decoder

    data = decode_build.decode_data(config, recordings, progress=progress)
    model = decode_build.decoder(config, data.tasks, num_features=data.num_unit_features)
    return partial(fit_decoder, model=model, data=data, **decode_build.fit_arguments(config))


def num_parameters(config: TrainConfig, recordings: Sequence[Recording] | None) -> int:
    """Count the weights of the untrained model; without recordings, of a world to be simulated."""
    if isinstance(config, ForecastConfig):
        model = build.forecaster(config, recordings=recordings)
    else:
        from neurohorizon.training.decoding.fit import teach

        data = decode_build.decode_data(config, recordings or [_example(config)])
        model = decode_build.decoder(config, data.tasks, num_features=data.num_unit_features)
        teach(model, data)
    return sum(parameter.numel() for parameter in model.parameters())


def _example(config: DecodeConfig) -> Recording:
    """Return a short session of a world that is yet to be simulated."""
    assert isinstance(config.data, SimulatedData), "recordings tell what tasks are"
    plan = replace(population_plan(config.data), duration_s=120.0)
    recording = to_recording(plan.simulate(0), id="a simulated session", subject="")
    return prepare_recording(recording, config, path=Path("a simulated session"))
