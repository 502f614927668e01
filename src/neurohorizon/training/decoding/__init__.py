"""Training decoders: data, objectives, fit."""
