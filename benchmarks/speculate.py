"""Waves against evaluations of L-BFGS-B that tries several steps at a time.

    python benchmarks/speculate.py [--n 8 16 32] [--most 5]

Rosenbrock's function from the standard start, gradients by one-sided differences. A wave is a call
of the vectorized objective; nothing here is timed.
"""

import argparse

import numpy as np
import scipy
from scipy.optimize import rosen

import optimizers
from optimizers import LBFGSB, vectorized


def counts(n: int, speculate: int) -> tuple[int, int, float]:
    """Return waves, points and the value found."""
    waves = 0

    @vectorized
    def fun(points: np.ndarray) -> np.ndarray:
        nonlocal waves
        waves += 1
        return rosen(points.T)

    # With the tolerance of scipy.optimize, and believing it.
    optimizer = LBFGSB(maxfun=10**6, ftol=2.220446049250313e-09, restart=False, speculate=speculate)
    result = optimizer.minimize(fun, np.resize([-1.2, 1.0], n), "2-point")
    return waves, result.nfev, result.fun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--most", type=int, default=5)
    given = parser.parse_args()
    print(f"optimizers {optimizers.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}")
    print("waves / points evaluated (value found), by n")
    for speculate in range(1, given.most + 1):
        cells = []
        for n in given.n:
            waves, points, value = counts(n, speculate)
            cells.append(f"{waves:4d} / {points:6d} ({value:.0e})")
        print(f"speculate={speculate}  " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
