"""TNC without a gradient: central differences with their own accuracy against SciPy's defaults.

    python benchmarks/tnc_differences.py [--maxiter 100 1000]

On the bundled problems and three larger ones: how many end within a gap, relative to
1 + abs(minimum), at how many points, and how many end with "Linear search failed".
"""

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from optimizers import TNC, Optimizer, SciPyOptimizer
from optimizers.problems import ReferenceProblem, all_problems, get_problem

GAPS = (1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
CONTESTANTS: dict[str, Callable[[int], Optimizer]] = {
    "SciPy's defaults": lambda maxiter: SciPyOptimizer("TNC", options={"maxiter": maxiter}),
    "TNC()": lambda maxiter: TNC(maxiter=maxiter),
}


def gap(problem: ReferenceProblem, fun: float) -> float:
    first, *others = problem.minimum, *problem.other_minima
    gaps = [max(fun - first, 0.0) / (1 + abs(first))]
    return min(gaps + [abs(fun - other) / (1 + abs(other)) for other in others])


def solve(optimizer: Optimizer, problem: ReferenceProblem) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optimizer.minimize(
            problem.fun, problem.x0, None, problem.bounds, on_failure="reject", maxfun=20000
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--maxiter", type=int, nargs="+", default=[100, 1000])
    asked = parser.parse_args()
    problems = [
        *all_problems(),
        *(get_problem("extended_rosenbrock", n) for n in (16, 32)),
        get_problem("variably_dimensioned", 16),
    ]
    print(f"{len(problems)} problems; solved within a gap of " + ", ".join(map(str, GAPS)))
    for maxiter in asked.maxiter:
        for name, make in CONTESTANTS.items():
            results = [solve(make(maxiter), problem) for problem in problems]
            gaps = np.array([gap(p, r.fun) for p, r in zip(problems, results, strict=True)])
            solved = "  ".join(f"{(gaps <= limit).sum():3}" for limit in GAPS)
            points = sum(r.nfev for r in results)
            failed = sum(r.status == 4 for r in results)
            print(f"maxiter {maxiter:5} {name:17} {solved}  points {points:7}  failed {failed}")


if __name__ == "__main__":
    main()
