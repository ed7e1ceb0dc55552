"""SciPy's global methods: they search a box beyond the nearest minimum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import Unpack

from optimizers._types import ArrayLike
from optimizers.scipy.scipy_optimizer import SciPyOptimizer, SciPySettings
from optimizers.support import Traits


class DifferentialEvolution(SciPyOptimizer):
    """Differential evolution: :func:`scipy.optimize.differential_evolution`.

    A generation is one wave; the local search at the end, ``polish``, asks for one point at a time.
    ``x0`` is one point of the first population; with ``x0=None`` all of them are drawn.

    References
    ----------
    .. [1] R. Storn and K. Price, "Differential evolution: a simple and efficient heuristic for
       global optimization over continuous spaces", Journal of Global Optimization 11 (1997)
       341-359.

    Examples
    --------
    >>> import numpy as np
    >>> def rastrigin(x):
    ...     return float(np.sum(10 + x**2 - 10 * np.cos(2 * np.pi * x)))
    >>> optimizer = DifferentialEvolution(seed=1)
    >>> result = optimizer.minimize(rastrigin, [3.0, 4.0], bounds=[(-5, 5)] * 2)
    >>> bool(abs(result.x).max() < 1e-6)
    True
    """

    traits = Traits(
        "Many minima, up to some ten variables: a population in one wave; constraints too.",
        parallel=True,
        global_search=True,
        random=True,
    )

    _method_name = "differential_evolution"

    def __init__(
        self,
        strategy: str | Callable[..., Any] = "best1bin",
        maxiter: int = 1000,
        popsize: int = 15,
        tol: float | None = None,
        mutation: float | tuple[float, float] = (0.5, 1),
        recombination: float = 0.7,
        polish: bool = True,
        init: str | ArrayLike = "latinhypercube",
        atol: float = 0.0,
        updating: str = "deferred",
        disp: bool = False,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class DualAnnealing(SciPyOptimizer):
    """Generalized simulated annealing with local searches: :func:`scipy.optimize.dual_annealing`.

    It asks for one point at a time. ``x0`` is where it begins; with ``x0=None`` that is drawn. An
    iteration, as callbacks see it, ends with a new lowest value.

    It has no test of convergence: a run that ends with its iterations is not a success, however
    good its end. Tell it by ``f_target`` what is good enough.

    References
    ----------
    .. [1] Y. Xiang, D. Y. Sun, W. Fan and X. G. Gong, "Generalized simulated annealing algorithm
       and its application to the Thomson model", Physics Letters A 233 (1997) 216-220.

    Examples
    --------
    >>> import numpy as np
    >>> def rastrigin(x):
    ...     return float(np.sum(10 + x**2 - 10 * np.cos(2 * np.pi * x)))
    >>> optimizer = DualAnnealing(maxiter=100, seed=1)
    >>> result = optimizer.minimize(rastrigin, [3.0, 4.0], bounds=[(-5, 5)] * 2)
    >>> bool(abs(result.x).max() < 1e-6)
    True
    """

    traits = Traits(
        "Many minima, also deep ones far apart; few evaluations for a global search.",
        global_search=True,
        random=True,
    )

    _method_name = "dual_annealing"

    def __init__(
        self,
        maxiter: int = 1000,
        initial_temp: float = 5230.0,
        restart_temp_ratio: float = 2e-5,
        visit: float = 2.62,
        accept: float = -5.0,
        no_local_search: bool = False,
        disp: bool = False,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class DIRECT(SciPyOptimizer):
    """Dividing rectangles: :func:`scipy.optimize.direct`, without random numbers.

    It begins in the middle of the box, and asks for one point at a time: pass ``x0=None``. Without
    a budget, it ends after about a thousand points for each variable.

    References
    ----------
    .. [1] D. R. Jones, C. D. Perttunen and B. E. Stuckman, "Lipschitzian optimization without the
       Lipschitz constant", Journal of Optimization Theory and Applications 79 (1993) 157-181.
    .. [2] J. M. Gablonsky and C. T. Kelley, "A locally-biased form of the DIRECT algorithm",
       Journal of Global Optimization 21 (2001) 27-37.

    Examples
    --------
    >>> def fun(x):
    ...     return (x[0] ** 2 - 1) ** 2 + 0.1 * x[0]
    >>> DIRECT().minimize(fun, None, bounds=[(-2, 2)]).x.round(2)
    array([-1.01])
    """

    traits = Traits(
        "Many minima, up to five variables; the same way each time, without a start.",
        global_search=True,
    )

    _method_name = "direct"

    def __init__(
        self,
        eps: float = 1e-4,
        maxiter: int = 1000,
        locally_biased: bool = True,
        vol_tol: float = 1e-16,
        len_tol: float = 1e-6,
        disp: bool = False,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())


class SHGO(SciPyOptimizer):
    """Simplicial homology global optimization: :func:`scipy.optimize.shgo`.

    The points of an iteration are one wave. Local searches from the best of them, by SLSQP, ask for
    one point at a time; the iterations that callbacks see are theirs. It needs no start: pass
    ``x0=None``. The result has all local minima, ``xl`` of shape (k, n), and their values ``funl``.

    References
    ----------
    .. [1] S. C. Endres, C. Sandrock and W. W. Focke, "A simplicial homology algorithm for Lipschitz
       optimisation", Journal of Global Optimization 72 (2018) 181-217.

    Examples
    --------
    >>> def fun(x):
    ...     return (x[0] ** 2 - 1) ** 2 + 0.1 * x[0]
    >>> result = SHGO(n=16, sampling_method="sobol").minimize(fun, None, bounds=[(-2, 2)])
    >>> result.x.round(2), result.xl.round(2).ravel()
    (array([-1.01]), array([-1.01,  0.99]))
    """

    traits = Traits(
        "All minima of a smooth function, up to some ten variables; constraints too.",
        parallel=True,
        global_search=True,
    )

    _method_name = "shgo"

    def __init__(
        self,
        n: int = 100,
        iters: int = 1,
        sampling_method: str = "simplicial",
        disp: bool = False,
        options: dict[str, Any] | None = None,
        **kwargs: Unpack[SciPySettings],
    ) -> None:
        self._set_up(locals())
