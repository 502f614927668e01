"""Members of a sweep that train on a part of the recordings each, and hold out all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neurohorizon.configs.data_schema import FilesData
from neurohorizon.configs.experiment import as_text
from neurohorizon.configs.load import load_config
from neurohorizon.configs.sessions import open_sessions
from neurohorizon.errors import ConfigError


def group_recordings(each: str, recipe: str, words: Sequence[str]) -> dict[str, list[str]]:
    """Return the recordings of each recording, subject, or value of their metadata.

    Parameters
    ----------
    each : str
        "recording", "subject", or a key of the metadata, such as "laboratory".
    recipe : str
    words : sequence of str
        ``key=value`` that change it.

    Raises
    ------
    ConfigError
        If recordings do not say it, or all say the same.
    """
    config = load_config(recipe, words).config
    if not isinstance(config.data, FilesData):
        raise ConfigError(
            f"each={each} trains on recordings in files, and data.name is "
            f"{config.data.name}: make some with `neurohorizon simulate population --out FOLDER` "
            "and give data.name=files data.recordings=FOLDER"
        )
    opened = open_sessions(config)
    groups: dict[str, list[str]] = {}
    for session in (*opened.training, *opened.held_out):
        recording = session.recording
        known = {**recording.metadata, "recording": recording.id, "subject": recording.subject}
        if known.get(each, "") in ("", None):
            raise ConfigError(
                f"each={each}: {recording.id} does not say it: there are recording, subject"
                + "".join(f", {key}" for key in sorted(recording.metadata))
            )
        if each == "subject" and recording.subject == "unknown":
            raise ConfigError(
                f"each=subject: that of {recording.id} is unknown: name it in the source file, or "
                "train on each recording"
            )
        groups.setdefault(str(known[each]), []).append(recording.id)
    if len(groups) < 2:
        raise ConfigError(f"only one {each} there: nothing to transfer to")
    return dict(sorted(groups.items()))


def train_on_each(groups: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """Return a member for every group, which trains on it and on nothing else."""
    every = {id for ids in groups.values() for id in ids}
    return {
        f"trained on {group}": {
            "data.hold_out.by": "id",
            "data.hold_out.ids": as_text(sorted(every - set(ids))),
        }
        for group, ids in groups.items()
    }
