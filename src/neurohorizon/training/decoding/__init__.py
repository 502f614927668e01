"""How decoders learn: data, loss, validation, fitting."""
