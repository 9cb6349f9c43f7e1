"""Signals joined as of a prediction time into rows that a model learns from."""
