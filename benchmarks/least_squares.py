"""Least squares: ours, SciPy's, and where installed DFO-LS and iminuit, side by side.

    python benchmarks/least_squares.py nist        # NIST's 27 regressions, both starts, serial
    python benchmarks/least_squares.py moved       # the same, starts moved by 2 %, 5 seeds
    python benchmarks/least_squares.py waves       # the same with n + 1 workers, and with 2 n + 2
    python benchmarks/least_squares.py more_wild   # Moré and Wild's set within budgets
    python benchmarks/least_squares.py noise       # the same with relative noise of 1e-3
    python benchmarks/least_squares.py rough       # NIST in single precision, and rounded
    python benchmarks/least_squares.py overhead    # time per evaluation, m = 100, n = 5

Every point at which residuals are evaluated counts, the probes of Jacobians included. A fit of
NIST's is solved if each parameter agrees with the certified one to 6 digits. A problem of Moré and
Wild's is solved by a budget if the value at the best point evaluated, without noise, has come down
to f* + tau (f0 - f*), where f* is the least value known, or found here.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait for each other blur times

import argparse
import statistics
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from optimizers import LBFGSB, LM, TRF, residuals
from optimizers.problems import get_problem, more_wild_problems, nist_fits

Fun = Callable[[np.ndarray], np.ndarray]
Solver = Callable[..., Any]  # solve(fun, x0) -> x; counted residuals end it at a budget
EXACT = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}


class OverError(Exception):
    """The budget is used up."""


class Counted:
    """Residuals that count their calls, up to a budget, and keep the least true value so far."""

    def __init__(self, fun: Fun, budget: float, noise: float = 0.0, seed: Any = 0) -> None:
        self.fun, self.budget, self.noise = fun, budget, noise
        self.rng = np.random.default_rng(seed)
        self.values: list[float] = []
        self.x = np.empty(0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the residuals, with noise."""
        if len(self.values) >= self.budget:
            raise OverError
        with np.errstate(all="ignore"):
            found = self.fun(x)
            value = float(found @ found)
        value = value if np.isfinite(value) else np.inf
        if not self.values or value < min(self.values):
            self.x = np.array(x)
        self.values.append(value)
        return found * (1.0 + self.noise * self.rng.standard_normal(found.shape))


def lm(fun: Fun, x0: np.ndarray, **settings: Any) -> np.ndarray:
    return LM().minimize(fun, x0, **settings).x


def trf(fun: Fun, x0: np.ndarray) -> np.ndarray:
    return TRF(xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac").minimize(fun, x0).x


def scipy_trf(fun: Fun, x0: np.ndarray) -> np.ndarray:
    return least_squares(fun, x0, x_scale="jac", max_nfev=10**6, **EXACT).x


def scipy_lm(fun: Fun, x0: np.ndarray) -> np.ndarray:
    return least_squares(fun, x0, method="lm", max_nfev=10**6, **EXACT).x


def lbfgsb(fun: Fun, x0: np.ndarray) -> np.ndarray:
    return LBFGSB().minimize(residuals(fun), x0, on_failure="reject").x


def dfols(fun: Counted, x0: np.ndarray) -> np.ndarray:
    import dfols as package

    most = int(min(fun.budget, 10**6))
    return package.solve(
        fun, x0, maxfun=most, rhoend=1e-12, objfun_has_noise=fun.noise > 0, do_logging=False
    ).x


def iminuit(fun: Fun, x0: np.ndarray) -> np.ndarray:
    from iminuit import Minuit

    minuit = Minuit(lambda x: float(np.sum(fun(x) ** 2)), x0)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.migrad(ncall=10**6)
    return np.array(minuit.values)


SOLVERS: dict[str, Solver] = {"LM": lm, "TRF": trf, "SciPy trf": scipy_trf, "SciPy lm": scipy_lm}
SOLVERS |= {name: s for name, s in (("dfols", dfols), ("iminuit", iminuit)) if find_spec(name)}


def end_of(solve: Solver, fun: Counted, x0: np.ndarray, **settings: Any) -> np.ndarray:
    """Return where a solver ends, which is its best point if its budget or the solver gives out."""
    try:
        return solve(fun, x0, **settings)
    except Exception:  # of all kinds of libraries, at all kinds of points
        return fun.x


def moved(x0: np.ndarray, *seed: int) -> np.ndarray:
    """Return a start that is moved by up to 2 % in each variable."""
    return x0 * (1.0 + 0.02 * np.random.default_rng(seed).uniform(-1.0, 1.0, x0.size))


def nist(seeds: tuple[int | None, ...] = (None,)) -> None:
    """Print how many fits each solver solves, and at what cost."""
    print(f"{'':12} solved of 54   median evaluations, most")
    for name, solve in SOLVERS.items():
        solved, counts = 0, []
        for seed in seeds:
            for i, fit in enumerate(nist_fits()):
                for j, start in enumerate(np.array(fit.starts)):
                    fun = Counted(fit.residuals, 5000)
                    x0 = start if seed is None else moved(start, seed, i, j)
                    solved += fit.digits(end_of(solve, fun, x0)) >= 6.0
                    counts.append(len(fun.values))
        median = statistics.median(counts)
        print(f"{name:12} {solved / len(seeds):12.1f}   {median:17g} {max(counts):6}")


class Rounds(Executor):
    """Workers of a number that all take the same time: each round evaluates as many points."""

    def __init__(self, workers: int) -> None:
        self._max_workers, self.rounds = workers, 0
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._changed, self._is_open = threading.Condition(), True
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Wait for the next round."""
        future: Future[Any] = Future()
        with self._changed:
            self._waiting.append((future, lambda: fn(*args, **kwargs)))
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End after what is waiting."""
        with self._changed:
            self._is_open = False
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._is_open)
                if not self._waiting:
                    return
            time.sleep(5e-4)  # until the wave is here
            with self._changed:
                now = self._waiting[: self._max_workers]
                del self._waiting[: self._max_workers]
            self.rounds += 1
            done = [(future, call()) for future, call in now]
            for future, result in done:
                future.set_result(result)


def waves() -> None:
    """Print how many rounds fits take with many workers."""
    for label, width in (("n + 1", lambda n: n + 1), ("2 n + 2", lambda n: 2 * n + 2)):
        solved, rounds, counts = 0, [], []
        for fit in nist_fits():
            for start in np.array(fit.starts):
                workers, fun = Rounds(width(fit.n)), Counted(fit.residuals, 5000)
                solved += fit.digits(end_of(lm, fun, start, workers=workers)) >= 6.0
                workers.shutdown()
                rounds.append(workers.rounds)
                counts.append(len(fun.values))
        median, most = statistics.median(rounds), max(rounds)
        print(f"LM, {label:7} workers: {solved} of 54, {median:g} waves (most {most}),", end=" ")
        print(f"{statistics.median(counts):g} evaluations, medians")


def more_wild(noise: float = 0.0, seeds: int = 1) -> None:
    """Print how many problems each solver solves within budgets."""
    budgets = (10, 25, 50)
    problems = [*more_wild_problems(), get_problem("brown_almost_linear", 100)]
    solvers = {"LM": lm, "SciPy trf": scipy_trf, "SciPy lm": scipy_lm}
    solvers |= {"dfols": dfols} if "dfols" in SOLVERS else {}
    solvers |= {} if noise else {"LBFGSB": lbfgsb}
    values: dict[str, list[np.ndarray]] = {name: [] for name in solvers}
    for seed in range(seeds):
        for i, problem in enumerate(problems):
            for name, solve in solvers.items():
                budget = (100 if name == "LBFGSB" else 50) * (problem.n + 1)
                fun = Counted(problem.objective.residuals, budget, noise, (seed, i))
                end_of(solve, fun, problem.x0)
                values[name].append(np.minimum.accumulate(fun.values))
    found = np.array([[least[-1] for least in column] for column in values.values()]).min(axis=0)
    counts: dict[tuple[str, float], np.ndarray] = {}
    for tau in (1e-3, 1e-5):
        for name in solvers:
            needed = []
            for least, low, problem in zip(values[name], found, problems * seeds, strict=True):
                aim = min(low, problem.minimum)
                aim += tau * (problem.fun(problem.x0) - aim)
                hits = np.flatnonzero(least <= aim)
                needed.append(hits[0] + 1 if hits.size else np.inf)
            counts[name, tau] = np.array(needed)
            sizes = np.array([problem.n + 1 for problem in problems * seeds])
            solved = " / ".join(
                f"{np.sum(counts[name, tau] <= k * sizes) / seeds:.1f}" for k in budgets
            )
            print(f"tau {tau:g} {name:10} of 54 within 10 / 25 / 50 (n + 1): {solved}")
    if not noise:
        ratios = counts["LM", 1e-5] / counts["LBFGSB", 1e-5]
        both = np.isfinite(counts["LM", 1e-5]) & np.isfinite(counts["LBFGSB", 1e-5])
        mean = np.exp(np.mean(np.log(ratios[both])))
        print(
            f"LM / LBFGSB, evaluations to 1e-5, {both.sum()} problems that both solve: {mean:.3f}"
        )


def rough() -> None:
    """Print in how many fits the value is within 1 % of the least, with rough residuals."""
    fits = [fit for fit in nist_fits() if not fit.name.startswith("Lanczos")]

    def rounded(values: np.ndarray, unit: float) -> np.ndarray:
        return np.round(values / unit) * unit

    kinds: dict[str, Callable[..., np.ndarray]] = {
        "float32": lambda fit, b: (fit.residuals(b) + fit.y).astype(np.float32) - fit.y,
        "1e-6 max|y|": lambda fit, b: (
            rounded(fit.residuals(b) + fit.y, 1e-6 * np.max(np.abs(fit.y))) - fit.y
        ),
    }
    for kind, values in kinds.items():
        for name, solve in SOLVERS.items():
            solved, counts = 0, []
            for fit in fits:
                fun = Counted(lambda b, fit=fit, values=values: values(fit, b), 2000)
                b = end_of(solve, fun, np.array(fit.starts[1]))
                solved += np.sum(fit.residuals(b) ** 2) < 1.02 * fit.rss
                counts.append(len(fun.values))
            print(
                f"{kind:12} {name:10} {solved:3} of 24, {statistics.median(counts):g} evaluations"
            )


def overhead() -> None:
    """Print the processor's time per evaluation, of whole runs and of further evaluations.

    The functions' own time is in it. Further evaluations are those after the first two.
    """
    t = np.linspace(0.0, 5.0, 100)
    truth = np.array([3.0, 0.5, 2.0, 2.0, 0.3])

    def model(x: np.ndarray) -> np.ndarray:
        return x[0] * np.exp(-x[1] * t) + x[2] * np.exp(-x[3] * t) + x[4]

    rng = np.random.default_rng(0)
    data = model(truth) + 0.01 * rng.standard_normal(t.size)
    starts = truth * (1.0 + 0.5 * rng.uniform(-1.0, 1.0, (20, 5)))

    def fun(x: np.ndarray) -> np.ndarray:
        return model(x) - data

    def jac(x: np.ndarray) -> np.ndarray:
        slow, fast = np.exp(-x[1] * t), np.exp(-x[3] * t)
        return np.array([slow, -t * x[0] * slow, fast, -t * x[2] * fast, np.ones(t.size)]).T

    contestants: dict[str, Callable[[np.ndarray, int | None], Any]] = {
        "SciPy trf": lambda x, most: least_squares(fun, x, jac, max_nfev=most),
        "SciPy lm": lambda x, most: least_squares(fun, x, jac, method="lm", max_nfev=most),
        "LM": lambda x, most: LM().minimize(fun, x, jac, maxfun=most),
        "TRF": lambda x, most: TRF(max_nfev=most).minimize(fun, x, jac),
    }
    times: dict[tuple[str, int | None], tuple[float, int]] = {}
    for _ in range(15):
        for name, run in contestants.items():
            for most in (2, None):
                begun = time.process_time()
                spent = sum(run(start, most).nfev for start in starts)
                found = time.process_time() - begun, spent
                times[name, most] = min(found, times.get((name, most), found))
    first: tuple[float, float] | None = None
    for name in contestants:
        (little, few), (all_time, many) = times[name, 2], times[name, None]
        whole, further = all_time / many, (all_time - little) / (many - few)
        first = first or (whole, further)
        print(
            f"{name:10} whole runs: {1e6 * whole:4.0f} microseconds, {whole / first[0]:.2f} of "
            f"SciPy trf's; further evaluations: {1e6 * further:4.0f}, {further / first[1]:.2f}"
        )


BARS: dict[str, Callable[[], None]] = {
    "nist": nist,
    "moved": lambda: nist((0, 1, 2, 3, 4)),
    "waves": waves,
    "more_wild": more_wild,
    "noise": lambda: more_wild(1e-3, seeds=3),
    "rough": rough,
    "overhead": overhead,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bar", choices=BARS)
    warnings.simplefilter("ignore")
    BARS[parser.parse_args().bar]()
