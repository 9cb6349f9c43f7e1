"""How contracts are written: YAML of the Open Data Contract Standard, with its lines."""
