"""Traces of every class with fixed seeds, as test data: what is asked, counted and returned.

``python -m tests.traces --write`` writes the file: after a change of what an algorithm asks that is
intended, and for another SciPy. Names of optimizers behind it leave all other traces as they are.
"""

import json
import os
import platform
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from scipy.optimize import NonlinearConstraint, rosen, rosen_der, rosen_hess

from optimizers import (
    Optimizer,
    OptimizerResult,
    OptimizerWarning,
    SciPyOptimizer,
    SupportLevel,
    TellData,
    vectorized,
)
from tests.making import make, of_values

FILE = Path(__file__).parent / "data" / "traces.json"
START = np.array([-0.9, 0.7, 0.4])
STARTS = [START, [0.5, 0.5, 0.5], [1.3, 0.2, -0.4]]
BOX = [(-2.0, 0.8), (None, 0.9), (-0.5, None)]
METHODS = (
    *("Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA"),
    *("SLSQP", "trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov"),
)
#: The most points of a trace that are kept.
KEPT = 36
#: How far points and values of a trace may be apart, of their size.
TOLERANCE = 1e-7

Trace = dict[str, Any]


class Objective:
    """Rosenbrock's function, which keeps its points.

    Parameters
    ----------
    blur : float
        Values, gradients and constraints are wrong by about so many units in the last place.
    sigma : float
        The standard deviation of the noise.
    failing : collection of int
        The numbers of the calls, from 0, that raise an error.
    """

    def __init__(self, blur: float = 0.0, sigma: float = 0.0, failing: Any = ()) -> None:
        self.points: list[np.ndarray] = []
        self._blur = blur
        self._rng = np.random.default_rng(11)
        self._sigma = sigma
        self._failing = failing

    def fun(self, x: np.ndarray) -> float:
        """Return the value."""
        number = len(self.points)
        self.points.append(np.array(x))
        if number in self._failing:
            raise ArithmeticError("This call fails.")
        noise = self._sigma * self._rng.normal() if self._sigma else 0.0
        return float(self._blurred(rosen(x), x)) + noise

    def jac(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient."""
        return self._blurred(rosen_der(x), x)

    def joint(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both."""
        return self.fun(x), self.jac(x)

    def with_error(self, x: np.ndarray) -> tuple[float, float]:
        """Return the value and a standard error."""
        return self.fun(x), 1e-3

    def flat(self, points: np.ndarray) -> list[float]:
        """Return the values of a group of points, one behind the other."""
        return [self.fun(x) for x in points.reshape(-1, len(START))]

    @property
    def stacked(self) -> Callable[..., Any]:
        """The objective of a stack of points."""
        return vectorized(lambda points: [self.fun(x) for x in points])

    @property
    def ring(self) -> NonlinearConstraint:
        """A constraint."""
        return NonlinearConstraint(lambda x: self._blurred(x @ x, x), 0, 1.5)

    def _blurred(self, value: Any, x: np.ndarray) -> Any:
        # It differs from point to point, as rounding does, and is the same in each thread.
        return value * (1 + self._blur * 2.0**-52 * np.sin(1e9 * x.sum()))


def variants(optimizer: Optimizer) -> dict[str, Callable[[Objective], Any]]:
    """Return the runs that an optimizer is put through, each of which is given an objective."""
    levels = optimizer.get_support_level()
    supported = SupportLevel.supported
    takes_jac = levels["gradient"] >= supported
    always = {"hess": rosen_hess} if levels.get("hessian") == SupportLevel.required else {}

    def run(fun: Any, jac: Any = None, bounds: Any = None, **settings: Any) -> OptimizerResult:
        return optimizer.minimize(fun, START, jac, bounds, seed=7, **always, **settings)

    def many(fun: Any, jac: Any = None) -> Any:
        return optimizer.minimize_many(fun, STARTS, jac, seed=7, maxfun=40, **always)

    def grouped(f: Objective, jac: Any) -> OptimizerResult:
        optimizer.set_max_evals_grouped(3)
        try:
            return run(f.flat, jac, maxfun=60)
        finally:
            optimizer.set_max_evals_grouped(1)

    def in_threads(fun: Any, jac: Any = None) -> OptimizerResult:
        with ThreadPoolExecutor(2) as pool:
            return run(fun, jac, workers=pool, maxfun=36)

    def told(f: Objective, jac: Any = None) -> OptimizerResult:
        stepper = optimizer.stepper(START, jac, seed=7, maxfun=60, **always)
        for ask in stepper:
            gradients = None if ask.x_jac is None else [f.jac(x) for x in ask.x_jac]
            stepper.tell(ask, TellData([f.fun(x) for x in ask.x_fun], gradients))
        return stepper.result()

    def stopped(f: Objective, jac: Any = None) -> OptimizerResult:
        seen: list[Any] = []
        return run(f.fun, jac, callback=lambda xk: seen.append(xk) or len(seen) == 3)

    found: dict[str, Callable[[Objective], Any]] = {}
    if levels["gradient"] != SupportLevel.required:
        # Differences with such steps do not hang on the last digits of the values.
        scheme = "3-point" if takes_jac else None
        found |= {
            "values": lambda f: run(f.fun, maxfun=300),
            "small": lambda f: run(f.fun, maxfun=7),
            "errors": lambda f: run(f.with_error, scheme, maxfun=60),
            "groups": lambda f: grouped(f, scheme),
            "stack": lambda f: run(f.stacked, scheme, maxfun=60),
            "threads": lambda f: in_threads(f.fun, scheme),
            "reject": lambda f: run(f.fun, scheme, on_failure="reject", maxfun=60),
            "noise": lambda f: run(f.fun, noise=1e-6, maxfun=70),
            "estimate": lambda f: run(f.fun, noise="estimate", maxfun=70),
            "callback": lambda f: stopped(f, scheme),
            "stepper": lambda f: told(f, scheme),
            "many": lambda f: many(f.stacked, scheme),
        }
        if levels["bounds"] >= supported:
            found["box"] = lambda f: run(f.fun, None, BOX, maxfun=300)
            found["stack box"] = lambda f: run(f.stacked, scheme, BOX, maxfun=60)
    if takes_jac:
        found |= {
            "jac": lambda f: run(f.fun, f.jac),
            "jac small": lambda f: run(f.fun, f.jac, maxfun=7),
            "jac stack": lambda f: run(f.stacked, f.jac, maxfun=60),
            "jac threads": lambda f: in_threads(f.fun, f.jac),
            "jac reject": lambda f: run(f.fun, f.jac, on_failure="reject"),
            "jac noise": lambda f: run(f.fun, f.jac, noise=1e-6, maxfun=70),
            "jac callback": lambda f: stopped(f, f.jac),
            "jac stepper": lambda f: told(f, True),
            "jac many": lambda f: many(f.fun, f.jac),
            "joint": lambda f: run(f.joint, True),
            "joint threads": lambda f: in_threads(f.joint, True),
            "joint reject": lambda f: run(f.joint, True, on_failure="reject"),
        }
        if levels["bounds"] >= supported:
            found["jac box"] = lambda f: run(f.fun, f.jac, bounds=BOX)
        if levels["gradient"] != SupportLevel.required:
            found["3-point"] = lambda f: run(f.fun, "3-point")
    if levels.get("constraints", SupportLevel.not_supported) >= supported:
        found["ring"] = lambda f: run(f.fun, constraints=f.ring, maxfun=70)
        if takes_jac:
            found["jac ring"] = lambda f: run(f.fun, f.jac, constraints=f.ring, maxfun=70)
    return found


def optimizers_by_name() -> dict[str, Callable[[], Optimizer]]:
    """Return what makes each optimizer that has traces."""
    found: dict[str, Callable[[], Optimizer]] = {
        name: (lambda cls=cls: make(cls)) for name, cls in of_values().items()
    }
    for method in METHODS:
        found[f"SciPyOptimizer {method}"] = lambda method=method: SciPyOptimizer(method)
    return found


def variants_of(name: str) -> dict[str, Callable[[Objective], Any]]:
    """Return the runs of an optimizer by its name."""
    found = variants(optimizers_by_name()[name]())
    if name.startswith("SciPyOptimizer"):  # the classes have the others
        return {k: v for k, v in found.items() if k in ("values", "jac", "box", "3-point")}
    return found


def is_ordered(variant: str) -> bool:
    """Return whether a variant's points come in the same order each time."""
    return "threads" not in variant


def traced(variant: str, call: Callable[[Objective], Any], blur: float = 0.0) -> Trace:
    """Return the trace of a run."""
    objective = Objective(
        blur,
        1e-6 if variant in ("noise", "estimate") else 0.0,
        (4, 9, 10, 17) if "reject" in variant else (),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call(objective)
        except Exception as error:
            end: Trace = {"error": type(error).__name__}
        else:
            runs = [result] if isinstance(result, OptimizerResult) else list(result)
            end = {"runs": [_summary(run) for run in runs]}
    points = objective.points[:KEPT]
    return {
        "points": [[_short(value) for value in x] for x in points],
        "asked": len(objective.points),
        "warnings": sum(issubclass(w.category, OptimizerWarning) for w in caught),
        **end,
    }


def _short(value: float) -> float:
    return float(f"{value:.10g}")


def _summary(result: OptimizerResult) -> Trace:
    counts = ("nfev", "njev", "nhev", "nit", "nrejected")
    return {
        **{name: int(result[name]) for name in counts if result[name]},
        "stop": result.stop.name + ("" if result.success else ", no success"),
        "fun": _short(result.fun),
        "x": [_short(value) for value in result.x],
    }


def same_points(left: Any, right: Any, tolerance: float, *, ordered: bool) -> int:
    """Return how many points of two traces, from the first, are the same."""
    if not ordered:
        remaining = list(right)
        for count, x in enumerate(left):
            near = [i for i, y in enumerate(remaining) if _is_close(x, y, tolerance)]
            if not near:
                return count
            del remaining[near[0]]
        return len(left)
    pairs = zip(left, right, strict=False)
    return next(
        (i for i, (x, y) in enumerate(pairs) if not _is_close(x, y, tolerance)),
        min(len(left), len(right)),
    )


def end_of(trace: Trace) -> Trace:
    """Return what is compared but for points and other numbers of many digits."""
    end = {k: v for k, v in trace.items() if k in ("asked", "warnings", "error")}
    names = ("fun", "x")
    runs = [{k: v for k, v in run.items() if k not in names} for run in trace.get("runs", ())]
    return {**end, "runs": runs}


def same_results(left: Trace, right: Trace, tolerance: float) -> bool:
    """Return whether the solutions and their values are the same."""
    pairs = zip(left.get("runs", ()), right.get("runs", ()), strict=True)
    return all(_is_close([a["fun"], *a["x"]], [b["fun"], *b["x"]], tolerance) for a, b in pairs)


def _is_close(x: Any, y: Any, tolerance: float) -> bool:
    return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance / 10))


def steady(variant: str, call: Callable[[Objective], Any]) -> Trace:
    """Return a trace, with what of it does not hang on the last digits.

    ``steady`` is the number of its points that errors as small as rounding leave as they are, and
    ``chaotic`` is there where they change how the run ends.
    """
    trace = traced(variant, call)
    ordered = is_ordered(variant)
    count, is_chaotic = len(trace["points"]), False
    for blur in (1.0, -1.0, 3.0):
        other = traced(variant, call, blur)
        same = same_points(trace["points"], other["points"], TOLERANCE / 3, ordered=ordered)
        count = min(count, same if ordered or same == len(trace["points"]) else 0)
        is_chaotic |= end_of(trace) != end_of(other) or not same_results(
            trace, other, TOLERANCE / 3
        )
    return {"steady": count, **trace, **({"chaotic": True} if is_chaotic else {})}


def read() -> dict[str, dict[str, Trace]]:
    """Return the traces of the file, by optimizer and variant."""
    found = json.loads(FILE.read_text())["traces"]
    for traces in found.values():
        for variant, trace in traces.items():
            if isinstance(trace, str):  # the same as an earlier one
                traces[variant] = traces[trace]
    return found


def written_with() -> dict[str, Any]:
    """Return what decided about the last digits of the traces of the file."""
    return json.loads(FILE.read_text())["with"]


def rounding() -> dict[str, Any]:
    """Return what decides about last digits here."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "processor": [platform.machine(), *extensions.get("found", ())],
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS"),
    }


def write(names: list[str]) -> None:
    """Write the file, a line a trace; only the traces of some optimizers anew, if any are named."""
    before = json.loads(FILE.read_text())["traces"] if names else {}
    blocks = []
    for name in optimizers_by_name():
        found, seen = before.get(name, {}) if name not in names else {}, dict[str, str]()
        for variant, call in variants_of(name).items() if not found else ():
            text = json.dumps(steady(variant, call), separators=(",", ":"))
            found[variant] = seen[text] if text in seen else json.loads(text)
            seen.setdefault(text, variant)
        lines = [
            f"{json.dumps(variant)}:{json.dumps(trace, separators=(',', ':'))}"
            for variant, trace in found.items()
        ]
        blocks.append(f"{json.dumps(name)}:{{\n" + ",\n".join(lines) + "\n}")
    head = f'{{"with":{json.dumps(rounding())},\n"traces":{{\n'
    FILE.write_text(head + ",\n".join(blocks) + "\n}}\n")


if __name__ == "__main__":
    if sys.argv[1:2] != ["--write"]:
        sys.exit("usage: python -m tests.traces --write [OPTIMIZER ...]")
    write(sys.argv[2:])
