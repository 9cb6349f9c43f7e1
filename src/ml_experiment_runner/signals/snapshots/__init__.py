"""Immutable ingested copies of signals: written, versioned, profiled, quarantined."""
