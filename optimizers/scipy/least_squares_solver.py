"""A run of residuals, solved by :func:`scipy.optimize.least_squares`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.optimize
from typing_extensions import override

from optimizers._types import Array
from optimizers.evaluation.answers import own_jacobian
from optimizers.run.fast_fit import fit_functions
from optimizers.run.run import Run
from optimizers.scipy.free_variables import FreeVariables
from optimizers.scipy.method import FAR, Solver
from optimizers.scipy.solver import ScipySolver


class LeastSquaresSolver(ScipySolver):
    """A method of SciPy's ``least_squares`` on a run."""

    @override
    def within(self, limits: Mapping[str, int]) -> Solver:
        if limits and self._given.get("max_nfev") is None:
            self._given = {**self._given, "max_nfev": max(limits.values()) + FAR}
        return self

    @override
    def _functions(
        self, run: Run, *, is_joint: bool
    ) -> tuple[Callable[[Array], Any], Callable[[Array], Any]]:
        loss, facts = run.problem.loss, run.waves.evaluator.facts
        # If workers are idle, the probes travel with their point: an iteration is one round.
        is_idle = facts.has_workers and facts.width > run.problem.n
        is_joint = is_joint or (is_idle and not run.problem.derivatives.is_given)
        residuals, jacobian = fit_functions(run, is_joint=is_joint)
        if loss is not None and loss.is_linear:
            return residuals, jacobian
        # With a loss, SciPy scales its arguments in place.
        return lambda x: residuals(x).copy(), lambda x: own_jacobian(jacobian(x))

    @override
    def _called(
        self,
        run: Run,
        free: FreeVariables,
        value: Callable[[Array], Any],
        gradient: Callable[[Array], Any],
        on_iteration: Callable[..., None],
    ) -> Any:
        loss, bounds, last = run.problem.loss, free.bounds, b""
        assert loss is not None
        given = self._options(run)
        for ours in ("loss", "f_scale", "jac_sparsity"):
            given.pop(ours, None)
        # A tolerance of None is not used by SciPy; elsewhere None means SciPy's default.
        options = {k: v for k, v in given.items() if v is not None or k in self._info.tol}
        is_single = bool(np.count_nonzero(free.mask) == 1)
        if is_single:  # SciPy cannot span a plane with lsmr here
            options.pop("tr_solver", None)
        if np.ndim(options.get("x_scale", 0)):
            options["x_scale"] = free.part(np.asarray(options["x_scale"]))

        def of_free(x: Array) -> Any:
            found = free.columns(gradient(free.whole(x)))
            return found if isinstance(found, np.ndarray) or not is_single else found @ np.eye(1)

        derivative = gradient if free.is_all and not is_single else of_free
        memory, is_watched, nit = run.memory, run.is_watched, run.nit

        def jacobian(x: Array) -> Any:
            nonlocal last, nit
            found, before, last = derivative(x), last, x.tobytes()
            # SciPy asks at the start, and when an iteration ends at another point.
            if is_watched and before not in (b"", last):
                on_iteration(x)
            elif before not in (b"", last):
                nit += 1
                run.note_iterate(memory.last, nit)
            return found

        raw = scipy.optimize.least_squares(
            free.function(value),
            free.x0,
            jacobian,
            method=self._method,
            loss=loss.rho,
            f_scale=loss.f_scale,
            **({} if bounds is None else {"bounds": (bounds.lb, bounds.ub)}),
            **options,
        )
        if not free.is_all:
            mask = np.zeros(run.problem.n, dtype=np.int64)
            mask[free.mask] = raw.active_mask
            raw.active_mask = mask
        return raw

    @override
    def _keep(self, run: Run, raw: Mapping[str, Any]) -> None:
        run.extra.update(optimality=float(raw["optimality"]), active_mask=raw["active_mask"])
