"""Allen Visual Coding: Neuropixels, from its NWB files."""

from neurohorizon.sources.allen.source import SOURCE, convert, find_files, list_sessions, templates

__all__ = ["SOURCE", "convert", "find_files", "list_sessions", "templates"]
