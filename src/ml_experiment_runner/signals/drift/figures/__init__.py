"""Figures of a delivery as a whole: how many rows, with which codes, at which hours, how high."""
