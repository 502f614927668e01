"""The International Brain Laboratory: sessions in ONE's layout."""

from neurohorizon.sources.ibl.source import SOURCE, convert, find_files

__all__ = ["SOURCE", "convert", "find_files"]
