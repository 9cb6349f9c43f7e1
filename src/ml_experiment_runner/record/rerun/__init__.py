"""Runs a recorded run again: its code in a git worktree, its data, its environment."""
