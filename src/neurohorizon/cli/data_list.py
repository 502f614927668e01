"""``neurohorizon data list``: which data sets and formats there are."""

from __future__ import annotations


def list_sources() -> None:
    """List the public data sets and the formats that can be prepared.

    Examples
    --------
    ``neurohorizon data list``
    """
    from neurohorizon.sources.catalogue import DATA_SETS, FORMATS

    rows = [("data set", "recordings", "units", "licence", "what it is")]
    rows += [
        (
            source.name,
            "" if source.num_recordings is None else str(source.num_recordings),
            "" if source.num_units is None else str(source.num_units),
            source.licence,
            source.title,
        )
        for source in DATA_SETS
    ]
    rows += [(source.name, "", "", "", source.title) for source in FORMATS]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        left, *numbers, licence, title = row
        cells = [
            left.ljust(widths[0]),
            *(n.rjust(w) for n, w in zip(numbers, widths[1:3], strict=True)),
        ]
        print("  ".join([*cells, licence.ljust(widths[3]), title]))
