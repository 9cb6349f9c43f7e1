"""The only way data comes in: contracts, sources, checks, snapshots; task `ingest`."""
