"""A run of residuals handed over to :func:`scipy.optimize.least_squares`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.optimize
from typing_extensions import override

from optimizers._types import Array
from optimizers.evaluation.answers import own_jacobian
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
        loss = run.problem.loss
        assert loss is not None

        def residuals(x: Array) -> Array:
            (known,) = run.ask([x], gradients=is_joint, reuse=True).found
            if known is None or known.residuals is None:  # a penalty: SciPy shortens its step
                return np.full(run.memory.m or 0, np.inf)
            return known.residuals.copy()

        def jacobian(x: Array) -> Any:
            (known,) = run.ask([x], values=False, gradients=True).found
            assert known is not None
            # With a loss, SciPy scales what it is handed.
            return known.jacobian if loss.is_linear else own_jacobian(known.jacobian)

        return residuals, jacobian

    @override
    def _called(
        self,
        run: Run,
        free: FreeVariables,
        value: Callable[[Array], Any],
        gradient: Callable[[Array], Any],
        on_iteration: Callable[..., None],
    ) -> Any:
        loss, bounds, last = run.problem.loss, free.bounds, list[Array]()
        assert loss is not None
        given = self._options(run)
        for ours in ("loss", "f_scale", "jac_sparsity"):
            given.pop(ours, None)
        # As a tolerance, None is one that SciPy does not look at; elsewhere it is SciPy's default.
        options = {k: v for k, v in given.items() if v is not None or k in self._info.tol}
        is_single = bool(np.count_nonzero(free.mask) == 1)
        if is_single:  # whose lsmr SciPy cannot make a plane of
            options.pop("tr_solver", None)
        if np.ndim(options.get("x_scale", 0)):
            options["x_scale"] = free.part(np.asarray(options["x_scale"]))

        def jacobian(x: Array) -> Any:
            found = free.columns(gradient(free.whole(x)))
            if is_single and not isinstance(found, np.ndarray):
                found = found @ np.eye(1)
            # SciPy asks at the start, and where an iteration ends on another point.
            if last and not np.array_equal(last[0], x):
                on_iteration(x)
            last[:] = [x.copy()]
            return found

        return scipy.optimize.least_squares(
            free.function(value),
            free.x0,
            jacobian,
            method=self._method,
            loss=loss.rho,
            f_scale=loss.f_scale,
            **({} if bounds is None else {"bounds": (bounds.lb, bounds.ub)}),
            **options,
        )

    @override
    def _keep(self, run: Run, raw: Mapping[str, Any]) -> None:
        free = FreeVariables(run.problem, self._info.strips_fixed)
        mask = np.zeros(run.problem.n, dtype=np.int64)
        mask[free.mask] = raw["active_mask"]
        run.extra.update(optimality=float(raw["optimality"]), active_mask=mask)
