"""Waves against evaluations of methods that try several steps at a time.

    python benchmarks/speculate.py [--n 8 16 32] [--most 5]

Rosenbrock's function from the standard start: L-BFGS-B with gradients by one-sided differences, and
Nelder-Mead with a quarter of the variables. A wave is a call of the vectorized objective; nothing
here is timed.
"""

import argparse

import numpy as np
import scipy
from scipy.optimize import rosen

import optimizers
from optimizers import LBFGSB, NELDER_MEAD, Optimizer, vectorized


def counts(optimizer: Optimizer, n: int, jac: str | None = None) -> str:
    """Return waves, points and the value found, in words."""
    waves = 0

    @vectorized
    def fun(points: np.ndarray) -> np.ndarray:
        nonlocal waves
        waves += 1
        return rosen(points.T)

    result = optimizer.minimize(fun, np.resize([-1.2, 1.0], n), jac)
    return f"{waves:4d} / {result.nfev:6d} ({result.fun:.0e})"


def lbfgsb(speculate: int) -> LBFGSB:
    # With the tolerance of scipy.optimize, and believing it.
    return LBFGSB(maxfun=10**6, ftol=2.220446049250313e-09, restart=False, speculate=speculate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--most", type=int, default=5)
    given = parser.parse_args()
    print(f"optimizers {optimizers.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}")
    print("waves / points evaluated (value found), by n")
    for speculate in range(1, given.most + 1):
        cells = [counts(lbfgsb(speculate), n, "2-point") for n in given.n]
        print(f"LBFGSB(speculate={speculate})       " + "  ".join(cells), flush=True)
    for speculate in range(1, 5):
        optimizer = NELDER_MEAD(maxfev=10**6, speculate=speculate)
        cells = [counts(optimizer, max(1, n // 4)) for n in given.n]
        print(f"NELDER_MEAD(speculate={speculate})  " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
