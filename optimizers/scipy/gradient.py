"""SciPy's methods that use a gradient, given or by differences."""

from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource
from optimizers.problem.problem import Problem
from optimizers.scipy.scipy_optimizer import BudgetedSettings, SciPyOptimizer, SciPySettings

#: The step that TNC's constructor names by default, as Qiskit's: it stands for none given.
_NO_STEP = 1e-8


class TNC(SciPyOptimizer):
    """Truncated Newton (TNC): bounds, a gradient, no Hessian matrix.

    Each step solves the Newton equations roughly by conjugate gradients, with Hessian products from
    gradient differences, and never leaves the bounds. Wraps the C implementation that SciPy ships.

    A gradient that is not given is had by central differences: those products are differences of
    gradients, in which the error of one-sided ones would drown.

    Parameters
    ----------
    maxiter : int, default 100
        Maximum number of function evaluations as SciPy's TNC counts them: one for the value and
        its gradient together, whatever they cost. It looks at the limit now and then, and may
        pass it by one or two. The hard limit in points is ``maxfun``, and whichever comes first
        ends the run: to allow more, raise both.
    disp : bool, default False
        Print the result's message and counts at the end.
    accuracy : float, default 0
        Relative step of the gradient differences. 0 stands for what suits the gradient: the
        square root of the machine precision if it is given, as in SciPy; else it follows from the
        error of the difference scheme, 2e-6 for central differences. With values in single
        precision, this and the three goals below suit these where not given.
    ftol : float, default -1
        Precision goal for the value of f in the stopping criterion. If negative, ``accuracy``: so
        SciPy's kernel has it, whatever SciPy's document says.
    xtol : float, default -1
        Precision goal for the value of x in the stopping criterion, after scaling; the square
        root of the machine precision if negative.
    gtol : float, default -1
        Precision goal for the value of the projected gradient, after scaling. If negative,
        ``1e-2 * sqrt(accuracy)``; where ``accuracy`` follows from differences, so does this,
        1e-7 for central ones. 0 is not recommended.
    tol : float, optional
        Tolerance for termination: stands for ``ftol``, ``xtol`` and ``gtol`` where not given.
    eps : float, default 1e-08
        Absolute step of one-sided differences, for a gradient that is not given. The default
        stands for central differences with their own steps.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    max_evals_grouped : int, default 1
        How many points one call of the objective takes: the value and the probes of finite
        differences travel together.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] S. G. Nash, "Newton-type minimization via the Lanczos method", SIAM Journal on Numerical
       Analysis 21 (1984) 770-778.

    Examples
    --------
    >>> TNC().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

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
        super().__init__("TNC", self._gathered(locals()), max_evals_grouped, tol=tol, **kwargs)

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


class LBFGSB(SciPyOptimizer):
    """Limited-memory BFGS with bounds (L-BFGS-B).

    A quasi-Newton method for many variables: the last ``maxcor`` steps stand in for the Hessian.

    Parameters
    ----------
    maxfun : int, default 15000
        Maximum number of points at which the objective is evaluated, probes of finite
        differences included: a hard limit.
    maxiter : int, default 15000
        Maximum number of iterations.
    ftol : float, default 10 times the machine precision
        Stop when ``(f_k - f_{k+1}) / max(|f_k|, |f_{k+1}|, 1) <= ftol``.
    iprint : int, default -1
        What is printed: negative, nothing; 0, one line at the last iteration; more, see
        :func:`minimize_lbfgsb`.
    eps : float, default 1e-08
        Absolute step of the finite differences that stand in for a gradient that is not given.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    max_evals_grouped : int, default 1
        How many points one call of the objective takes: the value and the probes of finite
        differences travel together.
    **kwargs
        Settings of each run and further arguments; see :class:`BudgetedSettings`.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound
       constrained optimization", SIAM Journal on Scientific Computing 16 (1995) 1190-1208.
    .. [2] J. L. Morales and J. Nocedal, "Remark on Algorithm 778", ACM Transactions on
       Mathematical Software 38 (2011) 7.

    Examples
    --------
    >>> LBFGSB().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    def __init__(
        self,
        maxfun: int = 15000,
        maxiter: int = 15000,
        ftol: float = 10 * float(np.finfo(np.float64).eps),
        iprint: int = -1,
        eps: float = 1e-08,
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[BudgetedSettings],
    ) -> None:
        super().__init__("L-BFGS-B", self._gathered(locals()), max_evals_grouped, **kwargs)


class CG(SciPyOptimizer):
    """Nonlinear conjugate gradients (CG), the variant of Polak and Ribiere.

    Parameters
    ----------
    maxiter : int, default 20
        Maximum number of iterations.
    disp : bool, default False
        Print the result's message and counts at the end.
    gtol : float, default 1e-05
        Stop when the largest component of the gradient is at most this.
    tol : float, optional
        Tolerance for termination: stands for ``gtol`` where not given.
    eps : float, default 1.4901161193847656e-08
        Absolute step of the finite differences that stand in for a gradient that is not given.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    max_evals_grouped : int, default 1
        How many points one call of the objective takes: the value and the probes of finite
        differences travel together.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 5.

    Examples
    --------
    >>> CG(maxiter=200).minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

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
        super().__init__("CG", self._gathered(locals()), max_evals_grouped, tol=tol, **kwargs)


class BFGS(SciPyOptimizer):
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno (BFGS).

    Parameters
    ----------
    maxiter : int, optional
        Maximum number of iterations; 200 times the number of variables by default.
    disp : bool, default False
        Print the result's message and counts at the end.
    gtol : float, default 1e-05
        Stop when the largest component of the gradient is at most this.
    tol : float, optional
        Tolerance for termination: stands for ``gtol`` where not given.
    eps : float, default 1.4901161193847656e-08
        Absolute step of the finite differences that stand in for a gradient that is not given.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    max_evals_grouped : int, default 1
        How many points one call of the objective takes: the value and the probes of finite
        differences travel together.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2nd ed. (2006), chapter 6.

    Examples
    --------
    >>> BFGS().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

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
        super().__init__("BFGS", self._gathered(locals()), max_evals_grouped, tol=tol, **kwargs)


class SLSQP(SciPyOptimizer):
    """Sequential least squares programming (SLSQP): bounds and general constraints.

    Parameters
    ----------
    maxiter : int, default 100
        Maximum number of iterations.
    disp : bool, default False
        Print the result's message and counts at the end.
    ftol : float, default 1e-06
        Precision goal for the value of f in the stopping criterion.
    tol : float, optional
        Tolerance for termination: stands for ``ftol`` where not given.
    eps : float, default 1.4901161193847656e-08
        Absolute step of the finite differences that stand in for a gradient that is not given.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    max_evals_grouped : int, default 1
        How many points one call of the objective takes: the value and the probes of finite
        differences travel together.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] D. Kraft, "A software package for sequential quadratic programming", DFVLR-FB
       88-28 (1988).

    Examples
    --------
    >>> SLSQP().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

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
        super().__init__("SLSQP", self._gathered(locals()), max_evals_grouped, tol=tol, **kwargs)


class TrustConstr(SciPyOptimizer):
    """A trust-region method for bounds and general constraints.

    Parameters
    ----------
    maxiter : int, default 1000
        Maximum number of iterations.
    disp : bool, default False
        Print the result's message and counts at the end.
    gtol : float, default 1e-08
        Precision goal for the norm of the Lagrangian's gradient.
    xtol : float, default 1e-08
        Stop when the trust region's radius is smaller.
    barrier_tol : float, default 1e-08
        Threshold on the barrier parameter, with inequality constraints.
    tol : float, optional
        Tolerance for termination: stands for ``gtol``, ``xtol`` and ``barrier_tol`` where not
        given.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    max_evals_grouped : int, default 1
        How many points one call of the objective takes: the value and the probes of finite
        differences travel together.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] Conn, Gould and Toint, "Trust-Region Methods" (2000), SIAM.

    Examples
    --------
    >>> TrustConstr().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

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
        super().__init__(
            "trust-constr", self._gathered(locals()), max_evals_grouped, tol=tol, **kwargs
        )


#: Qiskit's name for :class:`LBFGSB`.
L_BFGS_B = LBFGSB
