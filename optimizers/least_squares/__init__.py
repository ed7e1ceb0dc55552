"""Fits: what comes of residuals and likelihoods."""

from optimizers.least_squares.error_bars import error_bars

__all__ = ["error_bars"]
