"""What is this project's own: its features, its estimators, its tasks."""
