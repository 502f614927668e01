"""Recordings: their schema, files, checks, splits, windows, batches and reference features."""
