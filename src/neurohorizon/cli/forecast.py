"""``neurohorizon forecast``: what a trained model expects of a recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neurohorizon.cli._progress import StageProgress
from neurohorizon.errors import ConfigError

if TYPE_CHECKING:
    from neurohorizon.recordings.schema import FloatArray


def forecast(
    run: Path,
    recording: Path,
    /,
    *,
    out: Path,
    origins: str | None = None,
    reference_s: float = 120.0,
) -> None:
    """Forecast the rates of every unit of a recording.

    No gradient step is taken: units are known from a reference, the seconds before the
    first origin. The units that the run leaves out are left out here, too.

    Parameters
    ----------
    run
        Run folder, or a .safetensors checkpoint.
    recording
        A recording (.h5), of a session that the model need not have seen.
    out
        File for the rates: .npz (rate_hz by origin, unit and bin, with origins_s, unit_ids
        and bin_start_s) or .csv (one row an origin, unit and bin).
    origins
        START:STOP:STEP in seconds on the recording's clock, or one moment. By default from
        the end of the first reference to the end of the recording, a horizon apart.
    reference_s
        Seconds of reference.
    """
    from neurohorizon.configs.records import left_out_qualities
    from neurohorizon.models.forecast_files import (
        forecast_recording,
        plan_forecast,
        require_suffix,
        write_forecast,
    )
    from neurohorizon.models.forecasting import TrainedForecaster
    from neurohorizon.recordings.store import open_recording

    require_suffix(out)
    moments = None if origins is None else parse_origins(origins)
    forecaster = TrainedForecaster.load(run)
    session = open_recording(recording).without_qualities(left_out_qualities(run))
    plan = plan_forecast(session, forecaster.spec, origins_s=moments, reference_s=reference_s)
    if plan.num_inside:
        print(
            f"note: {plan.num_inside} of {len(plan.origins_s)} origins lie before "
            f"{plan.reference_span_s[1]:g} s, inside the reference that their units are known "
            "from: they are no forecasts of something new",
            file=sys.stderr,
        )
    with StageProgress() as progress:
        found = forecast_recording(
            forecaster,
            session,
            plan,
            progress=lambda done, total: progress("forecasting", done, total),
        )
    write_forecast(found, out, reference_span_s=plan.reference_span_s)
    num_origins, num_units, num_bins = found.rate_hz.shape
    bins = f"{num_bins} bins of {found.bin_s * 1000:g} ms"
    print(f"{out}: {num_origins} origins, {num_units} units, {bins}")


def parse_origins(text: str) -> FloatArray:
    """Read ``START:STOP:STEP``, or one moment, in seconds; the stop is left out.

    Examples
    --------
    >>> parse_origins("10:12:0.5").tolist()
    [10.0, 10.5, 11.0, 11.5]
    >>> parse_origins("130").tolist()
    [130.0]
    """
    import numpy as np

    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and np.isfinite(numbers).all():
        return np.array(numbers)
    usable = len(numbers) == 3 and np.isfinite(numbers).all()
    if not usable or numbers[2] <= 0 or numbers[1] <= numbers[0]:
        raise ConfigError(
            f"--origins {text}: expected START:STOP:STEP in seconds with START below STOP and a "
            "STEP above 0, such as 120:180:0.5, or one moment"
        )
    start, stop, step = numbers
    return start + step * np.arange(np.ceil((stop - start) / step - 1e-9))
