"""What a user chooses about a source, as ``name=value``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from neurohorizon.errors import ConfigError
from neurohorizon.sources.source import Setting, Source, Value

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_settings(
    source: Source, words: Sequence[str]
) -> tuple[dict[str, Value], dict[str, Value]]:
    """Read settings of a source; each has the type of its default.

    Parameters
    ----------
    source : Source
    words : sequence of str
        ``name=value`` each.

    Returns
    -------
    query, convert : dict
        Those that choose sessions, and those that say how one is converted. A setting that
        is both is in both.

    Raises
    ------
    ConfigError
        If a name is unknown or a value of another type.

    Examples
    --------
    >>> from neurohorizon.sources.catalogue import find_source
    >>> read_settings(find_source("npz"), [])
    ({}, {})
    """
    query: dict[str, Value] = {}
    convert: dict[str, Value] = {}
    known = {**source.query_settings, **source.convert_settings}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"{word}: expected name=value{_names(known)}")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {close[0]}?" if close else _names(known)
            raise ConfigError(f"{source.name}: no setting {name!r}{hint}")
        value = _read(name, text, known[name])
        for chosen, settings in (
            (query, source.query_settings),
            (convert, source.convert_settings),
        ):
            if name in settings:
                chosen[name] = value
    return query, convert


def _names(known: Mapping[str, Setting]) -> str:
    return f" ({', '.join(known)})" if known else ": this source has no settings"


def _read(name: str, text: str, setting: Setting) -> Value:
    default = setting.default
    try:
        if isinstance(default, bool):
            return _TRUTH[text.lower()]
        return type(default)(text)
    except (ValueError, KeyError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise ConfigError(f"{name}={text}: expected {kind}, as {name}={default}") from None
