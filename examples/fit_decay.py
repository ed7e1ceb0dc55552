"""Fit a decay to data, with error bars, and draw it: the picture of the page "Fitting a model".

The data are NIST's Chwirut2, an ultrasonic response over the distance, with certified parameters.
It needs matplotlib.
"""

import numpy as np

from optimizers import TRF, Differences, residuals
from optimizers.problems import nist_fits

DATA = next(fit for fit in nist_fits() if fit.name == "Chwirut2")


def model(distance, b1, b2, b3):
    """Return a decay that flattens."""
    return np.exp(-b1 * distance) / (b2 + b3 * distance)


@residuals
def misfit(b):
    """Return model less data, one number for each datum."""
    return model(DATA.x, *b) - DATA.y


#: Steps of differences relative to the parameters, which are as small as 0.005.
OPTIMIZER = TRF(x_scale="jac")
SLOPES = Differences("3-point", relative_step=1e-5)


def picture():
    """Fit, profile the three parameters, and draw the result."""
    from matplotlib import pyplot

    fit = OPTIMIZER.minimize(misfit, [0.1, 0.01, 0.02], jac=SLOPES)
    profiles = OPTIMIZER.profile(misfit, fit, jac=SLOPES, points=6)

    figure = pyplot.figure(figsize=(9.0, 5.0), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[3, 2])
    above, below = left.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    distances = np.linspace(DATA.x.min(), DATA.x.max(), 200)
    above.plot(DATA.x, DATA.y, "o", markersize=3, label="data")
    above.plot(distances, model(distances, *fit.x), label="fit")
    above.set_ylabel("response")
    above.legend()
    below.axhline(0, color="gray", linewidth=0.8)
    below.plot(DATA.x, fit.residuals, "o", markersize=3)
    below.set(xlabel="distance", ylabel="residual")

    variance = fit.chi2 / fit.dof
    for i, axes in enumerate(right.subplots(3, 1)):
        curve = profiles[i]
        axes.plot(curve.values, 2 * (curve.fun - fit.fun) / variance, ".-", label="profile")
        parabola = ((curve.values - fit.x[i]) / fit.errors[i]) ** 2
        axes.plot(curve.values, parabola, "--", linewidth=1, label="covariance")
        axes.axvspan(curve.low, curve.high, alpha=0.15)
        axes.set(xlabel=f"b{i + 1}", ylabel="rise of chi2")
        axes.locator_params(axis="x", nbins=4)
    axes.legend()
    return fit, profiles
