"""Runs whose journals are kept as test data, whole and cut off, with what each run returned.

The files are not to be written anew: that later versions read them is what they are for. A new
case is added by ``from tests.journal import old_files; old_files.write("its name")``.
"""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import rosen, rosen_der, rosen_hess

from optimizers import (
    ADAM,
    LBFGSB,
    NELDER_MEAD,
    SPSA,
    Journal,
    NoisyLBFGSB,
    OptimizerResult,
    TrustExact,
    load,
    vectorized,
)
from tests.traces import rounding

FOLDER = Path(__file__).parent / "data"
RESULTS = FOLDER / "results.json"
START = [-0.9, 0.7]
BOX = [(-2.0, 0.8), (None, 0.9)]


class Objective:
    """Rosenbrock's function in the forms that an objective may have; it keeps its calls' points."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def _called(self, x: np.ndarray) -> np.ndarray:
        self.calls.append(np.array(x))
        return x

    def fun(self, x: np.ndarray) -> float:
        """Return the value."""
        return float(rosen(self._called(x)))

    def jac(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient."""
        return rosen_der(self._called(x))

    def hess(self, x: np.ndarray) -> np.ndarray:
        """Return the Hessian."""
        return rosen_hess(self._called(x))

    def joint(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the value and the gradient."""
        return float(rosen(self._called(x))), rosen_der(x)

    def failing(self, x: np.ndarray) -> float:
        """Return the value; raise an error in a part of the plane."""
        if abs(self._called(x)[0] + 0.6) < 0.04:
            raise ArithmeticError("No value here.")
        return float(rosen(x))

    def noisy(self, x: np.ndarray) -> float:
        """Return the value with noise, which is the same each time."""
        return float(rosen(self._called(x))) + 1e-5 * float(np.sin(1e7 * x.sum()))

    def with_error(self, x: np.ndarray) -> tuple[float, float]:
        """Return the value and its standard error."""
        return self.noisy(x), 1e-5

    @property
    def stacked(self) -> Callable[..., Any]:
        """The objective of a stack of points, which counts them one by one."""
        return vectorized(lambda points: [self.fun(x) for x in points])

    def flat(self, points: np.ndarray) -> list[float]:
        """Return the values of a group of points, one behind the other."""
        return [self.fun(x) for x in points.reshape(-1, 2)]


def in_threads(fun: Any, jac: Any, journal: Journal) -> OptimizerResult:
    """Run on a pool."""
    with ThreadPoolExecutor(3) as pool:
        return LBFGSB(eps=1e-4, maxfun=40).minimize(fun, START, jac, workers=pool, journal=journal)


Case = Callable[[Objective, Journal], OptimizerResult]
#: The steps of differences are wide: rounding, which differs between processors, decides nothing.
CASES: dict[str, Case] = {
    "jac": lambda f, j: LBFGSB().minimize(f.fun, START, f.jac, journal=j),
    "joint": lambda f, j: LBFGSB().minimize(f.joint, START, True, BOX, journal=j),
    "differences": lambda f, j: LBFGSB(eps=1e-4, maxfun=40).minimize(
        f.fun, START, bounds=BOX, journal=j
    ),
    "vectorized": lambda f, j: LBFGSB(eps=1e-4, maxfun=40).minimize(
        f.stacked, START, "3-point", journal=j
    ),
    "groups": lambda f, j: LBFGSB(eps=1e-4, maxfun=40, max_evals_grouped=2).minimize(
        f.flat, START, journal=j
    ),
    "threads": lambda f, j: in_threads(f.fun, None, j),
    "threads_jac": lambda f, j: in_threads(f.fun, f.jac, j),
    "spsa": lambda f, j: SPSA(maxiter=5, seed=4).minimize(f.fun, START, maxfun=58, journal=j),
    "adam": lambda f, j: ADAM(maxiter=8, lr=0.05).minimize(f.fun, START, journal=j),
    "noisy_lbfgsb": lambda f, j: NoisyLBFGSB(noise=1e-5, maxfun=50).minimize(
        f.noisy, START, journal=j
    ),
    "noise": lambda f, j: LBFGSB(noise=1e-5, maxfun=50, seed=3).minimize(f.noisy, START, journal=j),
    "estimate": lambda f, j: LBFGSB(noise="estimate", maxfun=50, seed=3).minimize(
        f.noisy, START, journal=j
    ),
    "reject": lambda f, j: NELDER_MEAD(maxfev=45).minimize(
        f.failing, START, on_failure="reject", journal=j
    ),
    "reject_differences": lambda f, j: LBFGSB(eps=1e-4, maxfun=45).minimize(
        f.failing, START, on_failure="reject", journal=j
    ),
    "errors": lambda f, j: NoisyLBFGSB(maxfun=50).minimize(f.with_error, START, journal=j),
    "errors_values": lambda f, j: NELDER_MEAD(maxfev=30).minimize(f.with_error, START, journal=j),
    "hess": lambda f, j: TrustExact(maxiter=12).minimize(
        f.fun, START, f.jac, hess=f.hess, journal=j
    ),
}
#: Those that are kept as a database too.
IN_DATABASES = ("jac", "threads", "reject", "errors")


def files() -> list[str]:
    """Return the names of all journals: the case, and whether the journal is whole or cut."""
    return [
        f"{case}_{state}{suffix}"
        for case in CASES
        for state in ("whole", "cut")
        for suffix in (".jsonl", ".db")
        if suffix == ".jsonl" or case in IN_DATABASES
    ]


def case_of(name: str) -> str:
    """Return the case of a journal's name."""
    return name.rpartition("_")[0]


def run(case: str, path: Path) -> tuple[OptimizerResult, int]:
    """Run a case on a journal; return its result and how often its functions were called."""
    objective = Objective()
    result = CASES[case](objective, Journal(path, "never"))
    return result, len(objective.calls)


def told(result: OptimizerResult) -> dict[str, Any]:
    """Return what is kept of a result."""
    counts = ("nfev", "njev", "nhev", "nit", "nrejected")
    return {
        **{name: result[name] for name in counts},
        "success": bool(result.success),
        "stop": result.stop.name,
        "fun": result.fun,
        "x": result.x.tolist(),
    }


def write(*cases: str) -> None:
    """Write the journals of cases and what they return."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"with": rounding()}
    for case in cases:
        for suffix in (".jsonl", ".db") if case in IN_DATABASES else (".jsonl",):
            whole, cut = (FOLDER / f"{case}_{state}{suffix}" for state in ("whole", "cut"))
            with contextlib.chdir(FOLDER):  # the header has the path as it is given
                result, calls = run(case, Path(whole.name))
            found[case] = {"calls": calls, **told(result)}
            shutil.copy(whole, cut)
            _keep(cut, len(load(whole).records) * 2 // 5)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def _keep(path: Path, count: int) -> None:
    """Keep the first so many evaluations of a journal, as when its process was killed."""
    if path.suffix == ".jsonl":
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: _end(lines, count)]))
        return
    with sqlite3.connect(path) as database:
        lines = [row[0] for row in database.execute("SELECT entry FROM entries ORDER BY number")]
        database.execute("DELETE FROM entries WHERE number > ?", [_end(lines, count)])
    database.execute("VACUUM")
    database.close()


def _end(lines: list[str], count: int) -> int:
    """Return the number of the lines that have the first so many evaluations."""
    return [i for i, line in enumerate(lines) if '"seq":' in line[:8]][count]
