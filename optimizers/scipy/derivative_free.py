"""SciPy's methods that use no gradient."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from optimizers.scipy.scipy_optimizer import SciPyOptimizer, SciPySettings
from optimizers.support import Traits


class COBYLA(SciPyOptimizer):
    """Constrained optimization by linear approximation (COBYLA): no gradient.

    References
    ----------
    .. [1] M. J. D. Powell, "A direct search optimization method that models the objective and
       constraint functions by linear interpolation" (1994).

    Examples
    --------
    >>> COBYLA().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits("Constraints without gradients, a few variables.")

    _method_name = "COBYLA"

    def __init__(
        self,
        maxiter: int = 1000,
        disp: bool = False,
        rhobeg: float = 1.0,
        tol: float | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class COBYQA(SciPyOptimizer):
    """Constrained optimization by quadratic approximations (COBYQA): no gradient.

    References
    ----------
    .. [1] T. M. Ragonneau, "Model-based derivative-free optimization methods and software" (2022).

    Examples
    --------
    >>> COBYQA().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits(
        "Few evaluations without gradients, up to some tens of variables; constraints too."
    )

    _method_name = "COBYQA"

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
        self._set_up(locals())


class NELDER_MEAD(SciPyOptimizer):  # noqa: N801  # Qiskit's name
    """The simplex method of Nelder and Mead: no gradient.

    References
    ----------
    .. [1] Nelder and Mead, "A simplex method for function minimization", Comput. J. 7 (1965) 308.

    Examples
    --------
    >>> NELDER_MEAD().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits("A few variables and rough values; robust, not fast.")

    _method_name = "Nelder-Mead"

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
        self._set_up(locals())


class POWELL(SciPyOptimizer):
    """Powell's conjugate directions: line searches, no gradient.

    References
    ----------
    .. [1] M. J. D. Powell, "An efficient method for finding the minimum of a function of several
       variables without calculating derivatives", The Computer Journal 7 (1964) 155-162.

    Examples
    --------
    >>> POWELL().minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0.0, 0.0]).x.round(2)
    array([ 1., -2.])
    """

    traits = Traits("Values without gradients that are smooth along each direction; bounds too.")

    _method_name = "Powell"

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
        self._set_up(locals())
