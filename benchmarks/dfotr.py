"""DFOTR beside COBYQA on the problems of Moré and Wild: how many are solved within how many points.

    python benchmarks/dfotr.py [--noise 1e-3] [--seeds 1] [--budget 10] [--batch 1 4 wide]
        [--estimate LBFGSB NoisyLBFGSB]

The 53 problems and Brown's almost-linear function of 100 variables, each value with a relative
noise. A problem is solved to tau where some point evaluated has a true value of at most
f* + tau (f(x0) - f*). Points are counted in multiples of n + 1; with a batch, in waves as well:
"wide" is one of 2n + 1. Without noise, further seeds move the starts by 1 %. Classes that use a
gradient take part with ``noise="estimate"``; their line ends with the points before the first step,
of a problem each of 2, 5 and 10 variables.
"""

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import scipy.optimize

from optimizers import COBYQA, DFOTR, Optimizer, find
from optimizers.problems import more_wild_problems
from optimizers.problems.mgh_systems import brown_almost_linear

PROBLEMS = [*more_wild_problems(), brown_almost_linear(100)]
TAUS = (1e-1, 1e-3, 1e-5)
MARKS = (1, 2, 5, 10, 25, 50, 100)


def optimizer_by(method: str, n: int, seed: int) -> Optimizer:
    """Return COBYQA, DFOTR with batches of this size, or a class that estimates the noise."""
    if method == "COBYQA":
        return COBYQA()
    if method == "wide" or method.isdigit():
        return DFOTR(batch_size=2 * n + 1 if method == "wide" else int(method), seed=seed)
    return find(method)(noise="estimate", seed=seed)


def points_before_the_first_step(method: str, n: int) -> int:
    """Return how many points precede one that is further off, along no single variable."""
    x0, points = np.full(n, -1.2), list[Any]()

    def fun(x: Any) -> float:
        points.append(x)
        return 1.0 + scipy.optimize.rosen(x)

    optimizer_by(method, n, 0).minimize(fun, x0, maxfun=100 * (n + 1))
    moves = np.abs(np.array(points) - x0)
    return int(np.argmax((moves.max(axis=1) > 1e-3) & (np.count_nonzero(moves, axis=1) == n)))


def solved(case: tuple[str, int, float, int, int]) -> dict[float, float]:
    """Return at which multiple of n + 1 points (waves if wide) a problem is solved, by tau."""
    method, number, noise, seed, budget = case
    warnings.simplefilter("ignore")
    problem = PROBLEMS[number]
    rng = np.random.default_rng([seed, number])
    start, n = problem.x0, problem.n
    if seed and not noise:
        start = start * (1 + 0.01 * rng.normal(size=n))
    fall = problem.fun(problem.x0) - problem.minimum
    values: list[float] = []

    def fun(x: Any) -> float:
        values.append(problem.fun(x))
        if values[-1] <= problem.minimum + TAUS[-1] * fall:
            raise StopIteration
        return values[-1] * (1 + noise * rng.normal())

    wave = 2 * n + 1 if method == "wide" else 1
    settings: dict[str, Any] = {"maxfun": budget * (n + 1) * wave, "on_failure": "reject"}
    optimizer_by(method, n, seed).minimize(fun, start, **settings)
    best = np.fmin.accumulate(values)
    found = {}
    for tau in TAUS:
        reached = np.flatnonzero(best <= problem.minimum + tau * fall)
        found[tau] = (reached[0] + 1) / (n + 1) / wave if len(reached) else np.inf
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--noise", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=int, default=10, help="multiples of n + 1")
    parser.add_argument("--batch", nargs="*", default=["1"], help="1, 4, ..., or wide")
    parser.add_argument("--estimate", nargs="*", default=[], help="LBFGSB, NoisyLBFGSB, ...")
    asked = parser.parse_args()
    marks = [mark for mark in MARKS if mark <= asked.budget]
    print(f"of {len(PROBLEMS)}, noise {asked.noise:g}, mean of {asked.seeds} seeds")
    print(f"{'':16} {'tau':>6}" + "".join(f"{mark:>6}" for mark in marks) + "  times n + 1")
    with ProcessPoolExecutor() as pool:
        for method in ("COBYQA", *asked.batch, *asked.estimate):
            cases = [
                (method, number, asked.noise, seed, asked.budget)
                for seed in range(asked.seeds)
                for number in range(len(PROBLEMS))
            ]
            found = list(pool.map(solved, cases))
            name = f"DFOTR, batch {method}" if method in asked.batch else method
            for tau in TAUS:
                counts = [sum(at[tau] <= mark for at in found) / asked.seeds for mark in marks]
                line = f"{name:16} {tau:6g}" + "".join(f"{count:6.1f}" for count in counts)
                if method in asked.estimate and tau == TAUS[0]:
                    first = [points_before_the_first_step(method, n) for n in (2, 5, 10)]
                    line += "  first step after {}, {}, {} points".format(*first)
                print(line)
                name = "  waves" if method == "wide" and tau == TAUS[0] else ""


if __name__ == "__main__":
    main()
