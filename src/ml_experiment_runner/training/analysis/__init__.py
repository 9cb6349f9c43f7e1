"""Tasks `ablate` and `blast_radius`."""
