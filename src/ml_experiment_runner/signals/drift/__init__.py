"""Finds what has changed in a signal though its contract has not."""
