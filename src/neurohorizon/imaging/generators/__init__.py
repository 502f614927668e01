"""Generators behind one interface: retrieved, directly decoded, and drawn by a flow."""
