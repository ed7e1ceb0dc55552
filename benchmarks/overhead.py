"""Time per evaluation above the objective's own: ours, SciPy's and NLopt's, in turn in one run.

    python benchmarks/overhead.py [--n 2 10 100 1000] [--repeats 11] [--algorithm L-BFGS-B TNC]

Each contestant minimises the same function from the same start with an analytic gradient. What the
objective itself takes is measured in the same turn, on the same points, and subtracted.
Contestants take turns, so that the machine's drift hits all alike; the figures are medians, and
the ratios are the medians over the turns of ours / SciPy's.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other blur times

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

Run = Callable[[np.ndarray], int]  # minimises from a start and returns how often it evaluated


def fun(x: np.ndarray) -> float:
    """Return Rosenbrock's function in independent pairs of variables."""
    a, b = 1.0 - x[::2], x[1::2] - x[::2] ** 2
    return float(a.dot(a) + 100.0 * b.dot(b))


def jac(x: np.ndarray) -> np.ndarray:
    """Return its gradient."""
    b = x[1::2] - x[::2] ** 2
    gradient = np.empty(x.size)
    gradient[::2] = 2.0 * (x[::2] - 1.0) - 400.0 * b * x[::2]
    gradient[1::2] = 200.0 * b
    return gradient


def start(n: int) -> np.ndarray:
    """Return a start from which the pairs do not move in step."""
    return np.resize([-1.2, 1.0], n) + np.linspace(0.0, 0.5, n)


def objective_alone(x: np.ndarray, evaluations: int) -> None:
    """Evaluate as often as a run did, and nothing else."""
    for _ in range(evaluations):
        fun(x)
        jac(x)


def scipys(method: str, options: dict[str, Any]) -> Run:
    return lambda x: scipy.optimize.minimize(fun, x, jac=jac, method=method, options=options).nfev


def nlopts(name: str, maxeval: int) -> Run | None:
    try:
        import nlopt
    except ImportError:
        return None

    def run(x: np.ndarray) -> int:
        def objective(x: np.ndarray, gradient: np.ndarray) -> float:
            if gradient.size:
                gradient[:] = jac(x)
            return fun(x)

        solver = nlopt.opt(getattr(nlopt, name), x.size)
        solver.set_min_objective(objective)
        solver.set_maxeval(maxeval)
        solver.optimize(x)
        return int(solver.get_numevals())

    return run


def contestants(algorithm: str, limit: int) -> dict[str, Run]:
    """Return who takes part; ``limit`` is the number of iterations, for TNC of evaluations."""
    exact: dict[str, Any] = {"ftol": 0.0, "gtol": 0.0}
    if algorithm == "L-BFGS-B":
        lbfgsb = LBFGSB(ftol=0.0, maxiter=limit, options={"gtol": 0.0, "restart": False})
        runs: dict[str, Run | None] = {
            "class": lambda x: lbfgsb.minimize(fun, x, jac).nfev,
            "function": lambda x: minimize_lbfgsb(fun, x, jac=jac, maxiter=limit, **exact).nfev,
            "scipy": scipys("L-BFGS-B", {"maxiter": limit, **exact}),
            "nlopt LD_LBFGS": nlopts("LD_LBFGS", limit),
        }
    else:
        exact["xtol"] = 0.0
        tnc = TNC(maxiter=limit, ftol=0.0, xtol=0.0, gtol=0.0)
        runs = {
            "class": lambda x: tnc.minimize(fun, x, jac).nfev,
            "function": lambda x: minimize_tnc(fun, x, jac=jac, maxfun=limit, **exact).nfev,
            "scipy": scipys("TNC", {"maxfun": limit, **exact}),
            "nlopt LD_TNEWTON": nlopts("LD_TNEWTON", limit),
        }
    return {name: run for name, run in runs.items() if run is not None}


def overhead(run: Run, x: np.ndarray, runs: int) -> float:
    """Return microseconds per evaluation above the objective's own."""
    began = time.perf_counter_ns()
    evaluations = sum(run(x) for _ in range(runs))
    total = time.perf_counter_ns() - began
    began = time.perf_counter_ns()
    objective_alone(x, evaluations)
    own = time.perf_counter_ns() - began
    return (total - own) / evaluations / 1e3


def measure(algorithm: str, n: int, repeats: int) -> dict[str, list[float]]:
    runs = contestants(algorithm, {"L-BFGS-B": 35, "TNC": 100}[algorithm] if n <= 10_000 else 20)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            figure = overhead(run, start(n), max(1, 500 // n))
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
            cells = "  ".join(f"{k} {statistics.median(v):9.2f}" for k, v in times.items())
            ratios = "  ".join(
                f"{name}/scipy {statistics.median(map(_ratio, times[name], times['scipy'])):.3f}"
                for name in ("class", "function")
            )
            print(f"{algorithm:<9} n={n:<8} {cells}  {ratios}", flush=True)


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs


if __name__ == "__main__":
    main()
