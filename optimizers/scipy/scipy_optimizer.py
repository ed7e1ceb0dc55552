"""SciPyOptimizer: any method of :func:`scipy.optimize.minimize` as an Optimizer."""

import copy
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import scipy.optimize
from typing_extensions import Unpack, override

from optimizers._types import Array, ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.asktell.exclusive import check_free
from optimizers.errors import (
    CapabilityError,
    InvalidInputError,
    MisplacedBoundsError,
    OptionError,
    UnknownOptionError,
    nearest_names,
)
from optimizers.evaluation.evaluator import Evaluator
from optimizers.gradients.source import GradientSource, Jacobian
from optimizers.optimizer import Optimizer
from optimizers.options.configured import same
from optimizers.options.settings import (
    RUN_SETTINGS,
    CommonSettings,
    RunSettings,
    as_options,
    check_option,
    check_run_settings,
)
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.free_variables import FreeVariables
from optimizers.scipy.functions import differences_for
from optimizers.scipy.lbfgsb.solver import LbfgsbOptions, solve_lbfgsb
from optimizers.scipy.lbfgsb.solver import report_end as report_lbfgsb
from optimizers.scipy.locks import holds_lock, is_exclusive, unlocked
from optimizers.scipy.methods import CUSTOM, METHODS
from optimizers.scipy.tnc.solver import report_end as report_tnc
from optimizers.scipy.tnc.solver import solve_tnc, tnc_messages
from optimizers.support import SupportLevel, SupportLevels


class BudgetedSettings(CommonSettings, total=False):
    """What the constructor of a SciPy method that has ``maxfun`` takes besides its options.

    Parameters
    ----------
    args : tuple
        Further arguments of ``fun``, ``jac``, ``hess`` and ``hessp``.
    constraints, hess, hessp
        As in ``minimize``, for every run.
    """

    args: tuple[Any, ...]
    constraints: ConstraintsLike
    hess: Any
    hessp: Callable[..., Any] | None


class SciPySettings(BudgetedSettings, RunSettings, total=False):
    """What the other SciPy methods' constructors take besides their options."""


class AnySettings(SciPySettings, total=False):
    """What :class:`SciPyOptimizer` takes besides the options.

    Parameters
    ----------
    tol : float
        Tolerance for termination: stands for the method's own tolerances that are not given.
    """

    tol: float | None


_PROBLEM_SETTINGS = ("args", "constraints", "hess", "hessp")
# Entries of a SciPy result that the run knows better, or that `stop` and `message` tell.
_OWN_ENTRIES = (
    *("x", "fun", "jac", "nfev", "njev", "nhev", "nit", "success", "status", "message"),
    *("nrejected", "stop", "best", "elapsed", "maxcv"),
)


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
    InvalidInputError
        If SciPy has no such method.
    UnknownOptionError
        If the method has no option of a given name; the message names the nearest one.
    OptionError
        If an option is given twice with different values.
    MisplacedBoundsError
        If bounds are among the options or arguments: they belong to ``minimize``.

    Examples
    --------
    >>> optimizer = SciPyOptimizer("BFGS", options={"gtol": 1e-8})
    >>> optimizer.minimize(lambda x: (x - 3.0) @ (x - 3.0), [0.0, 0.0]).x.round(6)
    array([3., 3.])
    """

    def __init__(
        self,
        method: str | Callable[..., Any],
        options: dict[str, Any] | None = None,
        max_evals_grouped: int | None = 1,
        **kwargs: Unpack[AnySettings],
    ) -> None:
        name = type(self).__name__
        self._method = method.lower() if isinstance(method, str) else method
        if not (isinstance(method, str) or callable(method)):
            raise InvalidInputError(
                f"method is {method!r}, expected the name of a method of SciPy's, or a callable."
            )
        if isinstance(self._method, str) and self._method not in METHODS:
            letters = self._method.replace("-", "").replace("_", "")
            meant = "l-bfgs-b" if letters == "lbfgs" else self._method
            raise InvalidInputError(
                f"SciPy has no method {method!r}. {nearest_names(meant, METHODS)}"
            )
        self._info = METHODS[self._method] if isinstance(self._method, str) else CUSTOM
        given: dict[str, Any] = dict(kwargs)
        options = copy.deepcopy(as_options(name, options))
        for where in (given, options):
            if "bounds" in where:
                raise MisplacedBoundsError(
                    f"{name} was given bounds in its constructor: they belong to the problem. "
                    "Pass them to minimize(fun, x0, bounds=...)."
                )
        # Names of the method's own options may be written as keywords too.
        own = set(self._info.known) - {*RUN_SETTINGS, "tol"}
        for option in [key for key in given if key in own]:
            self._agree(name, option, given[option], options.get(option, given[option]))
            options[option] = given.pop(option)
        if "maxfun" in given and "maxfun" in options:
            self._agree(name, "maxfun", given["maxfun"], options["maxfun"])
        if "maxfun" in options and "maxfun" not in self._info.options:
            given["maxfun"] = options.pop("maxfun")
        self._tol = given.pop("tol", None)
        check_option("tol", self._tol)
        self._problem_settings = {key: given.pop(key) for key in _PROBLEM_SETTINGS if key in given}
        for key in given:
            if key not in RUN_SETTINGS:
                known = {*RUN_SETTINGS, *_PROBLEM_SETTINGS, "tol", *self._info.known}
                raise UnknownOptionError(
                    f"{name} has no argument {key!r}. {nearest_names(key, known)}"
                )
        super().__init__(max_evals_grouped, **given)
        self.set_options(**options)

    @staticmethod
    def _agree(name: str, option: str, first: Any, second: Any) -> None:
        if not same(first, second):
            raise OptionError(
                f"{name} was given {option} twice, as {first!r} and as {second!r}: give it once."
            )

    @classmethod
    def _named_parameters(cls) -> dict[str, Any]:
        """Return the options that the constructor names, with their defaults."""
        if cls is SciPyOptimizer:
            return {}
        parameters = inspect.signature(cls.__init__).parameters.values()
        return {
            p.name: p.default
            for p in parameters
            if p.kind is p.POSITIONAL_OR_KEYWORD
            and p.name not in ("self", "method", "options", "max_evals_grouped", "tol")
        }

    @classmethod
    def _gathered(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return all options of a constructor call: what is in ``options`` beats a default.

        Parameters
        ----------
        arguments : dict
            The constructor's arguments by name.

        Returns
        -------
        dict
            A new dict of options.
        """
        options = as_options(cls.__name__, arguments["options"])
        for name, default in cls._named_parameters().items():
            value = arguments[name]
            if name in options and not same(value, default):
                cls._agree(cls.__name__, name, value, options[name])
            options.setdefault(name, value)
        return options

    @override
    def get_support_level(self) -> SupportLevels:
        return {
            "gradient": self._info.gradient,
            "bounds": self._info.bounds,
            "initial_point": SupportLevel.required,
            "constraints": self._info.constraints,
            "hessian": self._info.hessian,
        }

    @property
    def needs_matrix(self) -> bool:
        """Whether the method needs the Hessian itself, and its product with a vector won't do."""
        return self._info.callable_hessian

    @property
    @override
    def settings(self) -> dict[str, Any]:
        named = [name for name in self._named_parameters() if name in self._options]
        settings = {name: copy.deepcopy(self._options[name]) for name in named}
        settings["max_evals_grouped"] = self._max_evals_grouped
        settings["options"] = {
            name: copy.deepcopy(value) for name, value in self._options.items() if name not in named
        }
        if self._tol is not None:
            settings["tol"] = self._tol
        settings.update({k: copy.copy(value) for k, value in self._problem_settings.items()})
        settings.update(self._run_settings)
        if type(self) is SciPyOptimizer:
            settings["method"] = self._method
        return settings

    @override
    def set_options(self, **kwargs: Any) -> None:
        if "bounds" in kwargs:
            raise MisplacedBoundsError(
                f"{type(self).__name__} was given bounds as an option: they belong to the "
                "problem. Pass them to minimize(fun, x0, bounds=...)."
            )
        settings = {k: v for k, v in kwargs.items() if k in RUN_SETTINGS}
        if "maxfun" in self._info.options:  # an option here
            settings.pop("maxfun", None)
        options = {k: v for k, v in kwargs.items() if k not in settings}
        check_run_settings(type(self).__name__, settings)
        if self._info is CUSTOM:
            self._options.update(copy.deepcopy(options))
        else:
            super().set_options(**options)
        self._run_settings.update(settings)

    @override
    def _known_options(self) -> tuple[str, ...]:
        return self._info.known

    @override
    def _problem(
        self,
        fun: Objective,
        x0: ArrayLike,
        jac: Jacobian,
        bounds: BoundsLike,
        constraints: ConstraintsLike,
        hess: Any,
        hessp: Callable[..., Any] | None,
    ) -> Problem:
        kept = self._problem_settings
        constraints = kept.get("constraints", ()) if constraints == () else constraints
        hess = kept.get("hess") if hess is None else hess
        hessp = kept.get("hessp") if hessp is None else hessp
        if self._info.callable_hessian and hess is not None and not callable(hess):
            raise CapabilityError(
                f"{type(self).__name__} requires hess as a function hess(x) -> (n, n), "
                f"and was given {hess!r}."
            )
        args = kept.get("args", ())
        if args:
            fun = self.wrap_function(fun, args)
            jac = self.wrap_function(jac, args) if callable(jac) else jac
            hess = self.wrap_function(hess, args) if callable(hess) else hess
            hessp = self.wrap_function(hessp, args) if callable(hessp) else hessp
        return super()._problem(fun, x0, jac, bounds, constraints, hess, hessp)

    @override
    def _start_run(
        self, problem: Problem, settings: dict[str, Any], evaluator: Evaluator | None = None
    ) -> Run:
        if "tol" in settings:
            name = type(self).__name__
            raise UnknownOptionError(f"tol belongs to the constructor of {name}: {name}(tol=...).")
        return super()._start_run(problem, settings, evaluator)

    @override
    def _needs_thread(self) -> bool:
        return holds_lock(self._method)

    @override
    def _alone(self) -> str | None:
        return str(self._method) if is_exclusive(self._method) else None

    @override
    def _finished(self, run: Run, result: OptimizerResult) -> None:
        if self._method == "l-bfgs-b":
            iprint = self._options.get("iprint")
            report_lbfgsb(run, result, -1 if iprint is None else int(iprint))
        if self._method == "tnc":
            report_tnc(result.message, tnc_messages(self._options.get("mesg_num")))
        super()._finished(run, result)

    @override
    def _budget(self, maxfun: int | None) -> int | None:
        own = {name: self._options.get(name) for name in self._info.budget}
        if maxfun is not None:
            own["maxfun"] = maxfun
        limits = own.values()
        return min((limit for limit in limits if limit is not None), default=None)

    @override
    def _iteration_limit(self) -> int | None:
        return self._options.get("maxiter") if self._info.counted_by_run else None

    @override
    def _differences(self, problem: Problem) -> GradientSource:
        step, relative = (self._options.get(name) for name in ("eps", "finite_diff_rel_step"))
        return differences_for(problem.jac, step, relative)

    @override
    def _has_user_steps(self, problem: Problem) -> bool:
        defaults = self._named_parameters()
        return super()._has_user_steps(problem) or any(
            self._options.get(name) is not None
            and not same(self._options[name], defaults.get(name))
            for name in self._info.differences
        )

    @override
    def _solve(self, run: Run) -> Outcome:
        if run.problem.is_fixed:
            message = "All variables are fixed by their bounds."
            return Outcome(run.problem.x0, True, 0, message, StopReason.FIXED)
        options = self._scipy_options(run)
        if self._method == "l-bfgs-b":
            return solve_lbfgsb(run, self._lbfgsb_options(run))
        if self._method == "tnc":
            if self._tol is not None:
                for name in self._info.tol:
                    options.setdefault(name, self._tol)
            messages = tnc_messages(options.pop("mesg_num", None))
            outcome = solve_tnc(run, options, messages)
            if outcome.stop is StopReason.MAXFUN:
                # Whoever gave maxfun must see that it was another limit.
                limit = self._options.get("maxiter")
                limit = max(100, 10 * run.problem.n) if limit is None else limit
                words = f"maxiter={limit}, which counts value and gradient as one"
                outcome = replace(outcome, message=f"{outcome.message} ({words})")
            return outcome
        return self._call_scipy(run, options)

    def _lbfgsb_options(self, run: Run) -> LbfgsbOptions:
        options = self._scipy_options(run)
        options.pop("maxfun", None)  # the run's budget
        if self._tol is not None:
            for name in self._info.tol:
                options.setdefault(name, self._tol)
        for name in ("ftol", "gtol"):
            if options.get(name) is not None and not options[name] >= 0:
                raise OptionError(f"{name} is {options[name]!r}, expected a number >= 0.")
        options.setdefault("restart", self._tol is None)
        options.setdefault("values_first", True)
        return LbfgsbOptions.checked(**options)

    def _call_scipy(self, run: Run, options: dict[str, Any]) -> Outcome:
        problem, info = run.problem, self._info
        # Value and gradient in one evaluation, where that costs no gradient more than the method
        # asks for, or where calls are fewer for it; and where a bad gradient must be known before
        # the value is accepted. A random gradient is asked for alike wherever it is evaluated.
        is_drawn = run.differences.is_random and not (problem.jac is True or callable(problem.jac))
        joint = info.gradient >= SupportLevel.supported and (
            ((info.joint or not run.calls_singly) and not callable(problem.jac))
            or run.rejects
            or is_drawn
        )
        gradient = (lambda x: run.value_and_gradient(x)[1]) if joint else run.gradient
        free = FreeVariables(problem, info.strips_fixed)
        if is_exclusive(self._method):
            check_free(str(self._method), run)
        value = (lambda x: run.value_and_gradient(x)[0]) if joint else run.value
        raw = scipy.optimize.minimize(
            free.function(unlocked(self._method, value)),
            free.x0,
            method=self._method,
            jac=gradient if info.gradient >= SupportLevel.supported else None,
            hess=self._hessian(run),
            hessp=None if problem.hessp is None else run.counted_hessian(problem.hessp),
            bounds=free.bounds,
            constraints=free.constraints,
            # Takes the second argument that some methods pass. An iterate is all that is needed.
            callback=lambda xk, state=None: self._iteration(run, free.whole(xk)),
            tol=self._tol,
            options=options,
        )
        raw.x = free.whole(raw.x)
        return self._ending(run, raw)

    def _iteration(self, run: Run, x: Array) -> None:
        known = run.lookup(x)
        if known is None and self._info.gradient == SupportLevel.ignored:
            # COBYLA before SciPy 1.16 reports a point of its model: the best one stands for it.
            known = run.best
        run.iteration(x if known is None else known.x, known)

    def _hessian(self, run: Run) -> Any:
        hess, hessp = run.problem.hess, run.problem.hessp
        if callable(hess):
            return run.counted_hessian(hess)
        if hess is None and hessp is None and self._info.default_hessian is not None:
            return self._info.default_hessian()
        return copy.deepcopy(hess)  # an update strategy keeps state: the run works on its own

    def _scipy_options(self, run: Run) -> dict[str, Any]:
        """Return the options for SciPy: without those that the run takes care of."""
        ours = {"disp", "maxfun", *self._info.differences}
        options = {k: v for k, v in self._options.items() if k not in ours}
        if self._tol is not None:
            # A default must not hide the tolerance that the user gave.
            defaults = self._named_parameters()
            for name in self._info.tol:
                if name in defaults and options.get(name) == defaults[name]:
                    del options[name]
        if "maxfun" in self._info.options and run.maxfun is not None:
            options["maxfun"] = run.maxfun
        if self._info.asks_twice and options.get("maxfev") is not None:
            options["maxfev"] = sys.maxsize  # the run's own count comes before
        if self._info.counted_by_run and options.get("maxiter") is not None:
            # Far enough not to come before the run's own count.
            options["maxiter"] = 3 * options["maxiter"] + run.problem.n + 2
        return {self._info.renamed.get(name, name): value for name, value in options.items()}

    def _ending(self, run: Run, raw: Any) -> Outcome:
        message, status = str(raw.message), int(raw.get("status", 0))
        success = bool(raw.success)
        words = (s for words, s in self._info.words.items() if words in message)
        stop = raw.get("stop") if self._info is CUSTOM else next(words, None)
        if not isinstance(stop, StopReason):
            default = StopReason.CONVERGED if success else StopReason.OTHER
            stop = self._info.stops.get(status, default)
        if self._info is CUSTOM:  # it may count its iterations without a callback
            run.nit = run.nit or int(raw.get("nit", 0))
        run.extra.update({k: v for k, v in raw.items() if k not in _OWN_ENTRIES})
        x = raw.x
        if self._info.gradient == SupportLevel.ignored and run.best is not None:
            # Where a search without gradients ends need not be the best point it found: COBYLA's
            # end before SciPy 1.16, and any that gave up. What is feasible, the method knows best.
            x = raw.x if success and run.problem.constraints else run.best.x
        return Outcome(x, success, status, message, stop)
