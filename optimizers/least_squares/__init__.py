"""Fits: what comes of residuals and likelihoods."""

from optimizers.least_squares.error_bars import error_bars
from optimizers.least_squares.functions import curve_fit, least_squares

__all__ = ["curve_fit", "error_bars", "least_squares"]
