"""From the configuration of a decoder to objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurohorizon.configs.build import loop_settings
from neurohorizon.configs.decode_schema import CapoyoModel, DecodeConfig
from neurohorizon.configs.forecaster_build import context_spec, forecaster_decoder, refuse_seen
from neurohorizon.configs.forecaster_schema import ForecasterModel
from neurohorizon.configs.sessions import Progress, as_stage
from neurohorizon.recordings.decoding.meeting import check_spec
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.decoding.unit_dropout import UnitDropout
from neurohorizon.recordings.schema import Recording

if TYPE_CHECKING:
    from neurohorizon.models.task_decoder import TaskDecoder
    from neurohorizon.training.decoding.data import DecodeData

# Of the published models, whose windows are of 1 s.
_LONGEST_PERIOD_S = 2.0627


def check_decoder(config: DecodeConfig) -> None:
    """Make all that is cheap to make, so that each part checks its own settings.

    Raises
    ------
    ConfigError
        If a setting makes no sense.
    """
    for spec in config.task_specs():
        check_spec(spec)
    _unit_dropout(config)
    context_spec(config)


def decode_data(
    config: DecodeConfig, recordings: Sequence[Recording], *, progress: Progress | None = None
) -> DecodeData:
    """Make the training data: tasks and windows of the training recordings."""
    from neurohorizon.training.decoding.data import DecodeData

    training = config.training
    refuse_seen(config, recordings)
    report = as_stage("reading recordings", progress)
    if report is not None:
        report(0, len(recordings))
    return DecodeData(
        recordings=recordings,
        tasks=config.task_specs(),
        length_s=config.window.length_s,
        signal=signal_name(config),
        units=config.model.units,
        context=context_spec(config),
        num_references=config.reference.num_references,
        shortest_reference_s=config.reference.shortest_s,
        longest_reference_s=config.reference.longest_s,
        valid_reference_s=config.evaluation.reference_s,
        unit_dropout=_unit_dropout(config),
        tokens_per_batch=training.tokens_per_batch,
        steps_per_epoch=training.steps_per_epoch,
        sampling=training.sampling,
        valid_stride_s=config.evaluation.stride_share * config.window.length_s,
        num_workers=training.num_workers,
        seed=config.run.seed,
        progress=report,
    )


def signal_name(config: DecodeConfig) -> str:
    """Return the signal that a model reads in place of spikes; "" for the only one, or spikes."""
    return (config.model.signal or "") if isinstance(config.model, CapoyoModel) else ""


def decoder(config: DecodeConfig, tasks: Sequence[Task], *, num_features: int) -> TaskDecoder:
    """Make the untrained model; its weights are a function of the run's seed.

    Parameters
    ----------
    config : DecodeConfig
    tasks : sequence of Task
    num_features : int
        Of a unit's reference, for units that are known by it.
    """
    import torch

    from neurohorizon.models.decoder_files import DECODERS

    model = config.model
    torch.manual_seed(config.run.seed)
    if isinstance(model, ForecasterModel):
        return forecaster_decoder(config, model, tasks)
    return DECODERS[model.name](
        tasks=tasks,
        length_s=config.window.length_s,
        width=model.width,
        num_layers=model.num_layers,
        latent_step_s=model.latent_step_s,
        num_latents_per_step=model.num_latents_per_step,
        head_width=model.head_width,
        num_cross_heads=model.num_cross_heads,
        num_self_heads=model.num_self_heads,
        units=model.units,
        num_unit_features=max(num_features, 1),
        dropout=model.dropout,
        layer_dropout=model.layer_dropout,
        attention_dropout=model.attention_dropout,
        shortest_s=model.shortest_period_s,
        longest_s=model.longest_period_s or max(_LONGEST_PERIOD_S, 2 * config.window.length_s),
    )


def fit_arguments(config: DecodeConfig) -> dict[str, Any]:
    """Return the settings of :func:`~neurohorizon.training.decoding.fit.fit_decoder`."""
    training, model = config.training, config.model
    rate_share = 1.0
    if isinstance(model, ForecasterModel) and model.is_pretrained:
        rate_share = model.encoder_rate_share
    return {
        "settings": loop_settings(training, seed=config.run.seed),
        "learning_rate": training.learning_rate,
        "weight_decay": training.weight_decay,
        "warmup_share": training.warmup_share,
        "ema_decay": training.ema_decay,
        "encoder_rate_share": rate_share,
        "row_rate_share": training.row_rate_share,
        "checkpoint_activations": training.checkpoint_activations,
    }


def _unit_dropout(config: DecodeConfig) -> UnitDropout | None:
    dropout = config.training.unit_dropout
    if dropout is None:
        return None
    return UnitDropout(**dropout.model_dump())
