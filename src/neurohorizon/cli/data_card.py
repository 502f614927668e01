"""``neurohorizon data card``: what a data set is."""

from __future__ import annotations


def card(source: str) -> None:
    """Tell a data set's licence, citation, size, settings and known problems.

    Parameters
    ----------
    source
        Name of the data set, as ``neurohorizon data list`` shows it.
    """
    from neurohorizon.sources.catalogue import find_source

    found = find_source(source)
    lines = [("name", found.name), ("title", found.title)]
    lines += [
        (word, text)
        for word, text in (
            ("licence", found.licence),
            ("citation", found.citation),
            ("homepage", found.homepage),
        )
        if text
    ]
    lines += [
        (word, f"{number:,}")
        for word, number in (
            ("recordings", found.num_recordings),
            ("units", found.num_units),
            ("spikes", found.num_spikes),
        )
        if number is not None
    ]
    settings = {**found.query_settings, **found.convert_settings}
    lines += [
        ("setting", f"{name}={setting.default}: {setting.about}")
        for name, setting in settings.items()
    ]
    lines += [("problem", note) for note in found.notes]
    if found.list_sessions is not None:
        lines.append(("get it", f"neurohorizon data fetch {found.name}"))
    else:
        lines.append(("read it", f"neurohorizon data prepare {found.name} PATH --out FOLDER"))
    for word, text in lines:
        print(f"{word:<12}{text}")
