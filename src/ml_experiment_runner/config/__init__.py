"""The configuration: schema, composition, checks, and Hydra's errors said plainly."""
