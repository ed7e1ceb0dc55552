"""SciPy's methods that use a gradient, given or by differences."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from typing_extensions import Unpack, override

from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource
from optimizers.options.table import complete, constructor_defaults
from optimizers.problem.problem import Problem
from optimizers.scipy.options import NATIVE
from optimizers.scipy.scipy_optimizer import BudgetedSettings, SciPyOptimizer, SciPySettings
from optimizers.support import Traits

#: The default step in TNC's constructor, as in Qiskit: it means that none is given.
_NO_STEP = 1e-8


class TNC(SciPyOptimizer):
    """Truncated Newton (TNC): bounds, a gradient, no Hessian matrix.

    Each step solves the Newton equations approximately by conjugate gradients, with Hessian
    products from gradient differences, and never leaves the bounds. It uses the C implementation in
    SciPy. A gradient that is not given is computed by central differences, since differences of
    one-sided ones would be too inaccurate for the Hessian products.

    References
    ----------
    .. [1] S. G. Nash, "Newton-type minimization via the Lanczos method", SIAM J. Numer. Anal. 21
       (1984) 770-778.

    Examples
    --------
    >>> TNC().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits(
        "Smooth, with bounds, many variables: curvature from gradients alone.", parallel=True
    )

    _method_name = "TNC"

    def __init__(
        self,
        maxiter: int = 100,
        disp: bool = False,
        accuracy: float = 0,
        ftol: float = -1,
        xtol: float = -1,
        gtol: float = -1,
        tol: float | None = None,
        eps: float = 1e-08,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())

    @override
    def _differences(self, problem: Problem) -> GradientSource:
        given = super()._differences(problem)
        if problem.derivatives.is_default and given == Differences("2-point", step=_NO_STEP):
            return Differences("3-point")
        return given

    @override
    def _options_for(self, problem: Problem) -> dict[str, Any]:
        options = super()._options_for(problem)
        if options.get("accuracy") == 0 and not problem.derivatives.is_given:
            options["accuracy"] = None  # the scheme's
        return options


class LbfgsbSettings(BudgetedSettings, total=False):
    """The settings in the constructor of :class:`LBFGSB`."""

    solver: Literal["auto", "scipy", "native"]
    memory_dtype: Literal["float32", "float64"] | None


complete(LbfgsbSettings, [("Parameters", [*NATIVE])])


class LBFGSB(SciPyOptimizer):
    """Limited-memory BFGS with bounds (L-BFGS-B).

    A quasi-Newton method for many variables: the last ``maxcor`` steps approximate the Hessian. It
    is SciPy's compiled kernel, or for many variables the same algorithm on whole arrays, which
    takes a third of its time; see ``solver``.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound
       constrained optimization", SIAM Journal on Scientific Computing 16 (1995) 1190-1208.
    .. [2] J. L. Morales and J. Nocedal, "Remark on Algorithm 778", ACM TOMS 38 (2011) 7.

    Examples
    --------
    >>> LBFGSB().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits(
        "Smooth, with or without bounds, any number of variables: the first to try.", parallel=True
    )

    _method_name = "L-BFGS-B"

    def __init__(
        self,
        maxfun: int = 15000,
        maxiter: int = 15000,
        ftol: float = 10 * float(np.finfo(np.float64).eps),
        iprint: int = -1,
        eps: float = 1e-08,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[LbfgsbSettings],
    ) -> None:
        self._set_up(locals())

    @override
    def _limits(self, maxfun: int | None) -> dict[str, int]:
        limits = super()._limits(maxfun)
        # The default is meant for steps of one point.
        if maxfun is None and limits.get("maxfun") == constructor_defaults(type(self))["maxfun"]:
            limits["maxfun"] *= self._options.get("speculate", 1)
        return limits


class CG(SciPyOptimizer):
    """Nonlinear conjugate gradients (CG), the variant of Polak and Ribiere.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 5.

    Examples
    --------
    >>> CG(maxiter=200).minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits("Smooth and very many variables: it stores only a few vectors.", parallel=True)

    _method_name = "CG"

    def __init__(
        self,
        maxiter: int = 20,
        disp: bool = False,
        gtol: float = 1e-05,
        tol: float | None = None,
        eps: float = 1.4901161193847656e-08,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class BFGS(SciPyOptimizer):
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno (BFGS).

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 6.

    Examples
    --------
    >>> BFGS().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits(
        "Smooth, without bounds, up to a thousand variables: few iterations.", parallel=True
    )

    _method_name = "BFGS"

    def __init__(
        self,
        maxiter: int | None = None,
        disp: bool = False,
        gtol: float = 1e-05,
        tol: float | None = None,
        eps: float = 1.4901161193847656e-08,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class SLSQP(SciPyOptimizer):
    """Sequential least squares programming (SLSQP): bounds and general constraints.

    References
    ----------
    .. [1] D. Kraft, "A software package for sequential quadratic programming" (1988).

    Examples
    --------
    >>> SLSQP().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits(
        "Smooth, with constraints, up to some hundred variables: few evaluations.", parallel=True
    )

    _method_name = "SLSQP"

    def __init__(
        self,
        maxiter: int = 100,
        disp: bool = False,
        ftol: float = 1e-06,
        tol: float | None = None,
        eps: float = 1.4901161193847656e-08,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class TrustConstr(SciPyOptimizer):
    """A trust-region method for bounds and general constraints.

    References
    ----------
    .. [1] Conn, Gould and Toint, "Trust-Region Methods" (2000), SIAM.

    Examples
    --------
    >>> TrustConstr().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits(
        "Smooth, with constraints, many variables or sparse derivatives; Hessians help.",
        parallel=True,
    )

    _method_name = "trust-constr"

    def __init__(
        self,
        maxiter: int = 1000,
        disp: bool = False,
        gtol: float = 1e-08,
        xtol: float = 1e-08,
        barrier_tol: float = 1e-08,
        tol: float | None = None,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


#: Qiskit's name for :class:`LBFGSB`.
L_BFGS_B = LBFGSB
