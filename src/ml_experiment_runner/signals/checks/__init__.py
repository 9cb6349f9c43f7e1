"""What a delivery is checked for: schema and quality rules."""
