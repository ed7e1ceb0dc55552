"""SciPy's methods that require a gradient, and most of them a Hessian."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from optimizers.scipy.methods import METHODS
from optimizers.scipy.scipy_optimizer import SciPyOptimizer, SciPySettings


class NewtonCG(SciPyOptimizer):
    """Newton's method by conjugate gradients: requires ``jac``, takes ``hess`` or ``hessp``.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 7.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.array([1.0, -2.0])
    >>> fun = lambda x: ((x - target) ** 2).sum()
    >>> NewtonCG().minimize(fun, [0.0, 0.0], lambda x: 2 * (x - target)).x.round(2)
    array([ 1., -2.])
    """

    _method_name = "Newton-CG"

    def __init__(
        self,
        maxiter: int | None = None,
        disp: bool = False,
        xtol: float = 1e-05,
        tol: float | None = None,
        eps: float = 1.4901161193847656e-08,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class TrustRegion(SciPyOptimizer):
    """What the trust-region methods that need second derivatives have in common."""

    _declared = METHODS["trust-ncg"].options

    def __init__(
        self,
        maxiter: int | None = None,
        disp: bool = False,
        initial_trust_radius: float = 1.0,
        max_trust_radius: float = 1000.0,
        eta: float = 0.15,
        gtol: float = 0.0001,
        tol: float | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class Dogleg(TrustRegion):
    """The dogleg trust-region method: requires ``jac`` and a positive definite ``hess``.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 4.

    Examples
    --------
    >>> from scipy.optimize import rosen_hess
    >>> from optimizers.problems import get_problem
    >>> problem = get_problem("rosenbrock")
    >>> result = Dogleg().minimize(problem.fun, problem.x0, problem.jac, hess=rosen_hess)
    >>> result.x.round(3)
    array([1., 1.])
    """

    _method_name = "dogleg"


class TrustNCG(TrustRegion):
    """The Newton conjugate gradient trust-region method: requires ``jac``, ``hess`` or ``hessp``.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 4.

    Examples
    --------
    >>> from scipy.optimize import rosen_hess
    >>> from optimizers.problems import get_problem
    >>> problem = get_problem("rosenbrock")
    >>> result = TrustNCG().minimize(problem.fun, problem.x0, problem.jac, hess=rosen_hess)
    >>> result.x.round(3)
    array([1., 1.])
    """

    _method_name = "trust-ncg"


class TrustExact(TrustRegion):
    """The nearly exact trust-region method: requires ``jac`` and ``hess``.

    References
    ----------
    .. [1] J. J. More and D. C. Sorensen, "Computing a trust region step", SIAM Journal on
       Scientific and Statistical Computing 4 (1983) 553-572.

    Examples
    --------
    >>> from scipy.optimize import rosen_hess
    >>> from optimizers.problems import get_problem
    >>> problem = get_problem("rosenbrock")
    >>> result = TrustExact().minimize(problem.fun, problem.x0, problem.jac, hess=rosen_hess)
    >>> result.x.round(3)
    array([1., 1.])
    """

    _method_name = "trust-exact"


class TrustKrylov(TrustRegion):
    """The Krylov trust-region method: requires ``jac``, ``hess`` or ``hessp``.

    References
    ----------
    .. [1] N. I. M. Gould, S. Lucidi, M. Roma and P. L. Toint, "Solving the trust-region subproblem
       using the Lanczos method", SIAM Journal on Optimization 9 (1999) 504-525.

    Examples
    --------
    >>> from scipy.optimize import rosen_hess
    >>> from optimizers.problems import get_problem
    >>> problem = get_problem("rosenbrock")
    >>> result = TrustKrylov().minimize(problem.fun, problem.x0, problem.jac, hess=rosen_hess)
    >>> result.x.round(3)
    array([1., 1.])
    """

    _method_name = "trust-krylov"
