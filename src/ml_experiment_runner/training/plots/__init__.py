"""Figures of runs and of the tasks that analyse a model."""
