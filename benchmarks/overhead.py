"""Time per evaluation above the objective's own: ours, SciPy's and NLopt's, in turn in one run.

    python benchmarks/overhead.py [--n 2 10 100 1000] [--repeats 11] [--algorithm L-BFGS-B TNC]

Each contestant minimizes the same function from the same start; the function returns value and
gradient together (``jac=True``). A first run records its answers; in the runs that are timed the
objective plays them back, so that what it takes itself is some 0.1 microseconds.
Contestants take turns, so that the machine's drift hits all alike; what counts is the time of the
processor, the figures are medians, and the ratios are the medians over the turns of ours / SciPy's.
At n = 10 there are lines for what else costs: a start that is a flat dict of numbers, or a dict of
arrays, a scale, a callback and a progress bar, each less the class with a vector and none of them.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other blur times

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import scipy.optimize

import optimizers
from optimizers import LBFGSB, TNC, minimize_lbfgsb, minimize_tnc

Both = Callable[[np.ndarray], tuple[float, np.ndarray]]
Run = Callable[[Both, np.ndarray], object]  # minimizes an objective from a start


def pairs(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Return Rosenbrock's function in independent pairs of variables, and its gradient."""
    a, b = 1.0 - x[::2], x[1::2] - x[::2] ** 2
    gradient = np.empty(x.size)
    gradient[::2] = -2.0 * a - 400.0 * b * x[::2]
    gradient[1::2] = 200.0 * b
    return float(a.dot(a) + 100.0 * b.dot(b)), gradient


def start(n: int) -> np.ndarray:
    """Return a start from which the pairs do not move in step."""
    return np.resize([-1.2, 1.0], n) + np.linspace(0.0, 0.5, n)


def recorded(run: Run, x: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Return the objective's answers in a run."""
    answers = []

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        answers.append(pairs(x))
        return answers[-1]

    run(objective, x)
    return answers


def overhead(run: Run, x: np.ndarray, answers: list[tuple[float, np.ndarray]], runs: int) -> float:
    """Return microseconds per evaluation with an objective that plays its answers back."""
    total = 0
    for _ in range(runs):
        play = iter(answers).__next__
        began = time.process_time_ns()
        run(lambda x: play(), x)  # noqa: B023  # used at once
        total += time.process_time_ns() - began
    return total / runs / len(answers) / 1e3


def nlopts(name: str, maxeval: int) -> Run | None:
    try:
        import nlopt
    except ImportError:
        return None

    def run(fun: Both, x: np.ndarray) -> None:
        def objective(x: np.ndarray, gradient: np.ndarray) -> float:
            value, gradient[:] = fun(x)
            return value

        solver = nlopt.opt(getattr(nlopt, name), x.size)
        solver.set_min_objective(objective)
        solver.set_maxeval(maxeval)
        solver.optimize(x)

    return run


def scipys(method: str, options: dict[str, Any]) -> Run:
    return lambda fun, x: scipy.optimize.minimize(fun, x, jac=True, method=method, options=options)


def contestants(algorithm: str, limit: int) -> dict[str, Run]:
    """Return who takes part; ``limit`` is the number of iterations, for TNC of evaluations."""
    exact: dict[str, Any] = {"ftol": 0.0, "gtol": 0.0}
    if algorithm == "L-BFGS-B":
        lbfgsb = LBFGSB(ftol=0.0, maxiter=limit, options={"gtol": 0.0, "restart": False})
        runs: dict[str, Run | None] = {
            "class": lambda fun, x: lbfgsb.minimize(fun, x, True),
            "function": lambda fun, x: minimize_lbfgsb(fun, x, jac=True, maxiter=limit, **exact),
            "scipy": scipys("L-BFGS-B", {"maxiter": limit, **exact}),
            "nlopt LD_LBFGS": nlopts("LD_LBFGS", limit),
        }
    else:
        exact["xtol"] = 0.0
        tnc = TNC(maxiter=limit, ftol=0.0, xtol=0.0, gtol=0.0)
        runs = {
            "class": lambda fun, x: tnc.minimize(fun, x, True),
            "function": lambda fun, x: minimize_tnc(fun, x, jac=True, maxfun=limit, **exact),
            "scipy": scipys("TNC", {"maxfun": limit, **exact}),
            "nlopt LD_TNEWTON": nlopts("LD_TNEWTON", limit),
        }
    return {name: run for name, run in runs.items() if run is not None}


def additions(n: int) -> dict[str, tuple[Callable[[np.ndarray], Any], dict[str, Any]]]:
    """Return what a run may have besides: what makes its start of a vector, and its settings."""
    names = [f"p{i}" for i in range(n)]
    return {
        "vector": (lambda x: x, {}),
        "dict of numbers": (lambda x: dict(zip(names, x.tolist(), strict=True)), {}),
        "dict of arrays": (lambda x: {"a": x[: n // 2].copy(), "b": x[n // 2 :].copy()}, {}),
        "scale": (lambda x: x, {"scale": 1.0}),
        "callback": (lambda x: x, {"callback": lambda xk: None}),
        "progress": (lambda x: x, {"progress": True}),
    }


def measure_additions(n: int, repeats: int) -> dict[str, tuple[float, float, float]]:
    """Return microseconds that additions cost above the plain run, as medians.

    For each, those of an evaluation, those of a run, from long runs and short ones, and the ratio
    of all time in a long run to that of the plain one.
    """
    x, exact = start(n), {"ftol": 0.0, "options": {"gtol": 0.0, "restart": False}}
    optimizers = [LBFGSB(maxiter=limit, **exact) for limit in (limit_of("L-BFGS-B", n), 1)]
    answers = [recorded(lambda fun, x, o=o: o.minimize(fun, x, True), x) for o in optimizers]
    kinds = additions(n)
    times: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    for turn in range(repeats + 1):
        for kind, (put, settings) in kinds.items():
            begin, whole = put(x), []
            for optimizer, known in zip(optimizers, answers, strict=True):
                played = [(f, put(g)) for f, g in known]
                run = lambda fun, x: optimizer.minimize(fun, begin, True, **settings)  # noqa: B023, E731
                whole.append(overhead(run, x, played, 300 // n) * len(known))
            each = (whole[0] - whole[1]) / (len(answers[0]) - len(answers[1]))
            if turn:
                times[kind].append((each, whole[1] - each * len(answers[1]), whole[0]))
    bare = times.pop("vector")
    found = {}
    for kind, own in times.items():
        turns = zip(own, bare, strict=True)
        pairs = [(a[0] - b[0], a[1] - b[1], a[2] / b[2]) for a, b in turns]
        found[kind] = tuple(map(statistics.median, zip(*pairs, strict=True)))
    return found


def limit_of(algorithm: str, n: int) -> int:
    """Return how long a run is: long where an evaluation is short; answers must fit in memory."""
    if n <= 1_000:
        return {"L-BFGS-B": 100, "TNC": 500}[algorithm]
    return 35 if n <= 10_000 else 20 if n <= 100_000 else 10


def measure(algorithm: str, n: int, repeats: int) -> tuple[dict[str, list[float]], int]:
    runs, x = contestants(algorithm, limit_of(algorithm, n)), start(n)
    times: dict[str, list[float]] = {name: [] for name in runs}
    answers = {"scipy": recorded(runs["scipy"], x)}  # ours asks the same points: tested
    for turn in range(repeats + 1):
        for name, run in runs.items():
            if name.startswith("nlopt") and name not in answers:
                answers[name] = recorded(run, x)
            record = answers.get(name, answers["scipy"])
            figure = overhead(run, x, record, max(1, 300 // n))
            if turn:  # the first turn warms up
                times[name].append(figure)
    return times, len(answers["scipy"])


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
            times, evaluations = measure(algorithm, n, given.repeats)
            cells = "  ".join(f"{k} {statistics.median(v):9.2f}" for k, v in times.items())
            ratios = "  ".join(
                f"{name}/scipy {statistics.median(map(_ratio, times[name], times['scipy'])):.3f}"
                for name in ("class", "function")
            )
            print(f"{algorithm:<9} n={n:<8} {evaluations:4} {cells}  {ratios}", flush=True)
    if 10 in given.n:
        print("above a plain vector, microseconds an evaluation (and a run), and the ratio, n=10:")
        with contextlib.redirect_stderr(io.StringIO()):  # where bars go
            found = measure_additions(10, given.repeats)
        for kind, (each, run, ratio) in found.items():
            print(f"  {kind:<20} {each:+.2f} ({run:+.0f})  {ratio:.2f}")


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs


if __name__ == "__main__":
    main()
