"""L-BFGS-B without a gradient on noisy objectives: with the noise given, estimated, and SciPy's.

    python benchmarks/noise_steps.py [--noise 1e-6] [--seeds 2] [--tolerance 1e-2]

Every bundled problem that L-BFGS-B solves without noise, with values ``fun(x) * (1 + noise * z)``,
z normal. Solved is a true value that close to a known minimum, relative to 1 + abs(minimum).
"Wrong" are the failures that are called a success; over all problems in the last column.
"""

import argparse
import functools
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import scipy.optimize

from optimizers import LBFGSB
from optimizers.problems import ReferenceProblem, all_problems, get_problem

Run = Callable[[Any, ReferenceProblem, float, int], Any]


def gap(problem: ReferenceProblem, fun: float) -> float:
    first, *others = problem.minimum, *problem.other_minima
    gaps = [max(fun - first, 0.0) / (1 + abs(first))]
    return min(gaps + [abs(fun - other) / (1 + abs(other)) for other in others])


def noisy(problem: ReferenceProblem, noise: float, seed: int) -> Callable[[np.ndarray], float]:
    rng = np.random.default_rng(seed)
    return lambda x: problem.fun(x) * (1 + noise * rng.normal())


def given(fun: Any, problem: ReferenceProblem, noise: float, seed: int) -> Any:
    sigma = noise * abs(problem.fun(problem.x0))
    return LBFGSB(noise=sigma, seed=seed, on_failure="reject").minimize(
        fun, problem.x0, None, problem.bounds
    )


def estimated(fun: Any, problem: ReferenceProblem, noise: float, seed: int) -> Any:
    return LBFGSB(noise="estimate", seed=seed, on_failure="reject").minimize(
        fun, problem.x0, None, problem.bounds
    )


def scipys(fun: Any, problem: ReferenceProblem, noise: float, seed: int) -> Any:
    return scipy.optimize.minimize(fun, problem.x0, method="L-BFGS-B", bounds=problem.bounds)


CONTESTANTS: dict[str, Run] = {"given": given, "estimate": estimated, "SciPy": scipys}


@functools.cache
def is_solvable(name: str, tolerance: float) -> bool:
    problem = get_problem(name)
    result = LBFGSB(on_failure="reject").minimize(problem.fun, problem.x0, None, problem.bounds)
    return gap(problem, result.fun) <= tolerance


def measure(
    case: tuple[str, str, float, int, float],
) -> tuple[str, str, int, bool, float, bool, int]:
    contestant, name, noise, seed, tolerance = case
    warnings.simplefilter("ignore")
    problem = get_problem(name)
    result = CONTESTANTS[contestant](noisy(problem, noise, seed), problem, noise, seed)
    reached = gap(problem, problem.fun(result.x))
    solvable = is_solvable(name, tolerance)
    return contestant, name, seed, solvable, reached, bool(result.success), result.nfev


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--noise", type=float, default=1e-6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument("--verbose", action="store_true", help="name each failure")
    asked = parser.parse_args()
    cases = [
        (contestant, problem.name, asked.noise, seed, asked.tolerance)
        for contestant in CONTESTANTS
        for problem in all_problems()
        for seed in range(asked.seeds)
    ]
    with ProcessPoolExecutor() as pool:
        rows = list(pool.map(measure, cases, chunksize=4))
    print(
        f"{'':10} {'cases':>6} {'solved':>13} {'wrong':>6} {'true':>6} {'points':>8} "
        f"{'wrong, all':>11}"
    )
    for contestant in CONTESTANTS:
        mine = [row for row in rows if row[0] == contestant]
        counted = [row for row in mine if row[3]]
        solved = [row for row in counted if row[4] <= asked.tolerance]
        wrong = [row for row in counted if row[4] > asked.tolerance and row[5]]
        wrong_all = [row for row in mine if row[4] > asked.tolerance and row[5]]
        true = sum(row[5] for row in solved)
        points = sum(row[6] for row in counted)
        print(
            f"{contestant:10} {len(counted):6} {len(solved):6} ({len(solved) / len(counted):4.0%}) "
            f"{len(wrong):6} {true:6} {points:8} {len(wrong_all):11}"
        )
        if asked.verbose and contestant != "SciPy":
            for row in mine:
                if row[4] > asked.tolerance:
                    print(f"    {row[1]} seed {row[2]}: gap {row[4]:.1e}, success {row[5]}")


if __name__ == "__main__":
    main()
