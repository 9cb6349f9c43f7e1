"""The configuration: schema, composition, checks, and messages for Hydra's errors."""
