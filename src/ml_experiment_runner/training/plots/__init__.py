"""The plots of an evaluated model."""
