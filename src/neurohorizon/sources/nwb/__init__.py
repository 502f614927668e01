"""Any NWB file, on disk or elsewhere."""

from neurohorizon.sources.nwb.source import SOURCE, convert, find_files

__all__ = ["SOURCE", "convert", "find_files"]
