"""Recipes, their schemas, and how a config becomes objects."""
