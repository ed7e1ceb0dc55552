"""Time per evaluation above the objective's own: ours, SciPy's and NLopt's, in turn in one run.

    python benchmarks/overhead.py [--n 2 10 100 1000] [--repeats 21] [--algorithm L-BFGS-B]

Each contestant minimises the same function from the same start with an analytic gradient; the
objective clocks itself, and what remains is the optimizer's. Contestants take turns, so that the
machine's drift hits all alike; the figures are medians, and the ratios are the medians over the
turns of ours / SciPy's.
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
from optimizers import LBFGSB, TNC, minimize_lbfgsb, minimize_tnc


class Clocked:
    """Rosenbrock's function in independent pairs of variables, which clocks itself."""

    def __init__(self, n: int) -> None:
        self.x0 = np.resize([-1.2, 1.0], n) + np.linspace(0.0, 0.1, n)
        self.nanoseconds = 0
        self.evaluations = 0

    def fun(self, x: np.ndarray) -> float:
        """Return the value."""
        start = time.perf_counter_ns()
        a, b = 1.0 - x[::2], x[1::2] - x[::2] ** 2
        value = float(a.dot(a) + 100.0 * b.dot(b))
        self.evaluations += 1
        self.nanoseconds += time.perf_counter_ns() - start
        return value

    def jac(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient."""
        start = time.perf_counter_ns()
        b = x[1::2] - x[::2] ** 2
        gradient = np.empty(x.size)
        gradient[::2] = 2.0 * (x[::2] - 1.0) - 400.0 * b * x[::2]
        gradient[1::2] = 200.0 * b
        self.nanoseconds += time.perf_counter_ns() - start
        return gradient


def scipys(method: str, options: dict[str, Any]) -> Callable[[Clocked], Any]:
    return lambda p: scipy.optimize.minimize(p.fun, p.x0, jac=p.jac, method=method, options=options)


def nlopts(name: str, maxeval: int) -> Callable[[Clocked], Any] | None:
    try:
        import nlopt
    except ImportError:
        return None

    def run(problem: Clocked) -> Any:
        def objective(x: np.ndarray, gradient: np.ndarray) -> float:
            if gradient.size:
                gradient[:] = problem.jac(x)
            return problem.fun(x)

        solver = nlopt.opt(getattr(nlopt, name), problem.x0.size)
        solver.set_min_objective(objective)
        solver.set_ftol_rel(1e-14)
        solver.set_maxeval(maxeval)
        return solver.optimize(problem.x0)

    return run


def contestants(algorithm: str) -> dict[str, Callable[[Clocked], Any] | None]:
    tight = {"ftol": 0.0, "gtol": 0.0}
    if algorithm == "L-BFGS-B":
        lbfgsb = LBFGSB(ftol=0.0, maxiter=40, options={"gtol": 0.0})
        return {
            "class": lambda p: lbfgsb.minimize(p.fun, p.x0, p.jac),
            "function": lambda p: minimize_lbfgsb(
                p.fun, p.x0, jac=p.jac, ftol=0.0, gtol=0.0, maxiter=40
            ),
            "scipy": scipys("L-BFGS-B", {"maxiter": 40, **tight}),
            "nlopt LD_LBFGS": nlopts("LD_LBFGS", 50),
        }
    tnc = TNC(maxiter=80, ftol=0.0, xtol=0.0, gtol=0.0)
    return {
        "class": lambda p: tnc.minimize(p.fun, p.x0, p.jac),
        "function": lambda p: minimize_tnc(
            p.fun, p.x0, jac=p.jac, ftol=0.0, xtol=0.0, gtol=0.0, maxfun=80
        ),
        "scipy": scipys("TNC", {"maxfun": 80, "xtol": 0.0, **tight}),
        "nlopt LD_TNEWTON": nlopts("LD_TNEWTON", 80),
    }


def overhead(run: Callable[[Clocked], Any], n: int, runs: int) -> float:
    """Return microseconds per evaluation above the objective's own."""
    problem = Clocked(n)
    start = time.perf_counter_ns()
    for _ in range(runs):
        run(problem)
    total = time.perf_counter_ns() - start
    return (total - problem.nanoseconds) / problem.evaluations / 1e3


def measure(algorithm: str, n: int, repeats: int) -> dict[str, list[float]]:
    runs = max(1, 1000 // n)
    timed = {name: run for name, run in contestants(algorithm).items() if run is not None}
    times: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(repeats + 1):
        for name, run in timed.items():
            figure = overhead(run, n, runs)
            if turn:  # the first turn warms up
                times[name].append(figure)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[2, 10, 100, 1000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--algorithm", nargs="+", default=["L-BFGS-B", "TNC"])
    given = parser.parse_args()
    print(f"optimizers {optimizers.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}")
    print("microseconds per evaluation above the objective's own, medians")
    for algorithm in given.algorithm:
        for n in given.n:
            times = measure(algorithm, n, given.repeats)
            ratio = {
                name: statistics.median(
                    a / b for a, b in zip(times[name], times["scipy"], strict=True)
                )
                for name in ("class", "function")
            }
            cells = "  ".join(f"{k} {statistics.median(v):9.2f}" for k, v in times.items())
            ratios = f"class/scipy {ratio['class']:.3f}  function/scipy {ratio['function']:.3f}"
            print(f"{algorithm:<9} n={n:<8} {cells}  {ratios}", flush=True)


if __name__ == "__main__":
    main()
