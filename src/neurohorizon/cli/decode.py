"""``neurohorizon decode``: what an animal was doing, from a trained decoder."""

from __future__ import annotations

from pathlib import Path

from neurohorizon.cli._progress import StageProgress


def decode(
    run: Path,
    recording: Path,
    /,
    *,
    out: Path,
    rate_hz: float = 20.0,
) -> None:
    """Decode every task of a run over the whole of a recording.

    The recording need not hold any behaviour, unless the run knows units by a reference that
    reads it. Windows overlap by half, and what they say of one time is averaged.

    Parameters
    ----------
    run
        Run folder of a decoder, or a folder that `neurohorizon adapt` wrote.
    recording
        A recording (.h5) whose units the model knows, or any one if it knows units by a reference.
    out
        File: .npz (times and values of each task) or .csv (one row a task, time and column).
    rate_hz
        How often, in times a second.
    """
    from neurohorizon.configs.records import left_out_qualities
    from neurohorizon.configs.run_decoding import load_decoder_of
    from neurohorizon.models.decoded_files import regular_clock, require_suffix, write_decoded
    from neurohorizon.recordings.store import open_recording

    require_suffix(out)
    decoder = load_decoder_of(run)
    session = open_recording(recording).without_qualities(left_out_qualities(run))
    clock_s = regular_clock(session, rate_hz)
    with StageProgress() as progress:
        decoded = decoder.decode(
            session, clock_s=clock_s, progress=lambda done, total: progress("decoding", done, total)
        )
    write_decoded(decoded, out)
    print(f"{out}: {', '.join(decoded)} at {len(clock_s):,} times, {rate_hz:g} a second")
