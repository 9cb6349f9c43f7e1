"""The run card: one page about a run."""
