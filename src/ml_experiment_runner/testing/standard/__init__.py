"""Tests that hold for every project; `testing.collection` has pytest run them."""
