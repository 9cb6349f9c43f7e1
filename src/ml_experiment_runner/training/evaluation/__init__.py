"""How good a model is: metrics with intervals, slices, folds, comparisons."""
