"""NeuroBridge: responses and pictures in one space."""
