"""Fits: what comes of residuals and likelihoods."""

from optimizers.least_squares.error_bars import ErrorBars, error_bars

__all__ = ["ErrorBars", "error_bars"]
