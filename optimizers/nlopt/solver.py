"""A run solved by the package ``nlopt``."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.errors import InvalidInputError, MissingExtraError, TooLargeError, words_of
from optimizers.flow import ended
from optimizers.nlopt.constraints import Sides
from optimizers.nlopt.methods import Method
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.fast_path import fast_path, fast_value, is_joint
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run

#: The tolerances of NLopt that are options.
TOLERANCES = ("ftol_rel", "ftol_abs", "xtol_rel", "xtol_abs")
#: The meaning of NLopt's return codes.
_STOPS = {
    1: StopReason.CONVERGED,
    2: StopReason.TARGET,
    3: StopReason.FUN,
    4: StopReason.STEP,
    5: StopReason.MAXFUN,
    -4: StopReason.NO_PROGRESS,
}
_INVALID, _NO_MEMORY = -2, -3
#: NLopt's own limit is beyond the budget by so many calls, and the largest number that it takes.
_MARGIN, _MOST = 1000, 2**31 - 1


def imported() -> Any:
    """Return the package ``nlopt``."""
    try:
        return import_module("nlopt")
    except ImportError as error:
        raise MissingExtraError("NLopt needs the package nlopt: pip install nlopt.") from error


def solve(run: Run, method: Method, options: Mapping[str, Any]) -> Outcome:
    """Run a method on the problem of a run."""
    problem, nlopt = run.problem, imported()
    if problem.is_fixed:
        return ended(problem.x0, StopReason.FIXED)
    solver = _configured(nlopt, method, options, problem)
    failure, is_over = "", False
    with contextlib.ExitStack() as guards:

        def kept(call: Callable[..., Any], failed: Any) -> Callable[..., Any]:
            """Return a function that ends the search where it would raise an error."""
            guarded = guards.enter_context(run.guard(call))

            def called(*args: Any) -> Any:
                nonlocal is_over
                try:
                    return guarded(*args)
                except BaseException:  # the guard raises it when the search has ended
                    # The original DIRECT crashes if its first point stops it: the next one does.
                    if is_over:
                        solver.force_stop()
                    is_over = True
                    return failed

            return called

        solver.set_min_objective(kept(_objective(run, method), np.inf))
        for constraint in problem.constraints:
            sides, tol = Sides(constraint, problem), options["constraint_tol"]
            for add, call, count in (
                (solver.add_equality_mconstraint, sides.equality, sides.equalities),
                (solver.add_inequality_mconstraint, sides.inequality, sides.inequalities),
            ):
                if count:
                    add(kept(call, None), np.full(count, tol))
        # StoGO alone does not notice that it is to end: it goes on, at no cost, until then.
        solver.set_maxeval(int(min(run.budget.left + _MARGIN, _MOST)))
        # Its random numbers belong to this thread.
        nlopt.srand(int(run.rng.integers(2**32)))
        x: Array | None = None
        try:
            x = solver.optimize(problem.x0)
            if method.needs_feasible and problem.violation(problem.x0) > options["constraint_tol"]:
                x = solver.optimize(x)
        except Exception as error:  # of many kinds, which depend on the version; a code says which
            failure = solver.get_errmsg() or words_of(error)
    return _outcome(run, method, solver.last_optimize_result(), x, failure)


def _configured(nlopt: Any, method: Method, options: Mapping[str, Any], problem: Problem) -> Any:
    """Return NLopt's object for a problem, without its functions."""
    solver = nlopt.opt(getattr(nlopt, method.name), problem.n)
    low, high = problem.box
    solver.set_lower_bounds(low)
    solver.set_upper_bounds(high)
    _limit(solver, options)
    if options["stopval"] is not None:
        solver.set_stopval(problem.sign * options["stopval"])
    for name in ("population", "vector_storage", "initial_step"):
        if options[name] is not None:
            getattr(solver, f"set_{name}")(options[name])
    if method.local is not None:
        local = nlopt.opt(getattr(nlopt, options["local"] or method.local), problem.n)
        _limit(local, options)
        solver.set_local_optimizer(local)
    return solver


def _limit(solver: Any, options: Mapping[str, Any]) -> None:
    for name in TOLERANCES:
        getattr(solver, f"set_{name}")(options[name])


def _objective(run: Run, method: Method) -> Callable[[Array, Array], float]:
    """Return the objective as NLopt calls it; an iteration ends where it found a better point."""
    value, both = fast_value(run), fast_path(run, reuse=True)
    always = method.takes_gradient and is_joint(run)
    seen = run.best

    def objective(x: Array, grad: Array) -> float:
        nonlocal seen
        x = x.copy()  # it is NLopt's
        if grad.size or always:
            found, gradient = both(x)
        else:
            found = value(x)
        if grad.size:
            grad[:] = gradient
        if run.best is not seen:
            seen = run.best
            run.iterated(x)
        return found

    return objective


def _outcome(run: Run, method: Method, code: int, x: Array | None, failure: str) -> Outcome:
    if code == _NO_MEMORY:
        raise TooLargeError(f"NLopt's {method.name} has not enough memory for this problem.")
    if code == _INVALID:
        raise InvalidInputError(f"NLopt's {method.name} refuses this problem: {failure}.")
    best = run.best
    if best is not None and (x is None or not run.problem.constraints):
        x = best.x
    stop = _STOPS.get(code, StopReason.NO_PROGRESS)
    words = f"NLopt's {method.name} ended: {failure}." if failure else ""
    return replace(ended(run.problem.x0 if x is None else x, stop, words=words), status=code)
