"""Fits: an algorithm for residuals, and what comes of residuals and likelihoods."""

from optimizers.least_squares.error_bars import error_bars
from optimizers.least_squares.functions import curve_fit, least_squares
from optimizers.least_squares.lm import LM

__all__ = ["LM", "curve_fit", "error_bars", "least_squares"]
