"""What training shows on the run card."""
