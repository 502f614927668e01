"""Scoring decoders: metrics, stitching, a ladder of simple decoders, importance of units."""
