"""NLopt: any method of the package ``nlopt`` as an Optimizer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import ArrayLike, BoundsLike, Objective
from optimizers.errors import CapabilityError, OptionError, UnknownOptionError, nearest_names
from optimizers.flow import FlowSettings
from optimizers.gradients.source import Jacobian
from optimizers.nlopt.methods import METHODS, Method, named
from optimizers.nlopt.solver import imported, solve
from optimizers.optimizer import Optimizer
from optimizers.options.configured import own
from optimizers.options.table import TOLERANCE, Check, Option, number, whole
from optimizers.problem.problem import Problem
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.support import Traits

#: The budget of a method that does not end by itself, if none is given.
_MAXFUN = 10_000
#: Options that only some methods have.
_SPECIAL = ("local", "population", "vector_storage", "initial_step")


def _test_method(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise OptionError(f"{name} is {value!r}, expected the name of a method of NLopt.")
    named(value)


_METHOD = Check("str", _test_method, lambda value: named(value).name)


class NLopt(Optimizer):
    """Any method for continuous variables of the package ``nlopt``, by its name there.

    It needs the extra ``nlopt``. The first letter of a name says whether the method is local or
    global, the second one whether it uses gradients (by differences, if none is given): ``LD_``,
    ``LN_``, ``GD_`` and ``GN_``. Capabilities are those of the method. Counts and budgets are this
    package's: ``maxfun`` is never exceeded, ``timeout`` and ``f_target`` end any method.

    Notes
    -----
    An iteration ends where a better point has been found. Global methods need finite bounds for
    each variable; they end by a budget, a target or a tolerance, and take at most 10,000 points if
    ``maxfun`` is not given. NLopt has random numbers for each thread; they are seeded by the run's.

    References
    ----------
    .. [1] S. G. Johnson, "The NLopt nonlinear-optimization package",
       https://nlopt.readthedocs.io/en/latest/NLopt_Algorithms/.

    Examples
    --------
    >>> def fun(x):
    ...     return (x[0] - 1) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2
    >>> NLopt("LD_LBFGS").minimize(fun, [-1.0, 1.0]).x.round(4)
    array([1., 1.])
    >>> inside = {"type": "ineq", "fun": lambda x: 0.5 - x[0]}
    >>> NLopt("LN_COBYLA").minimize(fun, [-1.0, 1.0], constraints=inside).x.round(3)
    array([0.5 , 0.25])
    """

    traits = Traits(
        "The package nlopt, local and global; what it supports depends on the method.",
        parallel=True,
        global_search=True,
        random=True,
    )
    support_levels = METHODS["LN_BOBYQA"].levels
    _tolerances = ("ftol_rel", "xtol_rel")

    _declared: tuple[Option, ...] = (
        Option("method", "LN_BOBYQA", _METHOD).means("The name of the method, in any case."),
        Option("ftol_rel", 1e-10, TOLERANCE).means(
            "The method converges when the value changes by less than this part of it."
        ),
        Option("ftol_abs", 1e-14, TOLERANCE).means("The same, for the change itself."),
        Option("xtol_rel", 1e-8, TOLERANCE).means(
            "The method converges when the variables change by less than this part of them."
        ),
        Option("xtol_abs", 1e-10, TOLERANCE).means("The same, for the change itself."),
        Option("stopval", None, number()).means(
            "The run ends, as a success, when this value is reached: the same as ``f_target``."
        ),
        Option("constraint_tol", 1e-8, TOLERANCE).means(
            "By how much a constraint may be violated."
        ),
        Option("local", None, _METHOD).means(
            "The method of the local searches of MLSL and AUGLAG, which uses gradients if the "
            'method does; by default ``"LD_LBFGS"`` or ``"LN_BOBYQA"``, and for AUGLAG_EQ '
            '``"LD_MMA"`` or ``"LN_COBYLA"``, which treat inequalities.'
        ),
        Option("population", None, whole(1)).means(
            "The number of points in the population of CRS2, ISRES and ESCH, or of the points "
            "that MLSL adds each time; NLopt's by default."
        ),
        Option("vector_storage", None, whole(1)).means(
            "How many gradients limited-memory methods keep; NLopt's default otherwise."
        ),
        Option("initial_step", None, number(0, ends="()")).means(
            "The first step of local methods without gradients; NLopt's by default."
        ),
    )

    def __init__(
        self,
        method: str = "LN_BOBYQA",
        ftol_rel: float = 1e-10,
        ftol_abs: float = 1e-14,
        xtol_rel: float = 1e-8,
        xtol_abs: float = 1e-10,
        stopval: float | None = None,
        constraint_tol: float = 1e-8,
        local: str | None = None,
        population: int | None = None,
        vector_storage: int | None = None,
        initial_step: float | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        given = self._gathered(locals())
        super().__init__(**settings)
        options = self._checked(given)
        self._check_options(options)
        self._options = own(options)
        self._declare()

    def _declare(self) -> None:
        """Declare what the method can do."""
        self.traits, self.support_levels = self._method.traits, self._method.levels

    @classmethod
    @override
    def _kinds(cls) -> dict[str, Self]:
        return {name: cls(name) for name in METHODS}

    @property
    def _method(self) -> Method:
        return METHODS[self._options["method"]]

    @property
    @override
    def _title(self) -> str:
        method = self.__dict__.get("_options", {}).get("method")
        return f"nlopt:{method}" if method else "NLopt"

    @override
    def set_options(self, **kwargs: Any) -> None:
        super().set_options(**kwargs)
        self._declare()

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        method, local = METHODS[options["method"]], options["local"]
        for name in _SPECIAL:
            if options[name] is not None and name not in method.options:
                hint = nearest_names(name, method.options)
                raise UnknownOptionError(f"{method.name} has no option {name!r}. {hint}")
        if local is not None and not METHODS[local].serves(method):
            able = ", ".join(name for name, row in METHODS.items() if row.serves(method))
            raise OptionError(f"local is {local!r}, expected a method for {method.name}: {able}.")

    @override
    def _problem(
        self, fun: Objective, x0: ArrayLike, jac: Jacobian, bounds: BoundsLike, **further: Any
    ) -> Problem:
        imported()  # if it is missing, that is an error before anything else
        problem = super()._problem(fun, x0, jac, bounds, **further)
        method, (low, high) = self._method, problem.box
        n = int(np.count_nonzero(low < high))
        if method.is_global and not np.isfinite((low, high)).all():
            raise CapabilityError(
                f"{self._title} needs bounds that are finite on both sides of each variable."
            )
        if not problem.is_fixed and not method.least <= n <= method.most:
            limit = f"at least {method.least}" if n < method.least else f"at most {method.most}"
            raise CapabilityError(
                f"{self._title} needs {limit} variables that are free, and the problem has {n}."
            )
        has_equalities = any(np.any(c.lower == c.upper) for c in problem.constraints)
        if method.constraints == "inequalities" and has_equalities:
            able = ", ".join(row.name for row in METHODS.values() if row.constraints == "all")
            raise CapabilityError(
                f"{self._title} has inequalities only, and a constraint is an equality. {able} "
                "have both."
            )
        return problem

    @override
    def _needs_thread(self) -> bool:
        return self.traits.random  # NLopt has random numbers for each thread

    @override
    def _budget(self, maxfun: int | None) -> int | None:
        return _MAXFUN if maxfun is None and self._method.is_global else maxfun

    @override
    def _feasibility(self, problem: Problem) -> float:
        return max(super()._feasibility(problem), 2 * float(self._options["constraint_tol"]))

    @override
    def _solve(self, run: Run) -> Outcome:
        return solve(run, self._method, self._options)
