"""``neurohorizon data show``: a recording, or a folder of them, at a glance."""

from __future__ import annotations

from pathlib import Path

from neurohorizon.cli._progress import StageProgress


def show(path: Path, *, out: Path | None = None) -> None:
    """Draw a recording's session card, or a page on a folder of recordings.

    A card shows rates, raster, violations, behaviour and split, or responses to pictures; a
    folder's page hours by data set, units, rates, areas and findings.

    Parameters
    ----------
    path
        A recording, or a folder of recordings.
    out
        Figure to write, ``.png`` or ``.svg``; by default a PNG beside the recording, or
        ``overview.png`` in the folder.
    """
    from neurohorizon.recordings.responses_store import is_response_file, open_responses
    from neurohorizon.recordings.store import list_recordings, open_recording
    from neurohorizon.recordings.survey import survey
    from neurohorizon.report.overview import compute_overview, draw_overview
    from neurohorizon.report.response_card import compute_response_card, draw_response_card
    from neurohorizon.report.session_card import compute_session_card
    from neurohorizon.report.session_figure import draw_session_card
    from neurohorizon.report.signal_card import compute_signal_card, draw_signal_card
    from neurohorizon.report.style import save_figure

    if path.is_dir():
        with StageProgress() as progress:
            rows = survey(list_recordings(path), progress=lambda *step: progress("reading", *step))
        figure = draw_overview(compute_overview(rows, title=path.resolve().name))
        print(save_figure(figure, out or path / "overview.png"))
    elif is_response_file(path):
        figure = draw_response_card(compute_response_card(open_responses(path)))
        print(save_figure(figure, out or path.with_suffix(".png")))
    else:
        recording = open_recording(path)
        if recording.signals and len(recording.spike_times) == 0:
            figure = draw_signal_card(compute_signal_card(recording))
        else:
            figure = draw_session_card(compute_session_card(recording))
        print(save_figure(figure, out or path.with_suffix(".png")))
