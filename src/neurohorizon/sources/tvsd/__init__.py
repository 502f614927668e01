"""TVSD: multi-unit responses of macaque visual cortex to THINGS pictures."""

from neurohorizon.sources.tvsd.source import SOURCE, convert, find_files

__all__ = ["SOURCE", "convert", "find_files"]
