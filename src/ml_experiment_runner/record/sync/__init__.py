"""Sends records to MLflow: client, worker and store."""
