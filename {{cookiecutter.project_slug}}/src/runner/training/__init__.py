"""Fit, learn the threshold, judge."""
