"""DFOTR beside COBYQA on the problems of Moré and Wild: how many are solved within how many points.

    python benchmarks/dfotr.py [--noise 1e-3] [--seeds 1] [--budget 10] [--batch 1 4 wide]

The 53 problems and Brown's almost-linear function of 100 variables, each value with a relative
noise. A problem is solved to tau where some point evaluated has a true value of at most
f* + tau (f(x0) - f*). Points are counted in multiples of n + 1; with a batch, in waves as well:
"wide" is one of 2n + 1. Without noise, further seeds move the starts by 1 %.
"""

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from optimizers import COBYQA, DFOTR
from optimizers.problems import more_wild_problems
from optimizers.problems.mgh_systems import brown_almost_linear

PROBLEMS = [*more_wild_problems(), brown_almost_linear(100)]
TAUS = (1e-1, 1e-3, 1e-5)
MARKS = (1, 2, 5, 10, 25, 50, 100)


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

    width = {"COBYQA": 1, "wide": 2 * n + 1}.get(method) or int(method)
    wave = width if method == "wide" else 1
    settings: dict[str, Any] = {"maxfun": budget * (n + 1) * wave, "on_failure": "reject"}
    optimizer = COBYQA() if method == "COBYQA" else DFOTR(batch_size=width, seed=seed)
    optimizer.minimize(fun, start, **settings)
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
    asked = parser.parse_args()
    marks = [mark for mark in MARKS if mark <= asked.budget]
    print(f"of {len(PROBLEMS)}, noise {asked.noise:g}, mean of {asked.seeds} seeds")
    print(f"{'':16} {'tau':>6}" + "".join(f"{mark:>6}" for mark in marks) + "  times n + 1")
    with ProcessPoolExecutor() as pool:
        for method in ("COBYQA", *asked.batch):
            cases = [
                (method, number, asked.noise, seed, asked.budget)
                for seed in range(asked.seeds)
                for number in range(len(PROBLEMS))
            ]
            found = list(pool.map(solved, cases))
            name = method if method == "COBYQA" else f"DFOTR, batch {method}"
            for tau in TAUS:
                counts = [sum(at[tau] <= mark for at in found) / asked.seeds for mark in marks]
                print(f"{name:16} {tau:6g}" + "".join(f"{count:6.1f}" for count in counts))
                name = "  waves" if method == "wide" and tau == TAUS[0] else ""


if __name__ == "__main__":
    main()
