"""What pages are made of: their environment, and tables as they print them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from neurohorizon.errors import ConfigError
from neurohorizon.report.tables import TableRow


@dataclass(frozen=True)
class PageTable:
    """A table as the page prints it.

    Parameters
    ----------
    title, note : str
    headings : list of str
        Of the columns after the first.
    rows : list of TableRow
    """

    title: str
    note: str
    headings: list[str]
    rows: list[TableRow]


def page_environment() -> Environment:
    """Make the environment of the templates: what is not HTML is escaped."""
    environment = Environment(
        loader=PackageLoader("neurohorizon.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = typeset_minus
    return environment


def page_path(out: Path | str) -> Path:
    """Return where a page shall be.

    Raises
    ------
    ConfigError
        If that is no ``.html`` file.
    """
    out = Path(out)
    if out.suffix != ".html":
        raise ConfigError(f"{out}: the report is one HTML page: give a name that ends in .html")
    return out


def typeset_minus(text: str) -> str:
    """Write a true minus before digits, as tables of numbers want it."""
    return text.replace("-", "−") if any(letter.isdigit() for letter in text) else text
