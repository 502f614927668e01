"""``neurohorizon data responses``: what spiking units answered to pictures."""

from __future__ import annotations

from pathlib import Path

from neurohorizon.cli._progress import StageProgress


def responses(
    path: Path,
    /,
    *,
    pictures: str,
    out: Path,
    window_ms: tuple[float, float] = (0.0, 250.0),
    bins: int | None = None,
    every: int = 1,
) -> None:
    """Count the spikes that follow each picture: responses that bridges are fitted to.

    Recordings know which picture was shown when once `data embed --attach` has told them. A
    presentation whose window the recording does not cover is left out, and so are units that the
    source calls noise. Recordings that are there already are kept.

    Parameters
    ----------
    path
        A recording of spikes, or a folder of recordings.
    pictures
        The name under which the pictures' embeddings are attached.
    out
        Folder for the responses.
    window_ms
        From and to, after the picture came on.
    bins
        Time bins of the window; one number a unit by default.
    every
        Of a movie: use every so many frames, the same ones whenever it is shown.
    """
    from neurohorizon.errors import DataError
    from neurohorizon.evaluation.protocol import LEFT_OUT_QUALITIES
    from neurohorizon.recordings.responses_store import open_responses, write_responses
    from neurohorizon.recordings.spike_responses import (
        MADE,
        ResponseWindow,
        responses_to_pictures,
    )
    from neurohorizon.recordings.store import list_recordings, open_recording

    start_ms, end_ms = window_ms
    window = ResponseWindow(start_ms / 1000, end_ms / 1000, bins, every)
    files = list_recordings(path)
    if out.resolve() in {path.resolve(), *(file.resolve().parent for file in files)}:
        raise DataError(f"--out {out}: holds the spikes: choose another folder")
    with StageProgress() as progress:
        for number, file in enumerate(files):
            target = out / file.name
            if target.exists():
                made = open_responses(target).metadata.get(MADE)
                if made != window.describe(pictures):
                    raise DataError(
                        f"{target}: holds other responses ({made or 'nobody knows what of'}): "
                        "choose another --out"
                    )
                print(f"{target}: there already")
            else:
                recording = open_recording(file).without_qualities(LEFT_OUT_QUALITIES)
                recorded, notes = responses_to_pictures(recording, pictures, window)
                write_responses(recorded, target)
                values = recorded.responses.values.shape
                told = f"{values[0]:,} presentations of {len(recorded.images)} pictures"
                print(f"{target}: {told}, {values[1]} units")
                for note in notes:
                    print(f"{target}: {note}")
            progress("responses", number + 1, len(files))
    print(f"next: neurohorizon bridge align with data.recordings={out}")
