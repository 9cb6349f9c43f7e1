"""Everything a run leaves behind: journal, provenance, delivery to MLflow."""
