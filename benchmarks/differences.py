"""Time per point of gradients by differences, above a plain loop over calls of the objective.

    python benchmarks/differences.py [--n 8 32 128] [--repeats 11]

Each contestant runs L-BFGS-B without a gradient for 10 iterations. A plain loop over as many calls
is measured in the same turn and subtracted, and so is a run with the exact gradient, for the
algorithm's own part.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import scipy.optimize

import optimizers
from optimizers import LBFGSB, minimize_lbfgsb

Run = Callable[[np.ndarray, Any], Any]  # minimizes from a start with a gradient or None

_OPTIONS: dict[str, Any] = {"maxiter": 10, "ftol": 0.0, "gtol": 0.0}


def fun(x: np.ndarray) -> float:
    return float(x.dot(x * x))


def jac(x: np.ndarray) -> np.ndarray:
    return 3.0 * x * x


def scipys(x: np.ndarray, jac: Any) -> Any:
    return scipy.optimize.minimize(fun, x, jac=jac, method="L-BFGS-B", options=_OPTIONS)


def per_point(run: Run, x: np.ndarray) -> float:
    """Return microseconds per point above a plain loop and above the algorithm itself."""
    began = time.perf_counter()
    points = run(x, None).nfev
    differences = time.perf_counter()
    for _ in range(points):
        fun(x)
    looped = time.perf_counter()
    run(x, jac)
    exact = time.perf_counter()
    return 1e6 * ((differences - began) - (looped - differences) - (exact - looped)) / points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--repeats", type=int, default=11)
    given = parser.parse_args()
    print(f"optimizers {optimizers.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}")
    print("microseconds per point above a plain loop over calls, medians")
    lbfgsb = LBFGSB(ftol=0.0, maxiter=10, options={"gtol": 0.0, "restart": False})
    runs: dict[str, Run] = {
        "class": lambda x, jac: lbfgsb.minimize(fun, x, jac),
        "function": lambda x, jac: minimize_lbfgsb(fun, x, jac=jac, **_OPTIONS),
        "scipy": scipys,
    }
    for n in given.n:
        x = np.linspace(1.0, 2.0, n)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(given.repeats + 1):
            for name, run in runs.items():
                figure = per_point(run, x)
                if turn:  # the first turn warms up
                    times[name].append(figure)
        cells = "  ".join(f"{name} {statistics.median(v):8.2f}" for name, v in times.items())
        print(f"n={n:<5} {cells}", flush=True)


if __name__ == "__main__":
    main()
