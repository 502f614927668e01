"""``neurohorizon forecast``: what a trained model expects of a recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neurohorizon.cli._progress import StageProgress
from neurohorizon.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neurohorizon.models.forecasting import Forecast
    from neurohorizon.recordings.schema import FloatArray, Recording
    from neurohorizon.recordings.windows import WindowSpec

ORIGINS_AT_ONCE = 1024


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
    first origin.

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
    import numpy as np

    from neurohorizon.evaluation.protocol import Protocol
    from neurohorizon.models.forecasting import TrainedForecaster
    from neurohorizon.recordings.reference import compute_reference
    from neurohorizon.recordings.store import open_recording

    if out.suffix not in (".npz", ".csv"):
        raise ConfigError(f"{out}: forecasts are written as .npz or .csv: give such a name")
    if reference_s <= 0:
        raise ConfigError(f"--reference-s is {reference_s:g}: expected seconds above 0")
    forecaster = TrainedForecaster.load(run)
    session = open_recording(recording).without_qualities(Protocol().left_out_qualities)
    begin = float(session.domain[0, 0])
    if origins is None:
        moments = default_origins(session, forecaster.spec, reference_s=reference_s)
    else:
        moments = parse_origins(origins)
    # An origin outside the recording is refused below, by its own name.
    end = min(max(float(moments[0]), begin + reference_s), float(session.domain[-1, 1]))
    reference = compute_reference(
        session, np.array([[end - reference_s, end]]), spec=forecaster.spec
    )
    inside = int(np.sum(moments < end - 1e-9))
    if inside:
        print(
            f"note: {inside} of {len(moments)} origins lie before {end:g} s, inside the reference "
            "that their units are known from: they are no forecasts of something new",
            file=sys.stderr,
        )
    parts: list[Forecast] = []
    with StageProgress() as progress:
        for start in range(0, len(moments), ORIGINS_AT_ONCE):
            progress("forecasting", start, len(moments))
            chunk = moments[start : start + ORIGINS_AT_ONCE]
            parts.append(forecaster.forecast(session, chunk, reference=reference))
        progress("forecasting", len(moments), len(moments))
    rate_hz = np.concatenate([part.rate_hz for part in parts])
    write_rates(out, rate_hz, moments, parts[0], reference_span_s=(end - reference_s, end))
    num_units, num_bins = rate_hz.shape[1:]
    print(f"{out}: {len(moments)} origins, {num_units} units, {num_bins} bins of", end=" ")
    print(f"{parts[0].bin_s * 1000:g} ms")


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


def default_origins(recording: Recording, spec: WindowSpec, *, reference_s: float) -> FloatArray:
    """Place origins a horizon apart behind the first reference, wherever a context fits."""
    import numpy as np

    from neurohorizon.ops.intervals import intersect, regular_origins

    begin = float(recording.domain[0, 0])
    later = intersect(recording.domain, np.array([[begin + reference_s - spec.context_s, np.inf]]))
    origins = regular_origins(later, step_s=spec.horizon_s, before_s=spec.context_s, after_s=0.0)
    if len(origins) == 0:
        raise DataError(
            f"{recording.id}: nothing is left behind a reference of {reference_s:g} s "
            f"({recording.duration_s:.4g} s were recorded): give a shorter --reference-s"
        )
    return origins


def write_rates(
    out: Path,
    rate_hz: NDArray,
    origins_s: FloatArray,
    like: Forecast,
    *,
    reference_span_s: tuple[float, float],
) -> None:
    """Write rates (origins, units, bins) as .npz or .csv, as the name says."""
    import csv

    import numpy as np

    from neurohorizon.ops.files import atomic_path

    with atomic_path(out) as temporary:
        if out.suffix == ".npz":
            np.savez_compressed(
                temporary,
                allow_pickle=False,
                rate_hz=rate_hz,
                origins_s=origins_s,
                bin_start_s=like.bin_start_s,
                bin_s=like.bin_s,
                unit_ids=like.unit_ids,
                reference_s=np.array(reference_span_s),
            )
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["origin_s", "unit", "bin_start_s", "rate_hz"])
            for origin, rates in zip(origins_s, rate_hz, strict=True):
                for unit, values in zip(like.unit_ids, rates, strict=True):
                    for start, value in zip(like.bin_start_s, values, strict=True):
                        writer.writerow([f"{origin:.6f}", unit, f"{start:.6f}", f"{value:.6g}"])
