"""Which optimizer takes how many points, and how many waves: the figures of the page that says so.

    python benchmarks/which.py smooth       # values alone: 29 problems of More, Garbow, Hillstrom
    python benchmarks/which.py gradient     # the same, with the gradient
    python benchmarks/which.py noise        # the same, with a relative noise of 1e-3
    python benchmarks/which.py shots        # an Ising chain of 24 angles, 2000 shots a point
    python benchmarks/which.py constrained  # 8 problems of Hock and Schittkowski
    python benchmarks/which.py global       # functions with few minima, and with many
    python benchmarks/which.py residuals    # NIST's 27 regressions from both starts
    python benchmarks/which.py large        # 10000 variables, with the gradient

By points, the objective takes one point a call. By waves it takes a stack of them, and each call is
a wave. Points and waves are counted in the objective itself, up to the first point that is good
enough; a run that ends before, or does not come there within the budget, takes infinitely many.
Where there is noise, budgets are given, and the point that is returned counts, evaluated without
noise.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import functools
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse

from optimizers import (
    ADAM,
    BFGS,
    CG,
    COBYLA,
    COBYQA,
    DOGBOX,
    GSLS,
    LBFGSB,
    LM,
    NELDER_MEAD,
    NFT,
    POWELL,
    SLSQP,
    SPSA,
    TNC,
    TRF,
    UMDA,
    NewtonCG,
    NoisyLBFGSB,
    Optimizer,
    ParameterShift,
    TrustConstr,
    multistart,
    residuals,
    vectorized,
)
from optimizers.problems import ReferenceProblem, ising, mgh_problems, nist_fits

Array = np.ndarray
#: More iterations than any budget has points.
MANY = 100_000


class EndError(BaseException):  # whatever is rejected, this is not
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


def near(fun: Callable[[Array], float], x0: Array, least: float, tau: float) -> Callable[..., bool]:
    """Return whether a point takes all but a part of the way down from the start."""
    aim = least + tau * (fun(x0) - least)
    return lambda x: bool(fun(x) <= aim)


def classics() -> list[ReferenceProblem]:
    """Return the problems of Moré, Garbow and Hillstrom of which one minimum is known."""
    return [problem for problem in mgh_problems() if not problem.other_minima]


def smooth() -> None:
    to_target(
        {
            "LBFGSB": ours(LBFGSB()),
            "LBFGSB(speculate=3)": ours(LBFGSB(speculate=3)),
            "BFGS": ours(BFGS()),
            "CG": ours(CG()),
            "TNC": ours(TNC()),
            "SLSQP": ours(SLSQP()),
            "NELDER_MEAD": ours(NELDER_MEAD()),
            "POWELL": ours(POWELL()),
            "COBYQA": ours(COBYQA()),
            "GSLS": ours(GSLS()),
            "SPSA": ours(SPSA(maxiter=MANY)),
            "SciPy's BFGS": scipys("BFGS"),
            "SciPy's L-BFGS-B": scipys("L-BFGS-B"),
        },
        [
            Task(p.x0, lambda p=p: p.fun, near(p.fun, p.x0, p.minimum, 1e-6))  # type: ignore[misc]
            for p in classics()
        ],
    )


def gradient() -> None:
    to_target(
        {
            "LBFGSB": ours(LBFGSB(), True),
            "LBFGSB(speculate=3)": ours(LBFGSB(speculate=3), True),
            "BFGS": ours(BFGS(), True),
            "CG": ours(CG(), True),
            "TNC": ours(TNC(), True),
            "SLSQP": ours(SLSQP(), True),
            "NewtonCG": ours(NewtonCG(), True),
            "TrustConstr": ours(TrustConstr(), True),
            "ADAM(lr=0.1)": ours(ADAM(lr=0.1), True),
            "SciPy's BFGS": scipys("BFGS", jac=True),
            "SciPy's L-BFGS-B": scipys("L-BFGS-B", jac=True),
        },
        [
            Task(
                p.x0, lambda p=p: lambda x: (p.fun(x), p.jac(x)), near(p.fun, p.x0, p.minimum, 1e-6)
            )  # type: ignore[misc]
            for p in classics()
        ],
    )


def noisy(told: Callable[[Array], Any], noise: float, seed: int) -> Callable[[Array], Any]:
    """Return a function with relative noise in each number that it returns."""
    rng = np.random.default_rng(seed)

    def fun(x: Array) -> Any:
        exact = told(x)
        return exact * (1.0 + noise * rng.standard_normal(np.shape(exact)))

    return fun


def noise() -> None:
    runs = {
        "LBFGSB": ours(LBFGSB()),
        "LBFGSB(noise='estimate')": ours(LBFGSB(noise="estimate")),
        "NoisyLBFGSB": ours(NoisyLBFGSB()),
        "SPSA": ours(SPSA(maxiter=MANY)),
        "NELDER_MEAD": ours(NELDER_MEAD()),
        "COBYQA": ours(COBYQA()),
    }

    def tasks(kind: str) -> list[Task]:
        found = []
        for p in classics():
            told = p.fun if kind == "values" else p.objective.residuals
            solves = near(p.fun, p.x0, p.minimum, 1e-2)
            for seed in range(2):
                make = functools.partial(noisy, told, 1e-3, seed)
                found.append(Task(p.x0, make, gap=solves, seed=seed))
        return found

    def solved(found: list[float]) -> str:
        return f"{sum(found)}"

    def unit(task: Task) -> int:
        return len(task.x0) + 1

    print(f"Solved of {len(tasks('values'))}; points in units of n + 1")
    budgets = {False: (10, 30, 100), True: (10, 30, 100)}
    within(budgets, runs, tasks("values"), solved, unit)
    fits = {"LM, noise in residuals": ours(LM(), mark=residuals)}
    within(budgets, fits, tasks("residuals"), solved, unit)


def shots() -> None:
    def task(seed: int) -> Task:
        exact = ising(seed=seed)

        def make() -> Any:
            return ising(seed=seed, shots=2000, noise_seed=seed, errors=True)

        return Task(exact.x0, make, gap=lambda x: exact(x) - exact.ground_energy, seed=seed)

    shift = ParameterShift()
    within(
        {False: (300, 1000, 3000), True: (10, 20, 40)},
        {
            "NFT": ours(NFT(maxfev=None)),
            "SPSA": ours(SPSA(maxiter=MANY)),
            "NoisyLBFGSB, parameter shift": ours(NoisyLBFGSB(), shift),
            "LBFGSB, parameter shift": ours(LBFGSB(), shift),
            "ADAM(lr=0.1), parameter shift": ours(ADAM(lr=0.1), shift),
        },
        [task(seed) for seed in range(8)],
        lambda gaps: f"{np.median(gaps):.2g}",
    )


def constrained() -> None:
    to_target(
        {
            "SLSQP": ours(SLSQP()),
            "TrustConstr": ours(TrustConstr()),
            "COBYLA": ours(COBYLA()),
            "COBYQA": ours(COBYQA()),
            "SciPy's SLSQP": scipys("SLSQP"),
            "SciPy's COBYQA": scipys("COBYQA"),
        },
        list(hock_schittkowski()),
    )


def hock_schittkowski() -> Iterator[Task]:
    """Yield problems, each solved at values within 1e-4 that violate nothing by more than 1e-4."""
    free = (-np.inf, np.inf)
    for fun, least, x0, box, equal, at_least in (
        (lambda x: (1 - x[0]) ** 2, 0, (-1.2, 1), free, lambda x: [10 * (x[1] - x[0] ** 2)], None),
        (
            lambda x: np.log(1 + x[0] ** 2) - x[1],
            -np.sqrt(3),
            (2, 2),
            free,
            lambda x: [(1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4],
            None,
        ),
        (
            lambda x: 9 - x @ [8, 6, 4] + x**2 @ [2, 2, 1] + 2 * x[0] * (x[1] + x[2]),
            1 / 9,
            (0.5, 0.5, 0.5),
            (0, np.inf),
            None,
            lambda x: [3 - x @ [1, 1, 2]],
        ),
        (
            lambda x: -x[0],
            -1,
            (2, 2, 2, 2),
            free,
            lambda x: [x[1] - x[0] ** 3 - x[2] ** 2, x[0] ** 2 - x[1] - x[3] ** 2],
            None,
        ),
        (
            lambda x: x**2 @ [1, 1, 2, 1] + x @ [-5, -5, -21, 7],
            -44,
            (0, 0, 0, 0),
            free,
            None,
            lambda x: [
                8 - x**2 @ [1, 1, 1, 1] + x @ [-1, 1, -1, 1],
                10 - x**2 @ [1, 2, 1, 2] + x @ [1, 0, 0, 1],
                5 - x**2 @ [2, 1, 1, 0] + x @ [-2, 1, 0, 1],
            ],
        ),
        (
            lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
            17.0140173,
            (1, 5, 5, 1),
            (1, 5),
            lambda x: [x @ x - 40],
            lambda x: [np.prod(x) - 25],
        ),
        (
            lambda x: x**2 @ [1, 0.5, 1, 0.5] + x[2] * (x[3] - x[0]) - x @ [1, 3, -1, 1],
            -4.681818181,
            (0.5, 0.5, 0.5, 0.5),
            (0, np.inf),
            None,
            lambda x: [5 - x @ [1, 2, 1, 1], 4 - x @ [3, 1, 2, -1], x @ [0, 1, 4, 0] - 1.5],
        ),
        (
            lambda x: (
                (x - [10, 12, 0, 11, 0, 0, 0]) ** 2 @ [1, 5, 0, 3, 0, 7, 0]
                + x[2] ** 4
                + 10 * x[4] ** 6
                + x[6] ** 4
                - 4 * x[5] * x[6]
                - x @ [0, 0, 0, 0, 0, 10, 8]
            ),
            680.6300573,
            (1, 2, 0, 4, 0, 1, 1),
            free,
            None,
            lambda x: [
                127 - 2 * x[0] ** 2 - 3 * x[1] ** 4 - x[2] - 4 * x[3] ** 2 - 5 * x[4],
                282 - x @ [7, 3, 0, 1, -1, 0, 0] - 10 * x[2] ** 2,
                196 - 23 * x[0] - x[1] ** 2 - 6 * x[5] ** 2 + 8 * x[6],
                3 * x[0] * x[1] - x**2 @ [4, 1, 2, 0, 0, 0, 0] - 5 * x[5] + 11 * x[6],
            ],
        ),
    ):
        yield _constrained(fun, least, x0, box, equal, at_least)


def _constrained(fun: Any, least: float, x0: Any, box: Any, equal: Any, at_least: Any) -> Task:
    rules = [("eq", equal), ("ineq", at_least)]
    constraints = [{"type": kind, "fun": rule} for kind, rule in rules if rule]

    def is_solved(x: Array) -> bool:
        wrong = [0.0, *(box[0] - x), *(x - box[1])]
        wrong += np.abs(equal(x)).tolist() if equal else []
        wrong += (-np.array(at_least(x))).tolist() if at_least else []
        return bool(max(wrong) <= 1e-4 and fun(x) <= least + 1e-4 * (1 + abs(least)))

    bounds = None if np.isinf(box).all() else [box] * len(x0)
    return Task(np.array(x0, float), lambda: fun, is_solved, bounds=bounds, constraints=constraints)


def globally() -> None:
    for words, functions, most in (
        ("Few minima, each in a wide basin", FEW, 5_000),
        ("Many minima, side by side", MANY_MINIMA, 10_000),
    ):
        print(f"\n{words}: {', '.join(functions)}")
        to_target(
            {
                "LBFGSB, one start": ours(LBFGSB()),
                "multistart(LBFGSB())": starts(LBFGSB()),
                "UMDA": ours(UMDA(maxiter=MANY)),
                "UMDA, then LBFGSB": Run(polished, True),
                "SciPy's differential_evolution": Run(evolution, True),
                "SciPy's dual_annealing": Run(annealing),
            },
            [within_box(*function, seed) for function in functions.values() for seed in range(5)],
            most,
        )


def within_box(
    fun: Callable[[Array], float], n: int, low: float, high: float, least: float, seed: int
) -> Task:
    """Return a function in a box, from a random start, solved at 0.01 above the minimum."""
    return Task(
        np.random.default_rng(seed).uniform(low, high, n),
        lambda: fun,
        lambda x: fun(x) <= least + 1e-2,
        bounds=[(low, high)] * n,
        seed=seed,
    )


def goldstein_price(x: Array) -> float:
    a, b = x
    first = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    second = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return float((1 + (a + b + 1) ** 2 * first) * (30 + (2 * a - 3 * b) ** 2 * second))


def camel(x: Array) -> float:
    a, b = x**2
    return float((4 - 2.1 * a + a**2 / 3) * a + x[0] * x[1] + 4 * (b - 1) * b)


def hartmann(x: Array) -> float:
    rates = [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
    centers = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]
    return float(-np.exp(-np.sum(rates * (x - centers) ** 2, axis=1)) @ [1, 1.2, 3, 3.2])


def shekel(x: Array) -> float:
    centers = np.array(
        [(4, 4), (1, 1), (8, 8), (6, 6), (3, 7), (2, 9), (5, 3), (8, 1), (6, 2), (7, 3.6)]
    )
    centers = np.tile(centers, 2)
    centers[6] = 5, 5, 3, 3
    depths = [0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5]
    return float(-np.sum(1 / (np.sum((x - centers) ** 2, axis=1) + depths)))


def styblinski_tang(x: Array) -> float:
    return float(np.sum(x**4 - 16 * x**2 + 5 * x) / 2)


def rastrigin(x: Array) -> float:
    return float(np.sum(x**2 - 10 * np.cos(2 * np.pi * x) + 10))


def ackley(x: Array) -> float:
    deep = 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2)))
    return float(20 - deep + np.e - np.exp(np.mean(np.cos(2 * np.pi * x))))


def griewank(x: Array) -> float:
    return float(x @ x / 4000 - np.prod(np.cos(x / np.sqrt(np.arange(1, x.size + 1)))) + 1)


#: Functions, how many variables they have, the sides of a box, and the minimum there.
FEW: dict[str, tuple[Any, ...]] = {
    "Goldstein-Price": (goldstein_price, 2, -2.0, 2.0, 3.0),
    "camel": (camel, 2, -3.0, 3.0, -1.0316284535),
    "Hartmann 6": (hartmann, 6, 0.0, 1.0, -3.32237),
    "Shekel 10": (shekel, 4, 0.0, 10.0, -10.5364),
    "Styblinski-Tang": (styblinski_tang, 4, -5.0, 5.0, -156.66466),
}
#: The lowest minimum of each, 0 at 0, is not in the middle of the box.
MANY_MINIMA: dict[str, tuple[Any, ...]] = {
    "Rastrigin": (rastrigin, 3, -4.1, 6.3, 0.0),
    "Ackley": (ackley, 3, -11.0, 17.0, 0.0),
    "Griewank": (griewank, 3, -41.0, 63.0, 0.0),
}


def fits() -> None:
    to_target(
        {
            "LM": ours(LM(), mark=residuals),
            "TRF": ours(TRF(x_scale="jac"), mark=residuals),
            "DOGBOX": ours(DOGBOX(x_scale="jac"), mark=residuals),
            "LBFGSB": ours(LBFGSB(), mark=residuals),
            "BFGS": ours(BFGS(), mark=residuals),
            "SciPy's trf": scipy_fit("trf"),
            "SciPy's lm": scipy_fit("lm"),
        },
        [
            Task(
                np.array(start, float),
                lambda fit=fit: fit.residuals,
                lambda x, fit=fit: bool(fit.digits(x) >= 4),
            )
            for fit in nist_fits()
            for start in fit.starts
        ],
    )


def large() -> None:
    runs = {
        "LBFGSB": ours(LBFGSB(), True),
        "LBFGSB(speculate=3)": ours(LBFGSB(speculate=3), True),
        "CG": ours(CG(), True),
        "TNC": ours(TNC(), True),
        "NewtonCG": ours(NewtonCG(), True),
        "ADAM(lr=0.1)": ours(ADAM(lr=0.1), True),
        "SciPy's L-BFGS-B": scipys("L-BFGS-B", jac=True),
        "SciPy's CG": scipys("CG", jac=True),
        "SciPy's TNC": scipys("TNC", jac=True, options={"maxfun": MANY}),
    }
    tasks = list(wide(10_000))
    to_target(runs, tasks, 3000)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(3):
        for name, run in runs.items():
            began = time.process_time()
            spent = 0
            for task in tasks:
                counted = Counted(task, 3000)
                end_of(run, counted, False)
                spent += counted.points
            times[name].append((time.process_time() - began) / spent)
    first = np.median(times["SciPy's L-BFGS-B"])
    print(
        "\ntime per gradient, as a ratio to that of SciPy's L-BFGS-B; the function's own is in it"
    )
    for name, found in times.items():
        print(f"{name:32} {np.median(found) / first:.2f}")


def wide(n: int) -> Iterator[Task]:
    """Yield functions of many variables, with their gradients, each with the minimum 0."""
    side = round(n**0.5)
    line = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(side, side))
    laplace = scipy.sparse.kronsum(line, line, format="csr")
    truth = np.random.default_rng(0).standard_normal(n)

    def membrane(x: Array) -> tuple[float, Array]:
        off = x - truth
        slope = laplace @ off
        return 0.5 * float(off @ slope), slope

    def rosenbrock(x: Array) -> tuple[float, Array]:
        odd, even = x[::2], x[1::2]
        off, slope = even - odd**2, np.empty(n)
        slope[1::2] = 200.0 * off
        slope[::2] = -400.0 * off * odd - 2.0 * (1.0 - odd)
        return float(100.0 * off @ off + np.sum((1.0 - odd) ** 2)), slope

    def singular(x: Array) -> tuple[float, Array]:
        a, b, c, d = x.reshape(-1, 4).T
        r = np.array([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])
        p, q = 2 * r[2] * (b - 2 * c), 2 * 10**0.5 * r[3] * (a - d)
        parts = [r[0] + q, 10 * r[0] + p, 5**0.5 * r[1] - 2 * p, -(5**0.5) * r[1] - q]
        return float(np.sum(r**2)), 2.0 * np.array(parts).T.ravel()

    def tridiagonal(x: Array) -> tuple[float, Array]:
        padded = np.pad(x, 1)
        r = (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1
        rs = np.pad(r, 1)
        return float(r @ r), 2.0 * ((3 - 4 * x) * r - 2 * rs[:-2] - rs[2:])

    for fun, start in (
        (membrane, [0.0]),
        (rosenbrock, [-1.2, 1.0]),
        (singular, [3.0, -1.0, 0.0, 1.0]),
        (tridiagonal, [-1.0]),
    ):
        x0 = np.resize(start, n)
        yield Task(x0, lambda fun=fun: fun, near(lambda x, fun=fun: fun(x)[0], x0, 0.0, 1e-6))


BARS: dict[str, Callable[[], None]] = {
    "smooth": smooth,
    "gradient": gradient,
    "noise": noise,
    "shots": shots,
    "constrained": constrained,
    "global": globally,
    "residuals": fits,
    "large": large,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bar", choices=BARS)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    BARS[parser.parse_args().bar]()
