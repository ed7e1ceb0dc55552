"""The runs of which.py: objectives that count points and waves, and what is run on them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize

from optimizers import LBFGSB, UMDA, Optimizer, multistart, vectorized

Array = np.ndarray
#: More iterations than any budget has points.
MANY = 100_000


class EndError(BaseException):  # an Exception would be a failure, which runs reject
    """The objective has seen enough."""


@dataclass(eq=False)
class Task:
    """A problem, from a start, and what is asked of a point: both are told without noise."""

    x0: Array
    #: Returns what is told at a point, where any noise begins anew.
    make: Callable[[], Callable[[Array], Any]]
    is_solved: Callable[[Array], bool] = lambda x: False
    gap: Callable[[Array], float] = lambda x: np.nan
    bounds: Any = None
    constraints: Any = ()
    seed: int = 0


class Counted:
    """The objective of a task, which counts points and waves and ends a run that has had enough."""

    def __init__(self, task: Task, most: float, most_waves: float = np.inf) -> None:
        self.task, self.most, self.most_waves = task, most, most_waves
        self.points = self.waves = 0
        self.is_solved = False
        self._answer = task.make()

    def one(self, x: Array) -> Any:
        """Return what an algorithm is told at a point."""
        return self._told([x])[0]

    def many(self, stack: Array) -> Any:
        """Return what it is told at a stack of points."""
        told = self._told(stack)
        if isinstance(told[0], tuple):
            return tuple(np.array(column) for column in zip(*told, strict=True))
        return np.array(told)

    def _told(self, stack: Any) -> list[Any]:
        if self.waves >= self.most_waves or self.points >= self.most:
            raise EndError
        self.waves += 1
        self.points += len(stack)
        if any(self.task.is_solved(x) for x in stack):
            self.is_solved = True
            raise EndError
        return [self._answer(x) for x in stack]


@dataclass
class Run:
    """An algorithm: what runs it on an objective, and whether a wave of it is ever two points."""

    minimize: Callable[[Counted, Any], Array]
    is_parallel: bool = False


def ours(optimizer: Optimizer, jac: Any = None, mark: Any = None) -> Run:
    """Return the run of an optimizer of this package."""

    def run(counted: Counted, fun: Any) -> Array:
        task, fun = counted.task, fun if mark is None else mark(fun)
        given: dict[str, Any] = {"seed": task.seed, "on_failure": "reject"}
        given |= {"constraints": task.constraints} if task.constraints else {}
        # A wave's budget ends it from outside.
        given |= {"maxfun": int(counted.most)} if counted.most_waves == np.inf else {}
        return optimizer.minimize(fun, task.x0, jac, task.bounds, **given).x

    return Run(run, optimizer.traits.parallel)


def scipys(method: str, **given: Any) -> Run:
    """Return the run of SciPy's own ``minimize``, for which each point is a wave."""

    def run(counted: Counted, fun: Any) -> Array:
        task = counted.task
        how = {"method": method, "bounds": task.bounds, "constraints": task.constraints, **given}
        return scipy.optimize.minimize(counted.one, task.x0, **how).x

    return Run(run)


def scipy_fit(method: str) -> Run:
    def run(counted: Counted, fun: Any) -> Array:
        how: Any = {"method": method, "x_scale": "jac", "max_nfev": MANY}
        return scipy.optimize.least_squares(counted.one, counted.task.x0, **how).x

    return Run(run)


def starts(optimizer: Optimizer) -> Run:
    def run(counted: Counted, fun: Any) -> Array:
        how: Any = {"optimizer": optimizer, "seed": counted.task.seed, "agreement": False}
        best = multistart(fun, counted.task.bounds, int(counted.most), **how).best
        return np.array(best.x if best else counted.task.x0)

    return Run(run, True)


def polished(counted: Counted, fun: Any) -> Array:
    """Run UMDA for 25 generations, and L-BFGS-B from its end."""
    task = counted.task
    x = UMDA(maxiter=25).minimize(fun, task.x0, None, task.bounds, seed=task.seed).x
    return LBFGSB().minimize(fun, x, None, task.bounds).x


def evolution(counted: Counted, fun: Any) -> Array:
    """Run SciPy's differential evolution, which hands a generation over at once."""
    how: Any = {"rng": counted.task.seed, "vectorized": True, "updating": "deferred"}
    return scipy.optimize.differential_evolution(
        lambda columns: counted.many(columns.T), counted.task.bounds, **how
    ).x


def annealing(counted: Counted, fun: Any) -> Array:
    task = counted.task
    return scipy.optimize.dual_annealing(counted.one, task.bounds, rng=task.seed).x


def end_of(run: Run, counted: Counted, by_waves: bool) -> Array:
    """Return where a run ends, which is its best point where it was cut off."""
    try:
        return run.minimize(counted, vectorized(counted.many) if by_waves else counted.one)
    except EndError as end:
        result = getattr(end, "optimizer_result", None)
        return counted.task.x0 if result is None or result.x is None else result.x


def to_target(runs: dict[str, Run], tasks: list[Task], most: int = 2000) -> None:
    """Print, by points and by waves, how many it takes to solve the tasks."""
    costs: dict[str, list[float]] = {}
    for by_waves, what in ((False, "points"), (True, "waves")):
        print(f"\n{what:32} solved of {len(tasks)}  half within  three quarters within")
        for name, run in runs.items():
            if by_waves and not run.is_parallel:
                continue  # each point is a wave
            costs[name] = []
            for task in tasks:
                counted = Counted(task, most)
                end_of(run, counted, by_waves)
                count = counted.waves if by_waves else counted.points
                costs[name].append(count if counted.is_solved else np.inf)
        rows = []
        for name, counts in costs.items():
            # Of counts that may be infinite there is no mean of the middle two.
            half, more = (np.quantile(counts, q, method="inverted_cdf") for q in (0.5, 0.75))
            rows.append((half, more, -int(np.isfinite(counts).sum()), name))
        for half, more, solved, name in sorted(rows):
            print(f"{name:32} {-solved:12} {half:12g} {more:21g}", flush=True)


def within(
    budgets: dict[bool, tuple[int, ...]],
    runs: dict[str, Run],
    tasks: list[Task],
    summary: Callable[[list[float]], str],
    scale: Callable[[Task], int] = lambda task: 1,
) -> None:
    """Print how near runs come within budgets of points, in units of ``scale``, and of waves."""
    for by_waves, sizes in budgets.items():
        what = "waves" if by_waves else "points"
        print(f"\n{what:28} " + " ".join(f"{size:>9}" for size in sizes))
        for name, run in runs.items():
            cells = []
            for size in sizes:
                gaps = []
                for task in tasks:
                    limits = (np.inf, size) if by_waves else (size * scale(task), np.inf)
                    gaps.append(task.gap(end_of(run, Counted(task, *limits), by_waves)))
                cells.append(summary(gaps))
            print(f"{name:28} " + " ".join(f"{cell:>9}" for cell in cells), flush=True)
