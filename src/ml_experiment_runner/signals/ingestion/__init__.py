"""Ingestion: signals are fetched side by side, checked, and published or held."""
