"""Drafts a contract from data, or takes over one that a producer has written."""
