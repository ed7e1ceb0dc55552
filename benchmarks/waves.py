"""What a wave costs: L-BFGS-B without gradient on threads, ours and others', in one run.

    python benchmarks/waves.py [--n 16] [--milliseconds 20] [--repeats 3] [--counts 8 16 32]

First, rounds of evaluation on Rosenbrock's function from its standard start with n + 1 workers:
counted, not timed, from the order in which they start and end: the longest chain of evaluations of
which each began when the one before had ended. Once with each package's own tolerances, once with
SciPy's.

Then the time of a whole run with an objective that waits. Contestants take turns and begin at the
same point; the ideal time is rounds times the objective's; what is above it is overhead. Those that
are not installed are named and left out.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other blur times

import argparse
import importlib.metadata
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.optimize

from optimizers import LBFGSB

Objective = Callable[[np.ndarray], Any]
Run = Callable[[Objective, np.ndarray], object]
START = [-1.2, 1.0]


class Recorder:
    """Rosenbrock's function that takes its time, and counts rounds of calls.

    Parameters
    ----------
    n : int
        The number of variables: more of them in one vector are several points.
    seconds : float
        What a call waits.
    """

    def __init__(self, n: int, seconds: float) -> None:
        self._n, self._seconds, self._lock = n, seconds, threading.Lock()
        self.calls = 0
        self.points = 0
        self.rounds = 0  # the most calls of which each began after the one before had ended
        self._has_ended = True  # whether a call of the present round has

    def __call__(self, flat: np.ndarray) -> Any:
        """Return the values at one or more points."""
        points = np.reshape(flat, (-1, self._n))
        with self._lock:
            self.calls += 1
            self.points += len(points)
            self.rounds += self._has_ended
            self._has_ended = False
            mine = self.rounds
        time.sleep(self._seconds)
        terms = 100.0 * (points[:, 1:] - points[:, :-1] ** 2) ** 2 + (1.0 - points[:, :-1]) ** 2
        values = terms.sum(axis=1)
        with self._lock:
            self._has_ended = self._has_ended or mine == self.rounds
        return float(values[0]) if np.size(flat) == self._n else values


def ours(pool: ThreadPoolExecutor) -> Run:
    return lambda fun, x0: LBFGSB(workers=pool).minimize(fun, x0)


def ours_as_scipy(pool: ThreadPoolExecutor) -> Run:
    lbfgsb = LBFGSB(workers=pool, ftol=2.220446049250313e-09, options={"restart": False})
    return lambda fun, x0: lbfgsb.minimize(fun, x0)


def scipys(pool: ThreadPoolExecutor) -> Run:
    options = {"workers": pool.map}
    return lambda fun, x0: scipy.optimize.minimize(fun, x0, method="L-BFGS-B", options=options)


def optimparallels(pool: ThreadPoolExecutor) -> Run:
    from optimparallel import minimize_parallel

    def run(fun: Objective, x0: np.ndarray) -> object:
        # It ends the executor that it is given, and has a process pool otherwise.
        own = ThreadPoolExecutor(pool._max_workers)
        return minimize_parallel(fun, x0, parallel={"executor": own})

    return run


def optimagics(pool: ThreadPoolExecutor) -> Run:
    import optimagic

    def run(fun: Objective, x0: np.ndarray) -> object:
        numdiff = optimagic.NumdiffOptions(
            method="forward", n_cores=pool._max_workers, batch_evaluator="threading"
        )
        return optimagic.minimize(fun, x0, algorithm="scipy_lbfgsb", numdiff_options=numdiff)

    return run


def qiskits(pool: ThreadPoolExecutor) -> Run:
    from qiskit_algorithms.optimizers import L_BFGS_B

    def run(fun: Objective, x0: np.ndarray) -> object:
        # A call takes all points of a group: one that waits stands for all of them at once.
        return L_BFGS_B(maxiter=15000, max_evals_grouped=len(x0) + 1).minimize(fun, x0)

    return run


CONTESTANTS: dict[str, tuple[str, Callable[[ThreadPoolExecutor], Run]]] = {
    "optimizers": ("variational-optimizers", ours),
    "as scipy": ("variational-optimizers", ours_as_scipy),
    "scipy workers": ("scipy", scipys),
    "optimparallel": ("optimparallel", optimparallels),
    "optimagic": ("optimagic", optimagics),
    "qiskit grouped": ("qiskit-algorithms", qiskits),
}


def installed(pool: ThreadPoolExecutor) -> dict[str, Run]:
    runs = {}
    for name, (distribution, make) in CONTESTANTS.items():
        try:
            runs[name] = make(pool)
            print(f"{name}: {distribution} {importlib.metadata.version(distribution)}")
        except ImportError:
            print(f"{name}: {distribution} is not installed, left out")
    return runs


def minimized(run: Run, n: int, seconds: float) -> tuple[Recorder, float]:
    """Return what was recorded in a run, and how long it took."""
    fun = Recorder(n, seconds)
    began = time.perf_counter()
    run(fun, np.resize(START, n))
    return fun, time.perf_counter() - began


def counts(sizes: list[int]) -> None:
    print("\nrounds of evaluation (points evaluated), n + 1 workers")
    print(f"{'n':>4} {'optimizers':>16} {'as scipy':>16} {'scipy workers':>16}")
    for n in sizes:
        with ThreadPoolExecutor(n + 1) as pool:
            cells = []
            for make in (ours, ours_as_scipy, scipys):
                fun, _ = minimized(make(pool), n, 0.03)  # all have begun by then
                cells.append(f"{fun.rounds} ({fun.points})")
        print(f"{n:>4} " + " ".join(f"{cell:>16}" for cell in cells), flush=True)


def times(n: int, seconds: float, repeats: int) -> None:
    with ThreadPoolExecutor(n + 1) as pool:
        runs = installed(pool)
        figures: dict[str, list[tuple[int, int, int, float]]] = {name: [] for name in runs}
        for _ in range(repeats):
            for name, run in runs.items():
                fun, elapsed = minimized(run, n, seconds)
                figures[name].append((fun.rounds, fun.calls, fun.points, elapsed))
    print(f"\nn = {n}, {n + 1} threads, {1e3 * seconds:.0f} ms an evaluation, medians of {repeats}")
    print("rounds, calls, points, seconds; seconds / ideal; milliseconds above ideal in each round")
    for name, found in figures.items():
        rounds, calls, points, _ = found[0]
        elapsed = statistics.median(seconds for *_, seconds in found)
        ideal = rounds * seconds
        print(
            f"{name:<16} {rounds:5} {calls:6} {points:6} {elapsed:8.2f}   {elapsed / ideal:6.3f}"
            f"   {1e3 * (elapsed - ideal) / rounds:6.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--milliseconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="*", default=[8, 16, 32])
    given = parser.parse_args()
    times(given.n, given.milliseconds / 1e3, given.repeats)
    counts(given.counts)


if __name__ == "__main__":
    main()
