"""Draw how fast three methods find the ground state of a spin chain whose energy is sampled.

Each value is the mean of 2000 shots. The picture shows the exact energy of the iterates above the
ground state: the picture of the README and of the documentation's first page. It needs matplotlib.
"""

import numpy as np
from matplotlib import pyplot

from optimizers import NFT, SPSA, History, NoisyLBFGSB, ParameterShift
from optimizers.problems import ising

METHODS = {"NoisyLBFGSB": NoisyLBFGSB(), "NFT": NFT(), "SPSA": SPSA(maxiter=2000)}


def curves():
    """Return for each method the points and waves spent at some iterates, and the exact energy."""
    exact, found = ising(), {}
    for name, method in METHODS.items():
        history, sampled = History(), ising(shots=2000, noise_seed=1, errors=True)
        jac = None if method.is_gradient_ignored else ParameterShift()
        method.minimize(sampled, sampled.x0, jac, maxfun=2500, seed=1, callback=history)
        rows = np.unique(np.geomspace(1, len(history.x), 80).astype(int)) - 1
        points = history.nfev[rows]
        waves = [history.evaluations[count - 1].wave for count in points]
        found[name] = points, waves, [exact(x) - exact.ground_energy for x in history.x[rows]]
    return found


def picture():
    """Draw the runs against points on the left, and against waves on the right."""
    figure, (left, right) = pyplot.subplots(
        1, 2, sharey=True, figsize=(9.0, 3.6), layout="constrained"
    )
    for name, (points, waves, energies) in curves().items():
        left.loglog(points, energies, linewidth=1.2, label=name)
        right.loglog(waves, energies, linewidth=1.2, label=name)
    left.set(xlabel="points evaluated", ylabel="energy above the ground state")
    right.set(xlabel="waves")
    left.legend(frameon=False)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.minorticks_off()
    return figure
