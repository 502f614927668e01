"""How fast recordings are read, and the model trains and forecasts; here and beside peers."""
