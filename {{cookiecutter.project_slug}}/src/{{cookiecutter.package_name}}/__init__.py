"""What is this project's own: features, estimators, tasks."""
