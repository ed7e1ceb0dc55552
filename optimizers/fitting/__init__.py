"""Fits: an algorithm for residuals, and error bars from residuals and likelihoods."""

from optimizers.fitting.error_bars import error_bars
from optimizers.fitting.functions import curve_fit, least_squares
from optimizers.fitting.lm import LM

__all__ = ["LM", "curve_fit", "error_bars", "least_squares"]
