"""The keys that the schema knows, and what somebody who mistyped one may have meant."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from neurohorizon.configs.root import root_of


@dataclass(frozen=True)
class Alternatives:
    """The sections that a key can stand for.

    Parameters
    ----------
    tag : str
        Key that tells them apart ("name", "by"); "" where there is only one.
    sections : mapping of str to class
        By the tag's value.
    named : bool
        Whether the key holds any number of such sections, by names that the user gives.
    """

    tag: str
    sections: Mapping[str, type[BaseModel]]
    named: bool = False

    def choose(self, values: Mapping[str, Any]) -> type[BaseModel] | None:
        """Return the section that values are meant for; None where the tag does not say."""
        if self.named:
            return None
        if not self.tag:
            return self.sections[""]
        return self.sections.get(str(values.get(self.tag)))


def alternatives(field: FieldInfo) -> Alternatives | None:
    """Return the sections that a field can hold; None for a plain value."""
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return Alternatives("", {"": field.annotation})
    if get_origin(field.annotation) is dict:
        return Alternatives("", {"": get_args(field.annotation)[1]}, named=True)
    members = [
        member
        for member in _members(field.annotation)
        if isinstance(member, type) and issubclass(member, BaseModel)
    ]
    if not members:
        return None
    if not isinstance(field.discriminator, str):
        return Alternatives("", {"": members[0]})
    tag = field.discriminator
    return Alternatives(tag, {member.model_fields[tag].default: member for member in members})


def section_at(path: str, values: Mapping[str, Any]) -> Alternatives | None:
    """Return what may stand at a dotted path, given the values around it."""
    found: Alternatives | None = Alternatives("", {"": root_of(values)})
    section = found.choose(values)
    for key in path.split(".") if path else []:
        if found.named:
            found = Alternatives("", found.sections)
        elif section is None or key not in section.model_fields:
            return None
        else:
            found = alternatives(section.model_fields[key])
        if found is None:
            return None
        inner = values.get(key)
        values = inner if isinstance(inner, Mapping) else {}
        section = found.choose(values)
    return found


def find_unknown(values: Mapping[str, Any]) -> str | None:
    """Return the first dotted key that the schema does not know."""
    return next(_unknown(values, root_of(values), ""), None)


def explain_unknown(path: str, values: Mapping[str, Any]) -> str:
    """Say which key somebody may have meant, or which there are.

    Parameters
    ----------
    path : str
        The unknown dotted key.
    values : mapping
        The values it stands among.
    """
    parent, _, key = path.rpartition(".")
    found = section_at(parent, values)
    section = found.choose(_values_at(parent, values)) if found is not None else None
    assert found is not None, f"{parent} is a value"
    assert section is not None, f"{parent} does not say what it is"
    here = list(section.model_fields)
    others = [
        (tag, other)
        for tag, other in found.sections.items()
        if key in other.model_fields and other is not section
    ]
    if others:
        tag, prefix = others[0][0], f"{parent}." if parent else ""
        return f"it belongs to {prefix}{found.tag}={tag}: add that"
    near = difflib.get_close_matches(key, here, n=1, cutoff=0.6)
    if near:
        return f"did you mean {parent}.{near[0]}?" if parent else f"did you mean {near[0]}?"
    everywhere = list(_all_keys(root_of(values), ""))
    elsewhere = [known for known in everywhere if known.rpartition(".")[2] == key]
    elsewhere += difflib.get_close_matches(path, everywhere, n=1, cutoff=0.75)
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"{parent or 'the configuration'} has {', '.join(here)}"


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [leaf for member in get_args(annotation) for leaf in _members(member)]
    return [annotation]


def _unknown(values: Mapping[str, Any], section: type[BaseModel], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        if key not in section.model_fields:
            yield f"{prefix}{key}"
        elif isinstance(value, Mapping):
            found = alternatives(section.model_fields[key])
            if found is None:
                continue
            if found.named:
                for name, one in value.items():
                    if isinstance(one, Mapping):
                        yield from _unknown(one, found.sections[""], f"{prefix}{key}.{name}.")
            elif (inner := found.choose(value)) is not None:
                yield from _unknown(value, inner, f"{prefix}{key}.")


def _values_at(path: str, values: Any) -> Mapping[str, Any]:
    for key in path.split(".") if path else []:
        values = values.get(key, {}) if isinstance(values, Mapping) else {}
    return values if isinstance(values, Mapping) else {}


def _all_keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for key, field in section.model_fields.items():
        found = alternatives(field)
        if found is None:
            yield f"{prefix}{key}"
        else:
            here = f"{prefix}{key}.NAME." if found.named else f"{prefix}{key}."
            for inner in found.sections.values():
                yield from _all_keys(inner, here)
