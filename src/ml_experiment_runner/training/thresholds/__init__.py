"""Thresholds learned on validation data, and the active one."""
