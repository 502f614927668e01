"""Responses with the pictures they answer: splits by content, single trials and their means."""
