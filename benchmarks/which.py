"""Which optimizer takes how many points, and how many waves: the figures of the page that says so.

    python benchmarks/which.py smooth       # values alone: 29 problems of Moré, Garbow, Hillstrom
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
from collections.abc import Callable
from typing import Any

import numpy as np
from which_problems import FEW, HOCK_SCHITTKOWSKI, MANY_MINIMA, wide
from which_runs import (
    MANY,
    Array,
    Counted,
    Run,
    Task,
    annealing,
    end_of,
    evolution,
    ours,
    polished,
    scipy_fit,
    scipys,
    starts,
    to_target,
    within,
)

from optimizers import (
    ADAM,
    BFGS,
    CG,
    COBYLA,
    COBYQA,
    DFOTR,
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
    ParameterShift,
    TrustConstr,
    residuals,
)
from optimizers.problems import ReferenceProblem, ising, mgh_problems, nist_fits


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
            "DFOTR(batch_size='workers')": ours(DFOTR(batch_size="workers")),
            "GSLS": ours(GSLS()),
            "SPSA": ours(SPSA(maxiter=MANY)),
            "SciPy's BFGS": scipys("BFGS"),
            "SciPy's L-BFGS-B": scipys("L-BFGS-B"),
        },
        [Task(p.x0, lambda p=p: p.fun, near(p.fun, p.x0, p.minimum, 1e-6)) for p in classics()],
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
            )
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
        "DFOTR(batch_size='workers')": ours(DFOTR(batch_size="workers")),
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
        [
            Task(
                np.array(p.start),
                lambda p=p: p.fun,
                p.is_solved,
                bounds=[(p.low, p.high)] * len(p.start) if np.isfinite(p.low) else None,
                constraints=p.constraints,
            )
            for p in HOCK_SCHITTKOWSKI.values()
        ],
    )


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
    tasks = [
        Task(x0, lambda fun=fun: fun, near(lambda x, fun=fun: fun(x)[0], x0, 0.0, 1e-6))
        for fun, x0 in wide(10_000)
    ]
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
