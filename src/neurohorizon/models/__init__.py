"""One file a system: what a model is, from its inputs to its forecast."""
