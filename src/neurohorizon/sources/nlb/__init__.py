"""The Neural Latents Benchmark '21."""

from neurohorizon.sources.nlb.source import SOURCE, convert

__all__ = ["SOURCE", "convert"]
