"""Task `train`, and what it is made of: models, evaluation, thresholds, analysis, plots."""
