"""SciPy's methods that use no gradient."""

from typing import Any

from typing_extensions import Unpack

from optimizers.scipy.scipy_optimizer import SciPyOptimizer, SciPySettings


class COBYLA(SciPyOptimizer):
    """Constrained optimization by linear approximation (COBYLA): no gradient.

    Parameters
    ----------
    maxiter : int, default 1000
        Maximum number of iterations, of one or two evaluations each.
    disp : bool, default False
        Print the result's message and counts at the end.
    rhobeg : float, default 1.0
        Reasonable initial changes to the variables.
    tol : float, optional
        Final accuracy of the variables; 1e-4 by default.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] M. J. D. Powell, "A direct search optimization method that models the objective and
       constraint functions by linear interpolation" (1994).

    Examples
    --------
    >>> COBYLA().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    def __init__(
        self,
        maxiter: int = 1000,
        disp: bool = False,
        rhobeg: float = 1.0,
        tol: float | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        super().__init__("COBYLA", self._gathered(locals()), tol=tol, **kwargs)


class COBYQA(SciPyOptimizer):
    """Constrained optimization by quadratic approximations (COBYQA): no gradient.

    Parameters
    ----------
    maxiter : int, optional
        Maximum number of iterations, of one evaluation each.
    maxfev : int, optional
        Maximum number of points at which the objective is evaluated: a hard limit; 500 times the
        number of variables by default.
    disp : bool, default False
        Print the result's message and counts at the end.
    initial_tr_radius : float, default 1.0
        Reasonable initial changes to the variables.
    final_tr_radius : float, default 1e-06
        Accuracy of the solution.
    tol : float, optional
        Tolerance for termination: stands for ``final_tr_radius`` where not given.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] T. M. Ragonneau, "Model-based derivative-free optimization methods and software", PhD
       thesis, The Hong Kong Polytechnic University (2022).

    Examples
    --------
    >>> COBYQA().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    def __init__(
        self,
        maxiter: int | None = None,
        maxfev: int | None = None,
        disp: bool = False,
        initial_tr_radius: float = 1.0,
        final_tr_radius: float = 1e-06,
        tol: float | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        super().__init__("COBYQA", self._gathered(locals()), tol=tol, **kwargs)


class NELDER_MEAD(SciPyOptimizer):  # noqa: N801  # Qiskit's name
    """The simplex method of Nelder and Mead: no gradient.

    Parameters
    ----------
    maxiter : int, optional
        Maximum number of iterations.
    maxfev : int, default 1000
        Maximum number of points at which the objective is evaluated: a hard limit.
    disp : bool, default False
        Print the result's message and counts at the end.
    xatol : float, default 0.0001
        Largest distance between the simplex' points that is acceptable for convergence.
    tol : float, optional
        Tolerance for termination: stands for ``xatol`` and ``fatol`` where not given.
    adaptive : bool, default False
        Adapt the parameters to the number of variables.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] J. A. Nelder and R. Mead, "A simplex method for function minimization", The Computer
       Journal 7 (1965) 308-313.

    Examples
    --------
    >>> NELDER_MEAD().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    def __init__(
        self,
        maxiter: int | None = None,
        maxfev: int | None = 1000,
        disp: bool = False,
        xatol: float = 0.0001,
        tol: float | None = None,
        adaptive: bool = False,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        super().__init__("Nelder-Mead", self._gathered(locals()), tol=tol, **kwargs)


class POWELL(SciPyOptimizer):
    """Powell's conjugate directions: line searches, no gradient.

    Parameters
    ----------
    maxiter : int, optional
        Maximum number of iterations.
    maxfev : int, default 1000
        Maximum number of points at which the objective is evaluated: a hard limit.
    disp : bool, default False
        Print the result's message and counts at the end.
    xtol : float, default 0.0001
        Relative error in the solution that is acceptable for convergence.
    tol : float, optional
        Tolerance for termination: stands for ``xtol`` and ``ftol`` where not given.
    options : dict, optional
        Further options, by name; they win over the defaults of the arguments above.
    **kwargs
        Settings of each run and further arguments; see :class:`SciPySettings`.

    References
    ----------
    .. [1] M. J. D. Powell, "An efficient method for finding the minimum of a function of several
       variables without calculating derivatives", The Computer Journal 7 (1964) 155-162.

    Examples
    --------
    >>> POWELL().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    def __init__(
        self,
        maxiter: int | None = None,
        maxfev: int | None = 1000,
        disp: bool = False,
        xtol: float = 0.0001,
        tol: float | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        super().__init__("Powell", self._gathered(locals()), tol=tol, **kwargs)
