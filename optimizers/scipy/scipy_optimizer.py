"""SciPyOptimizer: any method of :func:`scipy.optimize.minimize` as an Optimizer."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from typing_extensions import Unpack, override

from optimizers._types import ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.errors import (
    CapabilityError,
    InvalidInputError,
    MisplacedBoundsError,
    UnknownOptionError,
    nearest_names,
    warn_user,
)
from optimizers.evaluation.arguments import with_arguments
from optimizers.gradients.source import GradientSource, Jacobian
from optimizers.gradients.sparse import sparse_source
from optimizers.optimizer import Optimizer
from optimizers.options.configured import as_options, check_agreement, own, same
from optimizers.options.settings import (
    GROUPED,
    JAC,
    OPTIONS,
    RUN_SETTINGS,
    CommonSettings,
    RunSettings,
)
from optimizers.options.table import complete, constructor_defaults
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.endings import all_fixed, tell_as_scipy
from optimizers.scipy.method import Method, Solver
from optimizers.scipy.methods import CUSTOM, METHODS
from optimizers.scipy.options import PROBLEM, TOL, differences_for, tolerance


class BudgetedSettings(CommonSettings, total=False):
    """The settings in the constructor of a SciPy method that has the option ``maxfun``."""

    args: tuple[Any, ...]
    constraints: ConstraintsLike
    hess: Any
    hessp: Callable[..., Any] | None
    jac: Jacobian


class SciPySettings(BudgetedSettings, RunSettings, total=False):
    """The settings in the constructors of the other SciPy methods."""


class AnySettings(SciPySettings, total=False):
    """The settings of :class:`SciPyOptimizer`."""

    tol: float | None


complete(BudgetedSettings, [("Parameters", [*PROBLEM, JAC])])
complete(AnySettings, [("Parameters", [TOL])])

#: SciPy's names of its methods, by their lower-case forms.
_NAMES: dict[str, str] = {}
_PROBLEM_SETTINGS = tuple(option.name for option in PROBLEM)


class SciPyOptimizer(Optimizer):
    """Any method of :func:`scipy.optimize.minimize`, by name or as a callable.

    Parameters
    ----------
    method : str or callable
        The name of a method, or a callable with the signature that SciPy documents for custom
        minimizers.
    options : dict, optional
        The method's options. The dict is not changed or kept.
    max_evals_grouped : int, default 1
        How many points one call of the objective takes.
    **kwargs
        Settings of each run and further arguments of :func:`scipy.optimize.minimize`; see
        :class:`AnySettings`.

    Raises
    ------
    InvalidInputError, UnknownOptionError
        If there is no such method or option: the message names the nearest one.
    OptionError, MisplacedBoundsError
        If an option is given twice with different values, or bounds, which belong to ``minimize``.

    Examples
    --------
    >>> optimizer = SciPyOptimizer("BFGS", options={"gtol": 1e-8})
    >>> optimizer.minimize(lambda x: (x - 3.0) @ (x - 3.0), [0.0, 0.0]).x.round(6)
    array([3., 3.])
    """

    #: The method of a class for a single method; it declares options and levels.
    _method_name: ClassVar[str] = ""

    def __init__(
        self,
        method: str | Callable[..., Any],
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[AnySettings],
    ) -> None:
        self._use(method)
        name = self._title
        given: dict[str, Any] = dict(kwargs)
        options = as_options(name, options)
        self._check_bounds({**given, **options})
        # The method's own options may be given as keywords too.
        named = set(self._info.known) - {*RUN_SETTINGS, "tol"}
        if self._info.has_own_scale and not isinstance(given.get("scale"), str):
            named.add("scale")
        for option in [key for key in given if key in named]:
            check_agreement(name, option, given[option], options.get(option, given[option]))
            options[option] = given.pop(option)
        if "maxfun" in given and "maxfun" in options:
            check_agreement(name, "maxfun", given["maxfun"], options["maxfun"])
        if "maxfun" in options and self._is_setting("maxfun"):
            given["maxfun"] = options.pop("maxfun")
        self._tol = given.pop("tol", None) if self._info.tol else None
        TOL.checked(self._tol)
        self._problem_settings = {key: given.pop(key) for key in _PROBLEM_SETTINGS if key in given}
        for key in given:
            if key not in (*RUN_SETTINGS, JAC.name):
                known = {*RUN_SETTINGS, JAC.name, *_PROBLEM_SETTINGS, *self._info.known}
                known.update(("tol",) if self._info.tol else ())
                raise UnknownOptionError(
                    f"{name} has no argument {key!r}. {nearest_names(key, known)}"
                )
        super().__init__(max_evals_grouped, **given)
        self.set_options(**options)

    @property
    @override
    def _title(self) -> str:
        is_named = isinstance(self._method, str) and not self._method_name
        return _NAMES[str(self._method)] if is_named else super()._title

    def _check_bounds(self, given: dict[str, Any]) -> None:
        if "bounds" in given:
            raise MisplacedBoundsError(
                f"{self._title} was given bounds as an option: they belong to the problem. Pass "
                "them to minimize(fun, x0, bounds=...). (As method= of scipy.optimize.minimize, "
                f"give an object, {type(self).__name__}(...), not its class.)"
            )

    def _use(self, method: str | Callable[..., Any]) -> None:
        """Look up the declarations of the method."""
        self._method, self._info = _found(method)
        if not self._method_name:
            self._info = self._info.as_scipys
            self._declared = tuple(self._info.known.values())
            self.support_levels = self._info.levels
            self._callback_form = self._info.callback_form

    def __getstate__(self) -> dict[str, Any]:
        """Return the object's own state: the declarations of its method are looked up again."""
        declared = ("_info", "_declared", "support_levels", "_callback_form")
        return {name: value for name, value in vars(self).items() if name not in declared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of another object of this class."""
        vars(self).update(state)
        self._use(self._method)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_method_name" in vars(cls):
            info = METHODS[cls._method_name.lower()]
            _NAMES[cls._method_name.lower()] = cls._method_name
            further = {option.name: option for option in vars(cls).get("_declared", ())}
            cls._declared = tuple({**info.known, **further}.values())
            tol = (tolerance(info.tol),) if info.tol else ()
            cls._arguments = (OPTIONS, *tol, *PROBLEM, GROUPED, JAC)
            cls.support_levels, cls._callback_form = info.levels, info.callback_form
        super().__init_subclass__(**kwargs)

    def _set_up(self, arguments: dict[str, Any]) -> None:
        """Initialize a class for one method from the ``locals()`` of its constructor."""
        others = {
            key: arguments.pop(key) for key in ("max_evals_grouped", "tol") if key in arguments
        }
        options = self._gathered(arguments)
        SciPyOptimizer.__init__(self, self._method_name, options, **others, **arguments["kwargs"])

    @classmethod
    def _named_parameters(cls) -> dict[str, Any]:
        """Return the options that the constructor names, with their defaults."""
        others = ("method", "options", "max_evals_grouped", "tol")
        named = constructor_defaults(cls)
        return {name: default for name, default in named.items() if name not in others}

    @property
    def needs_matrix(self) -> bool:
        """Whether the method needs the Hessian itself, not only its product with a vector."""
        return self._info.callable_hessian

    @property
    @override
    def settings(self) -> dict[str, Any]:
        named = [name for name in self._named_parameters() if name in self._options]
        options = own(self._options)
        settings = {name: options.pop(name) for name in named}
        settings["max_evals_grouped"] = self._max_evals_grouped
        settings["options"] = options
        if self._tol is not None:
            settings["tol"] = self._tol
        settings.update({k: copy.copy(value) for k, value in self._problem_settings.items()})
        settings.update(self._run_settings)
        if type(self) is SciPyOptimizer:
            settings["method"] = self._method
        return settings

    @override
    def _is_option(self, name: str) -> bool:
        others = (*RUN_SETTINGS, "constraints")
        is_any = self._info.takes_any and name not in others
        own = {"tol": bool(self._info.tol), "scale": self._info.has_own_scale}
        return own.get(name, False) or is_any or super()._is_option(name)

    @override
    def _changed(self, options: dict[str, Any]) -> Self:
        tol = options.pop("tol", self._tol)
        changed = super()._changed(options)
        TOL.checked(tol)
        changed._tol = tol
        return changed

    @override
    def set_options(self, **kwargs: Any) -> None:
        self._check_bounds(kwargs)
        super().set_options(**kwargs)

    @override
    def _is_setting(self, name: str) -> bool:
        if name == "maxfun":  # which is in each method's options, for Qiskit's constructors
            return not self._info.has_own_maxfun
        is_own = name == "scale" and self._info.has_own_scale
        return not is_own and super()._is_setting(name)

    @override
    def _check_known(self, options: Mapping[str, Any]) -> None:
        if not self._info.takes_any:
            super()._check_known(options)

    @override
    def _problem(
        self, fun: Objective, x0: ArrayLike, jac: Jacobian, bounds: BoundsLike, **further: Any
    ) -> Problem:
        # An empty tuple means no constraints.
        given = {k: v for k, v in further.items() if not isinstance(v, tuple | None) or v}
        kept = {**self._problem_settings, **given}
        jac = self._gradient(jac)
        args, hess, hessp = kept.pop("args", ()), kept.get("hess"), kept.get("hessp")
        is_given = hess is not None or hessp is not None
        if self._info.callable_hessian and is_given and not callable(hess):
            found = "hessp alone" if hess is None else repr(hess)
            raise CapabilityError(
                f"{self._title} requires hess as a function hess(x) -> (n, n), "
                f"and was given {found}."
            )
        fun, jac, kept["hess"], kept["hessp"] = with_arguments((fun, jac, hess, hessp), args)
        problem = super()._problem(fun, x0, jac, bounds, **kept)
        self._info.check_box(self._title, problem)
        return problem

    @override
    def _check_sizes(self, n: int) -> None:
        super()._check_sizes(n)
        self._info.check_order(self._options)

    @override
    def _needs_thread(self) -> bool:
        # Closing such a run from another thread that holds the lock would block forever.
        return self._info.lock is not None and self._info.lock.found is not None

    @override
    def _alone(self) -> str | None:
        lock = self._info.lock
        return str(self._method) if lock is not None and lock.is_exclusive else None

    @override
    def _matrices(self, problem: Problem) -> float:
        is_default = problem.hess is None and problem.hessp is None
        return self._info.matrices + (self._info.default_hessian is not None and is_default)

    @override
    def _finished(self, run: Run, result: OptimizerResult) -> None:
        if not self._method_name:
            tell_as_scipy(self._info, run, result)
        self._solver(run.problem).report(run, result)
        super()._finished(run, result)
        category, is_told = self._info.warns, self._options.get("disp")
        has_failed = not (result.success or result.stop is StopReason.CALLBACK)
        if category is not None and is_told and has_failed:
            warn_user(result.message, category)

    def _limits(self, maxfun: int | None) -> dict[str, int]:
        """Return the effective limits: defaults do not override given ones."""
        names, defaults = ("maxiter", *self._info.budget), constructor_defaults(type(self))
        limits = {name: self._options.get(name) for name in names}
        given = {
            name: limit
            for name, limit in limits.items()
            if limit != defaults.get(name) and limit != math.inf
        }
        if maxfun is not None:
            given["maxfun"] = maxfun
        limits = limits if all(limit is None for limit in given.values()) else given
        return {name: limit for name, limit in limits.items() if limit not in (None, math.inf)}

    @override
    def _budget(self, maxfun: int | None) -> int | None:
        limits = self._limits(maxfun)
        own = (limits[name] for name in self._info.budget if name in limits)
        return min((max(1, limit) for limit in own), default=None)

    @override
    def _iteration_limit(self, maxfun: int | None) -> int | None:
        return self._limits(maxfun).get("maxiter") if self._info.counted_by_run else None

    @override
    def _feasibility(self, problem: Problem) -> float:
        name, options = self._info.feasibility, self._options_for(problem)
        tol = self._tol if name in self._info.tol else None
        default = self._info.known.get(name, TOL).default if tol is None else tol
        # Twice as much, as COBYLA had before SciPy 1.16.
        return max(super()._feasibility(problem), 2 * (options.get(name, default) or 0.0))

    @override
    def _differences(self, problem: Problem) -> GradientSource:
        names = ("eps", "finite_diff_rel_step", "diff_step", "jac_sparsity")
        step, *relative, sparsity = (self._options.get(name) for name in names)
        first = next((given for given in relative if given is not None), None)
        source = differences_for(problem.derivatives, step, first)
        return source if sparsity is None else sparse_source(source, sparsity)

    @override
    def _has_user_steps(self, problem: Problem) -> bool:
        defaults = self._named_parameters()
        return super()._has_user_steps(problem) or any(
            self._options.get(name) is not None
            and not same(self._options[name], defaults.get(name))
            for name in self._info.differences
        )

    def _options_for(self, problem: Problem) -> dict[str, Any]:
        """Return the effective options: a default does not override a given ``tol``."""
        if self._tol is None:
            return dict(self._options)
        defaults = self._named_parameters()
        hiding = {
            name
            for name in self._info.tol
            if name in defaults and self._options.get(name) == defaults[name]
        }
        return {k: v for k, v in self._options.items() if k not in hiding}

    def _solver(self, problem: Problem) -> Solver:
        return self._info.solver(self._info, self._method, self._options_for(problem), self._tol)

    @override
    def _solve(self, run: Run) -> Outcome:
        if run.problem.is_fixed:
            return all_fixed(run.problem)
        solver, limits = self._solver(run.problem), self._limits(run.budget.maxfun)
        return solver.within(limits).solve(run)


def _found(method: str | Callable[..., Any]) -> tuple[str | Callable[..., Any], Method]:
    """Return a method, or its name in lower case, and its properties."""
    if not (isinstance(method, str) or callable(method)):
        raise InvalidInputError(
            f"method is {method!r}, expected the name of a SciPy method, or a callable."
        )
    if not isinstance(method, str):
        return method, CUSTOM
    lowered = method.lower()
    if lowered not in METHODS:
        letters = lowered.replace("-", "").replace("_", "")
        alike = (name for name in METHODS if name.replace("-", "").startswith(letters))
        meant = next(alike, lowered) if letters else lowered
        raise InvalidInputError(f"SciPy has no method {method!r}. {nearest_names(meant, METHODS)}")
    return lowered, METHODS[lowered]
