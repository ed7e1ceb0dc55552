"""A run solved by :func:`scipy.optimize.minimize`: its questions, iterations and end."""

import contextlib
import copy
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.optimize
from typing_extensions import override

from optimizers._types import Array
from optimizers.asktell.drivers import check_free
from optimizers.errors import InvalidInputError, words_of
from optimizers.evaluation.answers import as_gradient, as_matrix
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.budget import StopRun
from optimizers.run.fast_path import fast_gradient, fast_path, fast_value, is_joint
from optimizers.run.hessians import covered, gauss_newton
from optimizers.run.outcome import Outcome, outcome_of
from optimizers.run.results import in_users_sign
from optimizers.run.run import Run
from optimizers.scipy.free_variables import FreeVariables
from optimizers.scipy.method import Solver
from optimizers.support import SupportLevel

#: The largest count in some of SciPy's compiled code.
INT_MAX = 2**31 - 1


# Entries of a SciPy result that the run knows better, or that `stop` and `message` replace.
_OWN_ENTRIES = (
    *("x", "fun", "jac", "nfev", "njev", "nhev", "nit", "success", "status", "message"),
    *("nrejected", "nreplayed", "stop", "best", "elapsed", "maxcv"),
)


def _steep(run: Run, value: Callable[[Array], float]) -> Callable[[Array], float]:
    """Return values in which a penalty is far above what the slope predicted.

    The minimum of a parabola is then at a tenth of the step, so that the few cuts of a line search
    are enough for steps that are too long by many orders of magnitude.
    """

    def told(x: Array) -> float:
        found, good = value(x), run.memory.last_good
        if good is None or good.jac is None or not found > run.memory.worst:
            return found
        return found + 4 * abs(float(good.jac @ (x - good.x)))

    return told


class ScipySolver(Solver):
    """A SciPy method on a run, through SciPy's public function."""

    @override
    def solve(self, run: Run) -> Outcome:
        problem, info = run.problem, self._info
        joint = info.gradient >= SupportLevel.supported and is_joint(run, needs_both=info.joint)
        value, gradient = self._functions(run, is_joint=joint)
        free = FreeVariables(problem, info.strips_fixed)
        keeps_all = "return_all" in info.known and self._given.get("return_all")
        all_points = {"allvecs": [problem.x0.copy()]} if keeps_all else {}

        latest: dict[str, Any] = {}  # the state of trust-constr, for resuming

        # Some methods pass a second argument.
        def on_iteration(xk: Array, state: Mapping[str, Any] | None = None) -> None:
            x = free.whole(xk)
            for points in all_points.values():
                points.append(x.copy())
            latest.update(state or {})
            self._iteration(run, x, latest)

        if info.lock is not None:
            if info.lock.is_exclusive:
                check_free(str(self._method), run)
            value = info.lock.released(value)
        try:
            raw = self._called(run, free, value, gradient, on_iteration)
        except BaseException as error:  # keep what it found, however it ended
            is_scipys = isinstance(error, Exception) and _is_scipys(error)
            if latest:
                self._keep(run, latest)
            if info.unfinished is not None and not is_scipys:
                self._keep(run, info.unfinished.found(error))
            if is_scipys:
                constraint = _not_finite(problem) or "a constraint or hess returned"
                raise InvalidInputError(
                    f"SciPy's {self._method} failed with an option, or with what {constraint}: "
                    f"{words_of(error)}"
                ) from error
            raise
        finally:
            run.extra.update(all_points)
        if keeps_all:
            raw.update(all_points)  # Newton-CG has changed those in SciPy's list
        return self._outcome(run, raw, free)

    def _functions(
        self, run: Run, *, is_joint: bool
    ) -> tuple[Callable[[Array], Any], Callable[[Array], Any]]:
        """Return objective and gradient as the method calls them, in one evaluation if joint."""
        both = fast_path(run, reuse=True)
        gradient = (lambda x: both(x)[1].copy()) if is_joint else fast_gradient(run)
        value = (lambda x: both(x)[0]) if is_joint else fast_value(run)
        return (_steep(run, value) if self._info.fits_parabolas else value), gradient

    def _called(
        self,
        run: Run,
        free: FreeVariables,
        value: Callable[[Array], Any],
        gradient: Callable[[Array], Any],
        on_iteration: Callable[..., None],
    ) -> Any:
        """Return SciPy's result for the problem in the free variables."""
        return scipy.optimize.minimize(
            free.function(value),
            free.x0,
            method=self._method,
            jac=gradient if self._info.gradient >= SupportLevel.supported else None,
            hess=self._hessian(run),
            hessp=self._product(run),
            bounds=free.bounds,
            constraints=free.constraints(self._info.probes_outside),
            callback=on_iteration,
            options=self._options(run),
        )

    def _options(self, run: Run) -> dict[str, Any]:
        """Return the options for SciPy, without those that the run handles."""
        info = self._info
        ours = {"disp", "maxfun", *info.differences}
        options = {k: v for k, v in self._given.items() if k not in ours}
        if self._tol is not None:
            for name in info.tol:
                options.setdefault(name, self._tol)
        if info.asks_twice and options.get("maxfev") not in (None, math.inf):
            options["maxfev"] = sys.maxsize  # the run counts itself
        if info.counted_by_run and options.get("maxiter") is not None:
            # Large enough not to be reached before the run's own limit.
            options["maxiter"] = 3 * options["maxiter"] + run.problem.n + 2
        for name in ("maxiter", "maxfev"):
            if options.get(name) not in (None, math.inf):
                options[name] = min(options[name], INT_MAX)
        return options

    def _iteration(self, run: Run, x: Array, state: Mapping[str, Any]) -> None:
        known = run.memory.lookup(x)
        if known is None and self._info.gradient == SupportLevel.ignored:
            # COBYLA before SciPy 1.16 reports a point of its model: use the best one instead.
            known = run.best
        extra = {name: value for name, value in state.items() if name not in _OWN_ENTRIES}
        run.iterated(
            x if known is None else known.x, known, **in_users_sign(extra, run.problem.sign)
        )

    def _hessian(self, run: Run) -> Any:
        hess, hessp = run.problem.hess, run.problem.hessp
        if callable(hess):
            return self._matrix(run, run.counted_hessian(hess))
        takes_hessian = self._info.hessian >= SupportLevel.supported
        if hess is None and hessp is None and takes_hessian and run.problem.loss is not None:
            return self._matrix(run, gauss_newton(run))
        if hess is None and hessp is None and self._info.default_hessian is not None:
            return self._info.default_hessian()
        return copy.deepcopy(hess)  # an update strategy has state: the run uses a copy

    def _matrix(self, run: Run, hess: Callable[[Array], Any]) -> Callable[[Array], Any]:
        """Return a checked Hessian function, with dense matrices if the method requires these."""
        n, is_dense = run.problem.n, self._info.hessian == SupportLevel.required

        def matrix(x: Array) -> Any:
            found = as_matrix(hess(x), ((n, n),), "hess")
            return found @ np.eye(n) if is_dense and not isinstance(found, np.ndarray) else found

        return covered(run, matrix)

    def _product(self, run: Run) -> Any:
        if run.problem.hessp is None:
            return None
        counted, n = run.counted_hessian(run.problem.hessp), run.problem.n
        return covered(run, lambda x, p: as_gradient(counted(x, p), n, name="hessp"))

    def _outcome(self, run: Run, raw: Any, free: FreeVariables) -> Outcome:
        message, status, success = str(raw.message), int(raw.get("status", 0)), bool(raw.success)
        default = StopReason.CONVERGED if success else StopReason.OTHER
        words = (stop for words, stop in self._info.words.items() if words in message)
        stop = next(words, None) or self._info.stops.get(status, default)
        if not success and _not_finite(run.problem):
            message = f"{message}. A constraint, {_not_finite(run.problem)}."
        self._keep(run, raw)
        if self._info.has_scipys_counts and "nit" in raw:  # not in COBYLA's
            run.note_iterations(int(raw.nit))
        x = free.whole(raw.x)
        if success and self._info.ends_unknown:
            with contextlib.suppress(StopRun):  # the end of a budget does not undo the success
                run.gradient(run.problem.clip(x))
        if self._info.gradient == SupportLevel.ignored and run.best is not None:
            # A search without gradients may not end at its best point: COBYLA before SciPy 1.16,
            # and any failed one. Only the method decides what is feasible.
            x = x if success and run.problem.constraints else run.best.x
        return Outcome(x, success, status, message, stop)

    def _keep(self, run: Run, raw: Mapping[str, Any]) -> None:
        """Copy further entries of SciPy's result to the run's."""
        run.extra.update({k: v for k, v in raw.items() if k not in _OWN_ENTRIES})


def _not_finite(problem: Problem) -> str:
    """Return in words which non-finite value a constraint returned and where; empty if none."""
    return next((words for c in problem.constraints for words in c.not_finite), "")


def _is_scipys(error: BaseException) -> bool:
    """Return whether SciPy itself raised an error, not a function that it called."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = 2  # solve, and what calls SciPy
    names = [str(frame.f_globals.get("__name__")) for frame in frames[own:]]
    is_all = all(name.partition(".")[0] in ("scipy", "numpy") for name in names)
    return is_all and not isinstance(error, Warning)  # a warning turned into an error by a filter


class CustomSolver(ScipySolver):
    """A user's callable method on a run: it may count and name its end itself."""

    @override
    def _outcome(self, run: Run, raw: Any, free: FreeVariables) -> Outcome:
        outcome = outcome_of(raw, run.problem.n)
        if isinstance(raw, Mapping):
            self._keep(run, raw)
        return outcome
