"""Kedro's defaults; kedro-mlflow registers its hooks by itself."""
