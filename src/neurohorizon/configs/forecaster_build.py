"""From configuration to a decoder around a forecaster's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.forecaster_schema import ForecasterModel
from neurohorizon.configs.sessions import prepare_recording
from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.ops.binning import to_ticks
from neurohorizon.ops.intervals import intersect, total_s
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.store import open_recording
from neurohorizon.recordings.window_spec import WindowSpec

if TYPE_CHECKING:
    from neurohorizon.evaluation.decoding.latents import Latents
    from neurohorizon.models.forecaster_decoder import ForecasterDecoder
    from neurohorizon.models.horizon import HorizonForecaster


def context_spec(config: DecodeConfig) -> WindowSpec | None:
    """Return the geometry of a forecaster's windows; None for a model that reads none.

    Raises
    ------
    ConfigError
        If the forecaster of ``model.run`` cannot be read, has no encoder to decode from, or
        reads windows of another length.
    """
    if not isinstance(config.model, ForecasterModel):
        return None
    if config.model.run is None:
        return WindowSpec(context_s=config.window.length_s)
    spec = _load(config.model).spec
    if to_ticks(spec.context_s) != to_ticks(config.window.length_s):
        raise ConfigError(
            f"window.length_s is {config.window.length_s:g} s and the forecaster of "
            f"{config.model.run} reads {spec.context_s:g} s: set "
            f"window.length_s={spec.context_s:g}, or train a forecaster with "
            f"window.context_s={config.window.length_s:g}"
        )
    return spec


def forecaster_decoder(
    config: DecodeConfig, model: ForecasterModel, tasks: Sequence[Task]
) -> ForecasterDecoder:
    """Make the decoder; weights that are not a run's are as torch draws them now."""
    from neurohorizon.models.forecaster_decoder import ForecasterDecoder
    from neurohorizon.models.horizon import HorizonForecaster

    given = None if model.run is None else _load(model)
    if given is None:
        assert model.width is not None
        assert model.num_heads is not None
        assert model.num_encoder_layers is not None
        assert model.num_latents is not None
        made = HorizonForecaster(
            spec=WindowSpec(context_s=config.window.length_s),
            width=model.width,
            num_heads=model.num_heads,
            num_encoder_layers=model.num_encoder_layers,
            num_latents=model.num_latents,
        )
        settings = made.settings
    else:
        settings = given.settings
    regular = {"dropout": model.dropout, "identity_noise": model.identity_noise}
    settings = settings | {key: value for key, value in regular.items() if value is not None}
    decoder = ForecasterDecoder(
        tasks=tasks,
        forecaster=settings,
        offsets=model.offsets,
        frozen=model.frozen,
        pretrained=model.is_pretrained,
        num_query_layers=model.num_query_layers,
        dropout=float(settings["dropout"]),
    )
    if given is not None and model.is_pretrained:
        decoder.take_weights(given)
    return decoder


def latents_readouts(config: DecodeConfig) -> list[Latents]:
    """Return what reads the latents of a run's forecaster as it came, without training it.

    None where there is no forecaster, its weights were not taken, or it is gone.
    """
    from neurohorizon.evaluation.decoding.latents import LAGS_S, Latents
    from neurohorizon.models.checkpoint import load_forecaster

    model = config.model
    if not isinstance(model, ForecasterModel) or model.run is None or not model.is_pretrained:
        return []
    if not model.run.exists():
        return []
    forecaster = load_forecaster(model.run)[0]
    return [Latents(forecaster), Latents(forecaster, lags_s=LAGS_S)]


def refuse_seen(config: DecodeConfig, recordings: Sequence[Recording]) -> None:
    """Refuse a forecaster that was trained on time which is tested later.

    Parameters
    ----------
    config : DecodeConfig
    recordings : sequence of Recording
        Training recordings, split as the decoder's run splits them.

    Raises
    ------
    ConfigError

    Notes
    -----
    What the run of ``model.run`` says of its recordings is asked. A model file without its run,
    and a run whose recordings are gone, tell nothing.
    """
    from neurohorizon.configs.records import CONFIG_FILE, load_run

    model = config.model
    if not isinstance(model, ForecasterModel) or model.run is None or not model.is_pretrained:
        return
    if not (model.run / CONFIG_FILE).is_file():
        return
    run = load_run(model.run)
    paths = {each["id"]: run.recordings_folder / each["file"] for each in run.data["training"]}
    for recording in recordings:
        path = paths.get(recording.id)
        if path is None or not path.is_file():
            continue
        trained = prepare_recording(open_recording(path), run.config, path=path).require_split()
        seen_s = total_s(intersect(trained.train, recording.require_split().test))
        if seen_s > 0:
            raise ConfigError(
                f"model.run: the forecaster of {model.run} was trained on {seen_s:.0f} s of "
                f"{recording.id} that are tested here: split both alike (data.split), or train it "
                "on other recordings"
            )


def _load(model: ForecasterModel) -> HorizonForecaster:
    from neurohorizon.models.checkpoint import load_forecaster
    from neurohorizon.models.forecaster_decoder import refuse_forecaster

    assert model.run is not None
    try:
        forecaster = load_forecaster(model.run)[0]
        refuse_forecaster(forecaster.settings)
    except (CheckpointError, ConfigError) as error:
        raise ConfigError(f"model.run: {error}") from error
    return forecaster
