"""One kind of hold for everything that stops automation until a person decides."""
