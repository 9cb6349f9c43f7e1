"""What the runner adds to Hydra, which looks for plugins in this package only."""
