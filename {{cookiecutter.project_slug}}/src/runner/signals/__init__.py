"""The only way data comes in: contract, source, checks, snapshot."""
