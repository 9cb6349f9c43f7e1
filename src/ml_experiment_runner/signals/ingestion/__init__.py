"""Receives signals side by side: each is published, or held."""
