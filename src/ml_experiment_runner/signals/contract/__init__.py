"""What a signal promises."""
