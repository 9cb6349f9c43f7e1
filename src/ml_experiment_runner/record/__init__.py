"""Everything a run leaves behind, in its own folder first and synced to MLflow from there."""
