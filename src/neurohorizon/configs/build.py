"""From a configuration to objects (recordings: :mod:`neurohorizon.configs.sessions`).

:func:`check` makes what is cheap to make, so that a wrong setting is refused before
anything that takes time is begun.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from neurohorizon.configs.data_schema import SimulatedData
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.configs.sessions import Progress, as_stage, population_plan
from neurohorizon.configs.training_schema import LoopConfig
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.protocol import Protocol
from neurohorizon.recordings.conditions import require_conditions
from neurohorizon.recordings.reference_pool import SHORTEST_REFERENCE_S
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.splits import FRACTIONS
from neurohorizon.simulate.recordings import to_recording
from neurohorizon.training.processes import batches_of_each, plan_processes

if TYPE_CHECKING:
    from neurohorizon.models.horizon import HorizonForecaster
    from neurohorizon.training.data import ForecastData
    from neurohorizon.training.loop import LoopSettings


def check(config: ForecastConfig) -> None:
    """Make all that is cheap to make, so that each part checks its own settings.

    Raises
    ------
    ConfigError
        If a setting makes no sense.
    """
    protocol(config)
    if isinstance(config.data, SimulatedData):
        plan = population_plan(config.data)
        spec = config.window_spec()
        window_s = spec.context_s + spec.horizon_s
        least_s = (2 * SHORTEST_REFERENCE_S + 2 * window_s) / FRACTIONS[0] + 2 * window_s
        if plan.duration_s < least_s:
            least = math.ceil(least_s / 6) / 10
            raise ConfigError(
                f"data.minutes is {config.data.minutes:g}: expected at least {least:g}, so that "
                "a reference and windows beside it fit into a session's training time"
            )


def check_processes(training: LoopConfig) -> None:
    """Refuse batches that the processes of a training cannot share.

    Raises
    ------
    ConfigError
    """
    batches_of_each(training.accumulate_batches, plan_processes(training.devices))


def protocol(config: ForecastConfig) -> Protocol:
    """Return how a run's forecasts are scored."""
    evaluation = config.evaluation
    return Protocol(
        spec=config.window_spec(),
        horizons_s=evaluation.horizons_s,
        origin_step_s=evaluation.origin_step_s,
        reference_s=evaluation.reference_s,
        fewest_spikes=evaluation.fewest_spikes,
        left_out_qualities=config.data.left_out_qualities,
    )


def forecast_data(
    config: ForecastConfig, recordings: Sequence[Recording], *, progress: Progress | None = None
) -> ForecastData:
    """Make the training data: references and windows of the training recordings."""
    from neurohorizon.training.data import ForecastData

    reference, training = config.reference, config.training
    report = as_stage("reading references", progress)
    if report is not None:
        report(0, len(recordings))
    return ForecastData(
        recordings=recordings,
        spec=config.window_spec(),
        num_references=reference.num_references,
        shortest_reference_s=reference.shortest_s,
        longest_reference_s=reference.longest_s,
        references_per_batch=training.references_per_batch,
        tokens_per_batch=training.tokens_per_batch,
        steps_per_epoch=training.steps_per_epoch,
        sampling=training.sampling,
        valid_reference_s=config.evaluation.reference_s,
        valid_origin_step_s=training.valid_origin_step_s,
        cosmoothing_share=training.cosmoothing_share,
        cosmoothing_units=training.cosmoothing_units,
        shuffle_labels=not config.model.use_labels,
        num_workers=training.num_workers,
        seed=config.run.seed,
        progress=report,
    )


def forecaster(
    config: ForecastConfig,
    *,
    num_known_units: int = 0,
    recordings: Sequence[Recording] | None = None,
) -> HorizonForecaster:
    """Make the untrained model; its weights are a function of the run's seed.

    Parameters
    ----------
    config : ForecastConfig
    num_known_units : int
        Units of the training recordings: rows of a learned identity table.
    recordings : sequence of Recording, optional
        Training recordings, which tell the sizes of the conditions. A simulated world's are
        known without.

    Raises
    ------
    ConfigError
        If no training recording has a condition that shall be read.
    """
    import torch

    from neurohorizon.models.horizon import HorizonForecaster

    model, conditions = config.model, config.conditions
    columns, dimensions = condition_sizes(config, recordings)
    torch.manual_seed(config.run.seed)
    return HorizonForecaster(
        spec=config.window_spec(),
        behavior_columns=columns,
        picture_dimensions=dimensions,
        inject=conditions.inject,
        inject_every=conditions.inject_every,
        use_tuning=conditions.use_tuning,
        width=model.width,
        num_heads=model.num_heads,
        num_encoder_layers=model.num_encoder_layers,
        num_decoder_layers=model.num_decoder_layers,
        num_latents=model.num_latents,
        identity=model.identity,
        standardise=model.standardise,
        num_known_units=num_known_units if model.identity == "learned" else 0,
        decoder=model.decoder,
        causal=model.causal,
        feedback=model.feedback,
        num_paths=model.num_paths,
        likelihood=model.likelihood,
        num_classes=model.num_classes,
        use_rate=model.use_rate,
        use_past=model.use_past,
        use_adapter=model.use_adapter,
        use_events=model.use_events,
        use_unit_tokens=model.use_unit_tokens,
        use_population_tokens=model.use_population_tokens,
        use_labels=model.use_labels,
        num_basis=model.num_basis,
        dropout=model.dropout,
        identity_noise=model.identity_noise,
        cosmoothing=config.training.cosmoothing_share > 0,
    )


def condition_sizes(
    config: ForecastConfig, recordings: Sequence[Recording] | None
) -> tuple[tuple[int, ...], int]:
    """Return the columns of each series of the conditions, and the embeddings' dimensions."""
    spec = config.conditions.spec()
    if not spec:
        return (), 0
    if recordings is None:
        assert isinstance(config.data, SimulatedData), "recordings tell the conditions' sizes"
        # What a session has does not depend on how long it is.
        plan = replace(population_plan(config.data), duration_s=30.0)
        recordings = [to_recording(plan.simulate(0), id="a simulated session", subject="")]
    return require_conditions(spec, {recording.id: recording for recording in recordings})


def fit_arguments(config: ForecastConfig) -> dict[str, Any]:
    """Return the settings of :func:`~neurohorizon.training.fit.fit_forecaster`."""
    from neurohorizon.training.teacher_forcing import TeacherForcing

    training = config.training
    return {
        "settings": loop_settings(training, seed=config.run.seed),
        "objective": training.objective,
        "learning_rate": training.learning_rate,
        "weight_decay": training.weight_decay,
        "warmup_share": training.warmup_share,
        "queries_per_window": training.queries_per_window,
        "condition_dropout": config.conditions.dropout if config.conditions.spec() else 0.0,
        "adapter_dropout": training.adapter_dropout if config.model.use_adapter else 0.0,
        "ema_decay": training.ema_decay,
        "teacher_forcing": TeacherForcing(**training.teacher_forcing.model_dump()),
        "checkpoint_activations": training.checkpoint_activations,
        "horizons_s": config.evaluation.horizons_s,
    }


def loop_settings(training: LoopConfig, *, seed: int) -> LoopSettings:
    """Return how the training loop runs."""
    from neurohorizon.training.loop import LoopSettings

    keys = [field.name for field in fields(LoopSettings) if field.name != "seed"]
    return LoopSettings(**{key: getattr(training, key) for key in keys}, seed=seed)
