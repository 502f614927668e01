"""Protocol, metrics, baselines and ceilings: how a forecast is judged."""
