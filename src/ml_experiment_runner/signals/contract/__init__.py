"""Contracts: what a signal's owner guarantees of it, and where its rows come from."""
