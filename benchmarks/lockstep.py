"""Many starts at once: calls of the objective and time, ours and others', in one run.

    python benchmarks/lockstep.py [--starts 64] [--n 10] [--milliseconds 1]

Each call of the vectorized objective takes the given time, however many points it gets, as a
simulator or a device does that evaluates a batch at once. Contestants begin at the same starts and
take no gradient: lock-step; a loop of ours; a loop of SciPy's L-BFGS-B, whose probes are points
one by one, and with ``workers``, a map that hands the probes of a gradient over as one batch; and
BoTorch's batched L-BFGS-B, if it is installed, with gradients of its own. Tolerances are SciPy's.

Then what lock-step itself costs: the CPU time a point, on an objective that takes next to none, as
a ratio to that of a loop of ``minimize``, both measured in turn; with solvers in greenlets, if
greenlet is installed, and in threads.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import scipy
import scipy.optimize

from optimizers import LBFGSB, NELDER_MEAD, SLSQP, Optimizer, vectorized


def ackley(points: np.ndarray) -> np.ndarray:
    """Return the values of Ackley's function, shape (k,)."""
    a = np.exp(-0.2 * np.sqrt((points**2).mean(axis=1)))
    return -20 * a - np.exp(np.cos(2 * np.pi * points).mean(axis=1)) + 20 + np.e


def rastrigin(points: np.ndarray) -> np.ndarray:
    """Return the values of Rastrigin's function, shape (k,)."""
    return (points**2 - 10 * np.cos(2 * np.pi * points) + 10).sum(axis=1)


class Counted:
    """An objective that counts its calls and takes its time for each.

    Parameters
    ----------
    function : callable
        Takes (k, n) points.
    seconds : float
        What a call takes.
    """

    def __init__(self, function: Callable[[np.ndarray], np.ndarray], seconds: float) -> None:
        self._function, self._seconds = function, seconds
        self.calls = self.points = 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the values at points."""
        self.calls += 1
        self.points += len(points)
        time.sleep(self._seconds)
        return self._function(points)

    def one(self, x: np.ndarray) -> float:
        """Return the value at one point."""
        return float(self(x[np.newaxis])[0])


def lockstep(fun: Counted, starts: np.ndarray) -> float:
    batch = vectorized(lambda points: fun(points))
    results = LBFGSB(tol=None, restart=False).minimize_many(batch, starts)
    return min(result.fun for result in results if result.fun is not None)


def loop(fun: Counted, starts: np.ndarray) -> float:
    batch = vectorized(lambda points: fun(points))
    optimizer = LBFGSB(tol=None, restart=False)
    return min(float(optimizer.minimize(batch, start).fun or 0.0) for start in starts)


def scipy_loop(fun: Counted, starts: np.ndarray) -> float:
    solve = scipy.optimize.minimize
    return min(float(solve(fun.one, start, method="L-BFGS-B").fun) for start in starts)


def scipy_workers(fun: Counted, starts: np.ndarray) -> float:
    def batch(_: Any, points: Iterable[np.ndarray]) -> list[float]:
        return fun(np.array(list(points))).tolist()

    options = {"workers": batch}
    return min(
        float(scipy.optimize.minimize(fun.one, start, method="L-BFGS-B", options=options).fun)
        for start in starts
    )


def botorch(fun: Counted, starts: np.ndarray) -> float:
    from botorch.optim.batched_lbfgs_b import fmin_l_bfgs_b_batched

    def both(points: np.ndarray, *_: Any) -> tuple[np.ndarray, np.ndarray]:
        k, n = points.shape
        step = np.sqrt(np.finfo(float).eps)
        probes = points[:, np.newaxis] + np.vstack([np.zeros(n), step * np.eye(n)])
        values = fun(probes.reshape(-1, n)).reshape(k, n + 1)
        return values[:, 0], (values[:, 1:] - values[:, :1]) / step

    _, values, _ = fmin_l_bfgs_b_batched(both, starts)
    return float(np.min(values))


@vectorized
def chain(points: np.ndarray) -> np.ndarray:
    """Return the values of Rosenbrock's function, shape (k,)."""
    steps = points[:, 1:] - points[:, :-1] ** 2
    return (100 * steps**2 + (1 - points[:, :-1]) ** 2).sum(axis=1)


@vectorized
def slope(points: np.ndarray) -> np.ndarray:
    """Return the gradients of Rosenbrock's function, shape (k, n)."""
    steps, found = points[:, 1:] - points[:, :-1] ** 2, np.zeros_like(points)
    found[:, :-1] = -400 * points[:, :-1] * steps - 2 * (1 - points[:, :-1])
    found[:, 1:] += 200 * steps
    return found


def seconds_a_point(run: Callable[[], list[Any]]) -> float:
    """Return the CPU time of runs by the points and gradients that they took."""
    began = time.process_time()
    results = run()
    return (time.process_time() - began) / sum(one.nfev + one.njev for one in results)


def cost(optimizer: Optimizer, jac: Any, starts: np.ndarray, rounds: int = 7) -> list[float]:
    """Return, for each round, how much more a point costs in lock-step than in a loop."""

    def together() -> list[Any]:
        return optimizer.minimize_many(chain, starts, jac)

    def one_by_one() -> list[Any]:
        return [optimizer.minimize(chain, start, jac) for start in starts]

    together(), one_by_one()
    return [seconds_a_point(together) / seconds_a_point(one_by_one) for _ in range(rounds)]


def overhead(count: int, n: int) -> None:
    """Print what lock-step costs, for some optimizers."""
    starts = np.random.default_rng(5).uniform(-2, 2, (count, n))
    print(
        f"\nCPU time a point, lock-step / loop: {count} starts, n = {n}, an objective for nothing"
    )
    for name, hides in (("greenlets", ()), ("threads", ("greenlet",))):
        if find_spec("greenlet") is None and not hides:
            continue
        with mock.patch(
            "optimizers.asktell.drivers.find_spec",
            lambda module, hides=hides: None if module in hides else find_spec(module),
        ):
            for optimizer, jac in (
                (LBFGSB(), None),
                (LBFGSB(), slope),
                (SLSQP(), None),
                (NELDER_MEAD(maxfun=300), None),
            ):
                ratios = cost(optimizer, jac, starts)
                what = type(optimizer).__name__ + (", gradient given" if jac else "")
                print(f"{name:10} {what:24} median {median(ratios):.2f}, least {min(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--milliseconds", type=float, default=1.0)
    arguments = parser.parse_args()
    starts = np.random.default_rng(5).uniform(-5, 5, (arguments.starts, arguments.n))
    contestants = {
        "lock-step": lockstep,
        "a loop of LBFGSB": loop,
        f"a loop of SciPy {scipy.__version__}": scipy_loop,
        "the same with workers": scipy_workers,
        "BoTorch, batched": botorch,
    }
    print(f"{arguments.starts} starts, n = {arguments.n}, {arguments.milliseconds} ms a call")
    print(f"{'':10} {'':24} {'calls':>8} {'points':>8} {'seconds':>8} {'best':>12}")
    for function in (ackley, rastrigin):
        for name, contestant in contestants.items():
            fun = Counted(function, arguments.milliseconds / 1000)
            began = time.perf_counter()
            try:
                best = contestant(fun, starts)
            except (ImportError, scipy.optimize.OptimizeWarning, TypeError) as error:
                print(f"{function.__name__:10} {name:24} left out: {error}")
                continue
            seconds = time.perf_counter() - began
            print(
                f"{function.__name__:10} {name:24} {fun.calls:8} {fun.points:8} "
                f"{seconds:8.2f} {best:12.6g}"
            )
    overhead(64, 8)


if __name__ == "__main__":
    main()
