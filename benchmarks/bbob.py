"""Global search on BBOB: the share of targets that are reached, by points and by waves.

    python benchmarks/bbob.py [NAME ...] [--n 5 10] [--points 25 100 400] [--waves 10 25 100]
                              [--seeds 3]

The 24 functions of COCO's suite, instances 1 to 3, in [-5, 5]^n. A function has 51 targets: its
minimum plus 10^2, 10^1.8, ... 10^-8. A figure is the mean share of targets that were reached within
so many points for each variable, over functions, instances and seeds. In the second table, up to
16 points that are asked for together are one wave, and the figure is the share within so many waves
for each variable; contestants that ask for one point at a time are left out. ``--points`` or
``--waves`` without numbers leaves that table out.

The extra ``bench`` has COCO. Contestants that are not installed are left out.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import contextlib
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.optimize

from optimizers import CMAES, DFOTR, LBFGSB, SLSQP, multistart, portfolio, vectorized

TARGETS = 10.0 ** np.linspace(2, -8, 51)
INSTANCES = 3
WORKERS = 16


class SpentError(BaseException):  # whatever catches exceptions, it does not catch this
    """The budget is spent."""


class Recorder:
    """A function of the suite that records which target was reached when.

    Parameters
    ----------
    problem : cocoex.Problem
        The function.
    lowest : float
        Its minimum.
    budget : int
        After how many points, or waves, it ends the search.
    is_wide : bool
        Whether it takes a stack of points, of which 16 are a wave.
    """

    def __init__(self, problem: Any, lowest: float, budget: int, is_wide: bool) -> None:
        self._problem, self._lowest = problem, lowest
        self.budget, self.n, self.is_wide = budget, problem.dimension, is_wide
        self.spent, self._best = 0, np.inf
        #: What was spent until each target was reached.
        self.reached = np.full(len(TARGETS), np.inf)
        self.fun = vectorized(self._stack) if is_wide else self._point

    def _point(self, x: Any) -> float:
        self._spend()
        return self._value(x)

    def _stack(self, points: np.ndarray) -> np.ndarray:
        values = np.empty(len(points))
        for i, x in enumerate(points):
            if i % WORKERS == 0:
                self._spend()
            values[i] = self._value(x)
        return values

    def _spend(self) -> None:
        if self.spent >= self.budget:
            raise SpentError
        self.spent += 1

    def _value(self, x: Any) -> float:
        value: float = self._problem(x)
        if value < self._best:
            self._best = value
            new = (value - self._lowest <= TARGETS) & np.isinf(self.reached)
            self.reached[new] = self.spent
        return value


def suite(n: int) -> Iterator[tuple[Any, float]]:
    """Yield the functions and their minima, which COCO writes to a file."""
    import cocoex

    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for problem in cocoex.Suite("bbob", f"instances: 1-{INSTANCES}", f"dimensions: {n}"):
                problem._best_parameter("print")
                yield problem, problem(np.loadtxt("._bbob_problem_best_parameter.txt"))
        finally:
            os.chdir(here)


Search = Callable[[Recorder, int], object]


def box_of(recorder: Recorder) -> list[tuple[float, float]]:
    return [(-5.0, 5.0)] * recorder.n


def shared(recorder: Recorder, seed: int) -> dict[str, Any]:
    """Return what multistart and portfolio have in common: a call is a wave of all workers."""
    width = WORKERS if recorder.is_wide else 1
    return {"bounds": box_of(recorder), "budget": width * recorder.budget, "seed": seed}


def multistarts(local: Callable[..., Any] = LBFGSB, **how: Any) -> Search:
    def search(recorder: Recorder, seed: int) -> object:
        given = {"agreement": False, **shared(recorder, seed), **how}
        if recorder.is_wide:
            given["local"] = local(max_evals_grouped=WORKERS)
        elif local is not LBFGSB:  # the default, with options of its own
            given["local"] = local
        return multistart(recorder.fun, **given)

    return search


def portfolios(recorder: Recorder, seed: int) -> object:
    width = WORKERS if recorder.is_wide else 1
    return portfolio(recorder.fun, max_evals_grouped=width, **shared(recorder, seed))


def cmaes(recorder: Recorder, seed: int) -> object:
    start = np.random.default_rng(seed).uniform(-4, 4, recorder.n)
    grouped = WORKERS if recorder.is_wide else 1
    optimizer = CMAES(2.0, restarts="bipop", max_evals_grouped=grouped)
    return optimizer.minimize(recorder.fun, start, bounds=box_of(recorder), seed=seed)


def cmas(recorder: Recorder, seed: int) -> object:
    import cma

    options = {"seed": seed, "bounds": [-5, 5], "verbose": -9, "maxfevals": np.inf}
    np.random.seed(seed)

    def start() -> np.ndarray:
        return np.random.uniform(-4, 4, recorder.n)

    def stack(points: Any) -> list[float]:
        return [*recorder.fun(np.array(points))]

    how: dict[str, Any] = {"restarts": 99, "bipop": True}
    if not recorder.is_wide:
        return cma.fmin(recorder.fun, start, 2.0, options, **how)
    return cma.fmin(lambda x: stack([x])[0], start, 2.0, options, parallel_objective=stack, **how)


def nlopts(name: str) -> Search:
    def search(recorder: Recorder, seed: int) -> None:
        import nlopt

        rng = np.random.default_rng(seed)
        while True:
            opt = nlopt.opt(getattr(nlopt, name), recorder.n)
            opt.set_lower_bounds(-5.0)
            opt.set_upper_bounds(5.0)
            opt.set_min_objective(lambda x, _: recorder.fun(x))
            opt.set_ftol_rel(1e-12)
            with contextlib.suppress(nlopt.RoundoffLimited, RuntimeError):
                opt.optimize(rng.uniform(-5, 5, recorder.n))

    return search


def scipys(method: str) -> Search:
    def search(recorder: Recorder, seed: int) -> object:
        how: dict[str, Any] = {"rng": seed, "maxiter": 10**6}
        if method == "differential_evolution":
            how.update(tol=0.0, polish=False)
            if recorder.is_wide:
                how.update(vectorized=True, updating="deferred")
                return scipy.optimize.differential_evolution(
                    lambda columns: recorder.fun(columns.T), box_of(recorder), **how
                )
        elif method == "shgo":
            how = {"iters": None, "options": {"maxfev": recorder.budget}}
        elif method == "direct":
            how = {"maxfun": recorder.budget + 1}
        return getattr(scipy.optimize, method)(recorder.fun, box_of(recorder), **how)

    return search


#: Those that ask for many points at a time are in both tables.
WIDE: dict[str, Search] = {
    "portfolio": portfolios,
    "multistart": multistarts(),
    "multistart, 16 slots": multistarts(slots=16),
    "multistart, SLSQP": multistarts(SLSQP),
    "multistart, DFOTR": multistarts(DFOTR),
    "CMAES, BIPOP": cmaes,
    "cma, BIPOP": cmas,
    "SciPy, differential evolution": scipys("differential_evolution"),
}
SERIAL: dict[str, Search] = {
    "SciPy, dual annealing": scipys("dual_annealing"),
    "SciPy, SHGO": scipys("shgo"),
    "SciPy, DIRECT": scipys("direct"),
    "NLopt, BOBYQA": nlopts("LN_BOBYQA"),
    "NLopt, CRS2": nlopts("GN_CRS2_LM"),
}


def shares(search: Search, n: int, budgets: list[int], seeds: int, is_wide: bool) -> np.ndarray:
    """Return the mean share of targets reached within each budget."""
    reached = []
    for problem, lowest in suite(n):
        for seed in range(seeds):
            recorder = Recorder(problem, lowest, max(budgets), is_wide)
            with contextlib.suppress(SpentError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                search(recorder, seed + 1)
            reached.append(recorder.reached)
    return np.array([np.mean(np.array(reached) <= budget) for budget in budgets])


def table(unit: str, n: int, each: list[int], seeds: int, names: list[str]) -> None:
    """Print the shares within budgets of points or waves for each variable."""
    is_wide = unit == "waves"
    print(f"{f'{unit}, n = {n}':32}", *(f"{some:>5}n" for some in each))
    for name, search in (WIDE if is_wide else {**WIDE, **SERIAL}).items():
        if names and not any(part in name for part in names):
            continue
        began = time.perf_counter()
        try:
            found = shares(search, n, [some * n for some in each], seeds, is_wide)
        except ImportError as error:
            print(f"{name:32} left out: {error}")
            continue
        took = time.perf_counter() - began
        print(f"{name:32}", *(f"{share:6.3f}" for share in found), f"{took:8.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of contestants' names; all by default")
    parser.add_argument("--n", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--points", type=int, nargs="*", default=[25, 100, 400], metavar="EACH")
    parser.add_argument("--waves", type=int, nargs="*", default=[10, 25, 100], metavar="EACH")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    for n in given.n:
        for unit, each in (("points", given.points), ("waves", given.waves)):
            if each:
                table(unit, n, each, given.seeds, given.names)


if __name__ == "__main__":
    main()
