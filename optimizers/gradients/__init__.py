"""Gradients from values, where none is given."""
