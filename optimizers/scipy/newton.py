"""SciPy's methods that require a gradient, and most of them a Hessian."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from optimizers.scipy.methods import METHODS
from optimizers.scipy.scipy_optimizer import SciPyOptimizer, SciPySettings
from optimizers.support import Traits


class NewtonCG(SciPyOptimizer):
    """Newton's method by conjugate gradients: requires ``jac``, uses ``hess`` or ``hessp``.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 7.

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der
    >>> NewtonCG().minimize(rosen, [-1.2, 1.0], rosen_der).x.round(3)
    array([1., 1.])
    """

    traits = Traits("Smooth, with products of the Hessian, many variables.", parallel=True)

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
    """The common base of the trust-region methods that need second derivatives."""

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
    >>> from scipy.optimize import rosen, rosen_der, rosen_hess
    >>> Dogleg().minimize(rosen, [-1.2, 1.0], rosen_der, hess=rosen_hess).x.round(3)
    array([1., 1.])
    """

    traits = Traits("Smooth and convex, with the Hessian.", parallel=True)

    _method_name = "dogleg"


class TrustNCG(TrustRegion):
    """The Newton conjugate gradient trust-region method: requires ``jac``, ``hess`` or ``hessp``.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 4.

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der, rosen_hess
    >>> TrustNCG().minimize(rosen, [-1.2, 1.0], rosen_der, hess=rosen_hess).x.round(3)
    array([1., 1.])
    """

    traits = Traits("Smooth, with the Hessian or its products, many variables.", parallel=True)

    _method_name = "trust-ncg"


class TrustExact(TrustRegion):
    """The nearly exact trust-region method: requires ``jac`` and ``hess``.

    References
    ----------
    .. [1] More and Sorensen, "Computing a trust region step", SIAM J. Sci. Stat. Comput. 4 (1983).

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der, rosen_hess
    >>> TrustExact().minimize(rosen, [-1.2, 1.0], rosen_der, hess=rosen_hess).x.round(3)
    array([1., 1.])
    """

    traits = Traits("Smooth, with the Hessian, few variables: few iterations.", parallel=True)

    _method_name = "trust-exact"


class TrustKrylov(TrustRegion):
    """The Krylov trust-region method: requires ``jac``, ``hess`` or ``hessp``.

    References
    ----------
    .. [1] Gould et al., "Solving the trust-region subproblem using the Lanczos method" (1999).

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der, rosen_hess
    >>> TrustKrylov().minimize(rosen, [-1.2, 1.0], rosen_der, hess=rosen_hess).x.round(3)
    array([1., 1.])
    """

    traits = Traits("Smooth, with the Hessian or its products, hard subproblems.", parallel=True)

    _method_name = "trust-krylov"
