"""The Neural Latents Benchmark '21."""

from neurohorizon.sources.nlb.source import SOURCE, convert, find_files, list_sessions

__all__ = ["SOURCE", "convert", "find_files", "list_sessions"]
