"""L-BFGS-B of this package over SciPy's: time an evaluation, memory, and what they solve.

    python benchmarks/native.py [--what time crossover memory problems] [--n ...] [--repeats 9]

``time``: processor time per evaluation above the objective, ``LBFGSB(solver="native").minimize``
over ``scipy.optimize.minimize(method="L-BFGS-B")``; the function returns value and gradient
(``jac=True``). Both take turns in one process; a figure is the median of the ratios of the turns,
with their quartiles. The objective's own time is measured at the points of the run. Half of the
variables are at a bound in the end where there are bounds. ``crossover``: the same for fewer
variables. ``memory``: the highest memory of a process with one run, in vectors. ``problems``: which
of the bundled problems each solves, in how many evaluations.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other blur times

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import scipy.optimize

import optimizers
from optimizers import LBFGSB
from optimizers.problems import ReferenceProblem, all_problems, more_wild_problems

ITERATIONS = 30
KINDS = {"free": (False, None), "bounds": (True, None)}
SINGLE = {"free, float32": (False, "float32"), "bounds, float32": (True, "float32")}
Both = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Quartic:
    """A separable function with condition 1000, some of whose minima are beyond the bounds."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(n)
        self.scale, self.target = 10.0 ** rng.uniform(0, 3, n), rng.uniform(-1, 1, n)
        self.start = rng.uniform(-2, 2, n)
        # The minimum of every other variable is outside.
        low = np.where(np.arange(n) % 2, self.target + 0.1, self.target - 4.0)
        self.bounds = scipy.optimize.Bounds(low, low + 8.0)
        self.start = np.clip(self.start, low, low + 8.0)
        self.seconds, self.calls = 0, 0

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return value and gradient; note the time that it took."""
        began = time.process_time_ns()
        d = x - self.target
        scaled = self.scale * d
        square = d * d
        gradient = scaled + square * d
        value = 0.5 * float(scaled @ d) + 0.25 * float(square @ square)
        self.seconds += time.process_time_ns() - began
        self.calls += 1
        return value, gradient


def native(n: int, *, single: str | None) -> Callable[..., Any]:
    optimizer = LBFGSB(
        ftol=0.0,
        maxiter=ITERATIONS,
        solver="native",
        options={"gtol": 0.0, "restart": False, "memory_dtype": single},
    )
    return lambda fun, x, bounds: optimizer.minimize(fun, x, True, bounds)


def scipys(fun: Both, x: np.ndarray, bounds: Any) -> Any:
    options = {"maxiter": ITERATIONS, "ftol": 0.0, "gtol": 0.0}
    return scipy.optimize.minimize(
        fun, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )


def overhead(minimize: Callable[..., Any], n: int, *, bounded: bool) -> tuple[float, int]:
    """Return microseconds an evaluation above the objective's own, and how many there were."""
    runs, fun = max(1, 3_000 // n), Quartic(n)
    bounds = fun.bounds if bounded else None
    began = time.process_time_ns()
    for _ in range(runs):
        minimize(fun, fun.start, bounds)
    total = time.process_time_ns() - began - fun.seconds
    return total / fun.calls / 1e3, fun.calls // runs


def measure(n: int, repeats: int, *, bounded: bool, single: str | None) -> str:
    both = {"native": native(n, single=single), "scipy": scipys}
    times: dict[str, list[float]] = {name: [] for name in both}
    calls = {}
    for turn in range(repeats + 1):
        for name, minimize in both.items():
            figure, calls[name] = overhead(minimize, n, bounded=bounded)
            if turn:  # the first turn warms up
                times[name].append(figure)
    ratios = [a / b for a, b in zip(times["native"], times["scipy"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    cells = "  ".join(f"{k} {statistics.median(v):9.1f} ({calls[k]})" for k, v in times.items())
    return f"{cells}  ratio {middle:.3f} ({low:.3f}-{high:.3f})"


def show_times(sizes: list[int], kinds: dict[str, tuple[bool, str | None]], repeats: int) -> None:
    print("microseconds per evaluation above the objective's own (evaluations of a run)")
    for kind, (bounded, single) in kinds.items():
        for n in sizes:
            line = measure(n, repeats, bounded=bounded, single=single)
            print(f"{kind:16} n={n:<8} {line}", flush=True)


def show_memory(n: int) -> None:
    print(f"highest memory above that of the process with the objective, in vectors of {n} numbers")
    for bounded in (False, True):
        for name in ("native", "scipy"):
            command = [sys.executable, __file__, "--one-run", name, "--n", str(n)]
            command += ["--bounded"] if bounded else []
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"{'bounds' if bounded else 'free':8} {name:8} {float(found):.1f}")


def one_run(name: str, n: int, *, bounded: bool) -> None:
    """Print the highest memory of one run, in vectors."""
    import resource

    minimize = scipys if name == "scipy" else native(n, single=None)
    small, fun = Quartic(10), Quartic(n)
    minimize(small, small.start, small.bounds if bounded else None)  # all modules are imported
    fun(fun.start)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    minimize(fun, fun.start, fun.bounds if bounded else None)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) * 1024 / 8 / n)


def is_solved(problem: ReferenceProblem, fun: float, best: float) -> bool:
    """Return whether a value is that of a minimum, or as good as the better of both."""
    known = (problem.minimum, *problem.other_minima)
    least = min(best, fun)
    goals = [*known, least] if least < min(known) else known
    return any(abs(fun - goal) <= 1e-4 * max(1.0, abs(goal)) for goal in goals)


def show_problems() -> None:
    sets = {"bundled": all_problems(), "more wild": more_wild_problems()}
    for name, problems in sets.items():
        totals = {"native": [0, 0], "scipy": [0, 0]}
        for problem in problems:
            results = {}
            for solver in totals:
                optimizer = LBFGSB(solver=solver, options={"restart": False})
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    results[solver] = optimizer.minimize(
                        problem.fun, problem.x0, problem.jac, problem.bounds, on_failure="reject"
                    )
            best = min(r.fun for r in results.values())
            solved = {k: is_solved(problem, r.fun, best) for k, r in results.items()}
            for solver, result in results.items():
                totals[solver][0] += solved[solver]
                totals[solver][1] += result.nfev
            if len(set(solved.values())) > 1:
                values = {k: float(f"{r.fun:.6g}") for k, r in results.items()}
                print(f"  only one solves {problem.name}: {values}, minimum {problem.minimum:.6g}")
        cells = "  ".join(f"{k} solves {s} in {e} evaluations" for k, (s, e) in totals.items())
        ratio = totals["native"][1] / totals["scipy"][1]
        print(f"{name}, {len(problems)} problems: {cells}, ratio {ratio:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parts = ["time", "crossover", "memory", "problems"]
    parser.add_argument("--what", nargs="+", choices=parts, default=parts)
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--one-run", help=argparse.SUPPRESS)
    parser.add_argument("--bounded", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one_run:
        one_run(given.one_run, given.n[0], bounded=given.bounded)
        return
    print(f"optimizers {optimizers.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}")
    if "time" in given.what:
        show_times(given.n, {**KINDS, **SINGLE}, given.repeats)
    if "crossover" in given.what:
        show_times([10, 100, 300, 1_000, 2_000, 3_000, 5_000], KINDS, given.repeats)
    if "memory" in given.what:
        show_memory(given.n[-1])
    if "problems" in given.what:
        show_problems()


if __name__ == "__main__":
    main()
