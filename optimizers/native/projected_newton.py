"""Projected truncated Newton: many bounds change at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.errors import CapabilityError
from optimizers.flow import AskData, Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource
from optimizers.native.conjugate_gradients import Preconditioner, truncated
from optimizers.native.hessian_products import HessianProducts, Whole
from optimizers.native.projected_search import Box, Point
from optimizers.options.settings import DISP
from optimizers.options.table import Option, limit, number
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels

#: The residual of the inner loop falls by this factor at least.
_FORCING = 0.3
#: Two decreases below the tolerance, or failed searches, end the run.
_TWICE = 2


class ProjectedNewton(FlowOptimizer):
    r"""Truncated Newton with projection: smooth functions of many variables with bounds.

    Variables whose bound the gradient pushes against go straight to it, along the scaled gradient;
    the step of the others solves the Newton equations roughly, by preconditioned conjugate
    gradients [2]_. Both are projected to the bounds [1]_, so that any number of bounds may become
    active or inactive in an iteration, where :class:`TNC` changes one at a time.

    A product of the Hessian is a difference of two gradients, which counts as a gradient, or a
    call of ``hessp``. Pass ``jac``: without it, gradients are central differences, and a product
    takes 2n values. The preconditioner is a diagonal BFGS matrix and the last pairs of the inner
    loops.

    References
    ----------
    .. [1] D. P. Bertsekas, "Projected Newton methods for optimization problems with simple
       constraints", SIAM Journal on Control and Optimization 20 (1982) 221-246.
    .. [2] S. G. Nash, "A survey of truncated-Newton methods", Journal of Computational and Applied
       Mathematics 124 (2000) 45-59.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import rosen, rosen_der
    >>> result = ProjectedNewton().minimize(rosen, np.zeros(50), rosen_der, bounds=[(-2, 0.5)] * 50)
    >>> result.success, float(result.x[0])
    (True, 0.5)
    """

    traits = Traits(
        "Smooth, with a gradient, many variables and many active bounds.", parallel=True
    )
    _tolerances = ("ftol", "gtol")

    _declared: tuple[Option, ...] = (
        Option("maxiter", 15000, limit(0)).means("Maximum number of iterations."),
        Option("ftol", 1e-8, number(0)).means(
            "The run converges when two iterations in succession decrease the value by at most "
            "this, relative to its size."
        ),
        Option("gtol", 1e-5, number(0)).means(
            "The run converges when no component of the projected gradient is larger."
        ),
        Option("maxCGit", 200, limit(1)).means(
            "Maximum number of products with the Hessian in an iteration."
        ),
        Option("maxcor", 8, limit(0)).means(
            "How many pairs of the inner loops the preconditioner keeps."
        ),
        DISP,
    )
    support_levels = levels(gradient=SupportLevel.supported, hessian=SupportLevel.supported)

    def __init__(
        self,
        maxiter: int = 15000,
        ftol: float = 1e-8,
        gtol: float = 1e-5,
        maxCGit: int = 200,  # noqa: N803  # TNC's name
        maxcor: int = 8,
        disp: bool = False,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _problem(self, *arguments: Any, **named: Any) -> Problem:
        problem = super()._problem(*arguments, **named)
        hess = problem.hess
        if callable(hess):
            return replace(problem, hessp=Whole(hess))
        if hess not in (None, "2-point"):
            raise CapabilityError(
                f"{self._title} cannot use hess={hess!r:.80}: pass hessp, a function hess(x), or "
                "neither: then products are differences of two gradients."
            )
        return problem

    @override
    def _differences(self, problem: Problem) -> GradientSource:
        if problem.derivatives.is_default:
            return Differences("3-point")  # differences of one-sided ones would be too inaccurate
        return super()._differences(problem)

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        box = Box(problem)
        told = yield AskData(problem.x0, problem.x0)
        at, learned = Point(problem.x0, told), self._unlearned(problem)
        small = failures = 0
        for _ in range(self.maxiter):
            size = float(np.abs(box.projected(at)).max())
            if size <= self.gtol:
                return ended(at.x, StopReason.GRADIENT, at.fun, at.jac)
            free = box.free(at)
            tolerance = min(_FORCING, (size / (1.0 + abs(at.fun))) ** 0.5)
            products = HessianProducts(box, at, free)
            solved = yield from truncated(products, learned, tolerance, self.maxCGit)
            learned = solved.preconditioner
            step = np.where(free, solved.step, -at.jac / learned.diagonal)
            found = yield from box.search(at, step, solved.is_curved, learned.diagonal)
            if found is None:
                failures += 1
                if failures > _TWICE or not learned.has_size:
                    return ended(at.x, StopReason.NO_PROGRESS, at.fun, at.jac)
                learned = self._unlearned(problem)
                continue
            fall, at = at.fun - found.fun, found
            yield Step(at.x, at.fun, at.jac)
            is_small = fall <= self.ftol * max(abs(at.fun), abs(at.fun + fall))
            small = small + 1 if is_small else 0
            if small == _TWICE:
                return ended(at.x, StopReason.FUN, at.fun, at.jac)
        return ended(at.x, StopReason.MAXITER, at.fun, at.jac)

    def _unlearned(self, problem: Problem) -> Preconditioner:
        return Preconditioner(np.ones(problem.n), deque(maxlen=self.maxcor))
