"""Train a decoder into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import lightning
from torch import nn

from neurohorizon.models.decoder_files import save_decoder
from neurohorizon.models.forecaster_decoder import ForecasterDecoder
from neurohorizon.models.poyo_trunk import PopulationDecoder
from neurohorizon.models.task_decoder import TaskDecoder
from neurohorizon.nn.identity import Standardise
from neurohorizon.nn.perceiver import Layer
from neurohorizon.nn.recompute import recompute
from neurohorizon.recordings.reference_features import FeatureScaler
from neurohorizon.training.callbacks import EpochReport, StepReport
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.decoding.module import DecodeModule
from neurohorizon.training.decoding.validation import DecodeValidation
from neurohorizon.training.loop import FitSummary, LoopSettings, run_loop


def teach(model: TaskDecoder, data: DecodeData) -> None:
    """Tell a model what it needs to know of its data before it learns.

    A row for each unit and recording that it has none for, where it has rows, and the
    standardisation of what references say, where it reads them and was not trained with another.
    """
    if isinstance(model, ForecasterDecoder):
        identity = model.forecaster.identity
        if not model.pretrained:
            statistics, functional = data.reference_scalers()
            _standardise_by(statistics, identity.standardise_statistics)
            _standardise_by(functional, identity.standardise_functional)
    elif isinstance(model, PopulationDecoder) and model.identity is not None:
        _standardise_by(data.feature_scaler(), model.identity.standardise)
    if not model.knows_new_units:
        model.units.extend(data.unit_rows)
        model.sessions.extend(data.session_rows)
        assert all(
            rows.get(word) == row
            for vocabulary, rows in (
                (model.units, data.unit_rows),
                (model.sessions, data.session_rows),
            )
            for row, word in enumerate(vocabulary.words, start=1)
            if word in rows
        ), "rows of the data are not the model's: make the data with the model's rows"


def _standardise_by(scaler: FeatureScaler, standardise: Standardise) -> None:
    standardise.set(log=scaler.log, mean=scaler.mean, scale=scaler.scale)


def checkpoint_layers(model: TaskDecoder) -> None:
    """Compute what layers keep for the backward pass again there: less memory, more time."""
    if isinstance(model, ForecasterDecoder):
        model.forecaster.checkpoint_activations()
    for module in model.modules():
        if isinstance(module, Layer):
            recompute(module)


def fit_decoder(
    *,
    model: TaskDecoder,
    data: DecodeData,
    run_folder: Path,
    settings: LoopSettings,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.01,
    warmup_share: float = 0.1,
    ema_decay: float = 0.0,
    encoder_rate_share: float = 1.0,
    row_rate_share: float = 1.0,
    checkpoint_activations: bool = False,
    resume: bool = False,
    on_epoch: EpochReport | None = None,
    on_step: StepReport | None = None,
    stop_after_epochs: int | None = None,
) -> FitSummary:
    """Train a decoder; the run folder then holds the best model and the log.

    Parameters
    ----------
    model : TaskDecoder
        It is taught the words of the data's units and recordings here, and standardises what
        identities read as the data say; both travel with the weights.
    data : DecodeData
    run_folder : Path
        What it receives, and how it is gone on with: :func:`~neurohorizon.training.loop.run_loop`.
    settings : LoopSettings
    learning_rate, weight_decay, warmup_share, ema_decay, encoder_rate_share, row_rate_share
        As :class:`~neurohorizon.training.decoding.module.DecodeModule` takes them.
    checkpoint_activations : bool
        Compute activations again in the backward pass: less memory, more time.
    resume, on_epoch, on_step, stop_after_epochs
        As `run_loop` takes them.

    Returns
    -------
    FitSummary

    Raises
    ------
    CheckpointError, ConfigError
        What `run_loop` raises.
    """
    num_steps = settings.num_steps(data.steps_per_epoch)
    lightning.seed_everything(settings.seed, verbose=False)
    teach(model, data)
    if checkpoint_activations:
        checkpoint_layers(model)
    module = DecodeModule(
        model,
        num_steps=num_steps,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup_share=warmup_share,
        ema_decay=ema_decay,
        encoder_rate_share=encoder_rate_share,
        row_rate_share=row_rate_share,
    )

    def save(kept: nn.Module, path: Path) -> None:
        save_decoder(cast(TaskDecoder, kept), path)

    return run_loop(
        module,
        settings=settings,
        num_steps=num_steps,
        run_folder=run_folder,
        make_loader=data.train_loader,
        validation=DecodeValidation(data),
        save=save,
        all_weights_used=False,
        resume=resume,
        on_epoch=on_epoch,
        on_step=on_step,
        stop_after_epochs=stop_after_epochs,
    )
