"""Signals joined as of a moment into rows that a model learns from."""
