"""Immutable received copies of signals: written, versioned, profiled, quarantined."""
