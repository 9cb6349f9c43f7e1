"""What can be seen of a change: each check learns from the past and measures a delivery."""
