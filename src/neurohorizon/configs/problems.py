"""What is wrong with a configuration, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from neurohorizon.configs.keys import section_at

EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "some text",
    "path_type": "a path",
    "tuple_type": "a list, such as [1, 2]",
    "list_type": "a list, such as [1, 2]",
    "dict_type": "a section of keys and values",
    "too_short": "a list with at least {min_length} value",
    "too_long": "a list with {max_length} values",
    "missing": "a value",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-'",
    "union_tag_invalid": "one of {expected_tags}",
    "model_type": "a section of keys and values",
    "model_attributes_type": "a section of keys and values",
}
"""What was expected where pydantic found something else, by its name for the error."""


def format_value(value: Any) -> str:
    """Write a value as it would be written in a recipe."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_problem(
    error: ValidationError, values: Mapping[str, Any], origin: Mapping[str, str]
) -> str:
    """Say the first thing that is wrong, in one line.

    Parameters
    ----------
    error : ValidationError
    values : mapping
        What was validated.
    origin : mapping of str to str
        Where each dotted key is from.
    """
    problems: dict[str, list[Any]] = {}
    for one in error.errors(include_url=False):
        problems.setdefault(_dotted(one["loc"], values), []).append(one)
    key, found = next(iter(problems.items()))
    first = found[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "value_error":
        return f"{first['ctx']['error']}{more}"
    whence = _whence(key, origin)
    if first["type"] == "union_tag_not_found":
        tag = first["ctx"]["discriminator"].strip("'")
        choices = section_at(key, values)
        names = ", ".join(choices.sections) if choices is not None else ""
        return f"{key}.{tag} is missing{whence}: expected one of {names}{more}"
    if first["type"] == "union_tag_invalid":
        key, whence = f"{key}.{first['ctx']['discriminator'].strip(chr(39))}", ""
        first = {**first, "input": first["ctx"]["tag"]}
    if first["type"] == "missing":
        return f"{key} is missing: give it a value{more}"
    expected = " or ".join(dict.fromkeys(_expected(one) for one in found))
    return f"{key}: expected {expected}, got {_got(first['input'])}{whence}{more}"


def _expected(error: Any) -> str:
    pattern = EXPECTED.get(error["type"])
    return pattern.format(**error.get("ctx", {})) if pattern else error["msg"].lower()


def _got(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"'{value}'"
    return format_value(value) if not isinstance(value, Mapping) else "a section"


def _dotted(location: Sequence[str | int], values: Any) -> str:
    """Return the dotted key of an error, without the words that pydantic adds for unions."""
    path = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            path += f"[{part}]"
            values = None
        elif isinstance(values, Mapping) and (
            part in values or (position == len(location) - 1 and "-" not in part)
        ):
            path += f".{part}" if path else part
            values = values.get(part)
    return path


def _whence(key: str, origin: Mapping[str, str]) -> str:
    key = key.partition("[")[0]
    label = origin.get(key) or next(
        (value for known, value in origin.items() if known.startswith(f"{key}.")), None
    )
    return f" ({label})" if label else ""
