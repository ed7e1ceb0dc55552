"""What a call costs besides its evaluations, with bounds: ours and SciPy's, in turn in one run.

    python benchmarks/fixed_cost.py [--n 10 1000 1000000] [--repeats 3]

Each contestant runs L-BFGS-B with ``maxiter=0``: one evaluation, whose answer is ready made, and no
iteration.
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


def contestants(n: int, bounds: Any) -> dict[str, Callable[[], object]]:
    x0, answer = np.full(n, 0.5), (1.0, np.ones(n))
    lbfgsb = LBFGSB(maxiter=0)

    def fun(x: np.ndarray) -> tuple[float, np.ndarray]:
        return answer

    def scipys() -> object:
        return scipy.optimize.minimize(
            fun, x0, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 0}
        )

    return {
        "class": lambda: lbfgsb.minimize(fun, x0, True, bounds),
        "function": lambda: minimize_lbfgsb(fun, x0, jac=True, bounds=bounds, maxiter=0),
        "scipy": scipys,
    }


def measure(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median of each contestant's milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if turn:  # the first turn warms up
                times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[10, 1_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    print(f"optimizers {optimizers.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}")
    print("milliseconds per call of L-BFGS-B with bounds, medians")
    for n in given.n:
        for kind, bounds in (
            ("list of pairs", [(0.0, 1.0)] * n),
            ("(n, 2) array", np.tile([0.0, 1.0], (n, 1))),
            ("Bounds", scipy.optimize.Bounds(np.zeros(n), np.ones(n))),
        ):
            medians = measure(contestants(n, bounds), given.repeats)
            cells = "  ".join(f"{name} {median:10.3f}" for name, median in medians.items())
            ratio = medians["function"] / medians["scipy"]
            print(f"n={n:<8} {kind:<14} {cells}  function/scipy {ratio:.4f}", flush=True)


if __name__ == "__main__":
    main()
