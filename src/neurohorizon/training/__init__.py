"""How a model learns: data module, objectives, optimisers, callbacks."""
