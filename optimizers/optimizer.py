"""Optimizer: the configuration of one algorithm, and the methods that run it on a problem."""

import copy
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import numpy as np
from typing_extensions import Unpack

from optimizers._types import ArrayLike, BoundsLike, ConstraintsLike, Objective
from optimizers.asktell.drivers import AskingEvaluator, driver_for, told
from optimizers.asktell.replay import Log, snapshot
from optimizers.asktell.stepper import Stepper
from optimizers.errors import CapabilityError, InvalidInputError, OptionError, warn_user
from optimizers.evaluation.arguments import with_arguments
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.marks import shots, with_loss
from optimizers.evaluation.static_helpers import StaticHelpers
from optimizers.gradients.source import GradientSource, Jacobian
from optimizers.many import ManyRuns
from optimizers.options.settings import IN_FLIGHT, RunSettings
from optimizers.problem.translated import shown
from optimizers.result import OptimizerResult
from optimizers.run.outcome import Outcome, outcome_of
from optimizers.run.parts import counts_in, resume
from optimizers.run.run import Run
from optimizers.support import SupportLevel

# Settings that say how points are evaluated.
_EVALUATING = ("workers", "eval_timeout", "retries", "hedge")


class Minimizer(Protocol):
    """Anything that minimizes: an :class:`Optimizer` or a bare function."""

    def __call__(
        self, fun: Objective, x0: Any, jac: Jacobian = None, bounds: BoundsLike = None
    ) -> OptimizerResult:
        """Minimize ``fun`` from ``x0`` and return the result."""
        ...


class Optimizer(ManyRuns, StaticHelpers):
    """The configuration of one algorithm: its options and declared capabilities.

    It holds no state of a run: one object may serve many runs, in many threads. A subclass declares
    ``support_levels`` and overrides either :meth:`_solve`, and inherits everything else, or only
    :meth:`minimize`.

    Parameters
    ----------
    max_evals_grouped : int, optional
        How many points one call of the objective takes; see :meth:`set_max_evals_grouped`.
    **settings
        Settings of each run; see :class:`RunSettings`.

    Raises
    ------
    UnknownOptionError
        If a setting is not known; the message names the nearest one.
    OptionError
        If a setting has a value that cannot be used.
    """

    # How it runs.

    def minimize(
        self,
        fun: Objective,
        x0: ArrayLike,
        jac: Jacobian = None,
        bounds: BoundsLike = None,
        *,
        constraints: ConstraintsLike = (),
        hess: Any = None,
        hessp: Callable[..., Any] | None = None,
        **settings: Unpack[RunSettings],
    ) -> OptimizerResult:
        """Minimize a scalar function of one or more variables.

        Parameters
        ----------
        fun : callable
            The objective, ``fun(x) -> float`` with ``x`` of shape (n,); with ``jac=True``, ``fun(x)
            -> (float, gradient)``. It gets a copy of ``x`` that it may change. Without ``jac=True``
            it may return ``(value, standard_error)``, of one variable if marked by
            :func:`with_errors`; the value is minimized. If marked by :func:`residuals`, it returns
            a vector, and half the sum of squares is minimized.
        x0 : float, array_like of shape (n,), or structure
            The start; None for the best of the points ``known``. It is not changed. It may be an
            array of more dimensions, nested dicts, lists, tuples and dataclasses of numbers, arrays
            and :class:`Param`, or a pandas DataFrame with the columns value, lower and upper: all
            functions, bounds and results then use that structure too.
        jac : callable, {"2-point", "3-point", "cs"}, GradientSource, True or None, default None
            The gradient, ``jac(x) -> (n,)``; a difference scheme by its name, or a source such as
            :class:`Differences` or :class:`ParameterShift`; or True when ``fun`` returns both. None
            means the algorithm's default: forward differences, for :class:`TNC` central ones. For
            residuals it is the Jacobian, ``jac(x) -> (m, n)``, which may be sparse.
        bounds : sequence of (low, high), array_like of shape (n, 2), Bounds or None
            Bounds on the variables; None or an infinity for no bound on that side. For a structure,
            pairs in the same structure, or a dict of names such as "a.b[2]".
        constraints : dict, LinearConstraint, NonlinearConstraint, or a sequence of them
            As in :func:`scipy.optimize.minimize`.
        hess : callable, scheme name or HessianUpdateStrategy, optional
            The Hessian, ``hess(x) -> (n, n)``; for residuals, J'J by default.
        hessp : callable, optional
            The Hessian times a vector, ``hessp(x, p) -> (n,)``.
        **settings
            Settings of this run; see :class:`RunSettings`. They take precedence over the
            constructor's.

        Returns
        -------
        OptimizerResult
            The point where the algorithm ended, or the best point if it was stopped.

        Raises
        ------
        InvalidInputError, CapabilityError, OptionError, UnknownOptionError
            Before the first evaluation, if an argument cannot be used.
        EvaluationError
            If ``fun`` or ``jac`` returns something that cannot be used (see ``on_failure``).
        BaseException
            Whatever ``fun``, ``jac`` or a callback raises, including Ctrl-C; its attribute
            ``optimizer_result`` holds the result so far.
        """
        __tracebackhide__ = True
        given = dict(settings)
        x0 = self._start_of(x0, given, bounds)
        further = {"constraints": constraints, "hess": hess, "hessp": hessp}
        further["maximize"] = self._maximizes(given)
        problem, spent = self._scaled(given, (fun, x0, jac, bounds), further)
        prepared = self._prepared(problem, given)
        if spent is not None:
            resume(prepared.run, problem.x0, None, counts_in(spent))
        parameters = problem.parameters
        return prepared.execute() if parameters is None else shown(parameters, prepared.execute)

    def stepper(
        self,
        x0: ArrayLike,
        jac: Literal["2-point", "3-point", "cs", True] | GradientSource | None = None,
        bounds: BoundsLike = None,
        *,
        constraints: ConstraintsLike = (),
        hess: Any = None,
        hessp: Callable[..., Any] | None = None,
        residuals: bool = False,
        loss: str | Callable[..., Any] = "linear",
        f_scale: float = 1.0,
        **settings: Any,
    ) -> Stepper:
        """Return a run that waits until it is told the answers to its questions.

        Parameters
        ----------
        x0, bounds, constraints, hess, hessp
            As in :meth:`minimize`. Functions among them are called during ``tell``, in another
            thread.
        jac : {"2-point", "3-point", "cs"}, GradientSource, True or None
            True if the caller tells gradients. Otherwise the stepper asks for the probes of a
            gradient source, if the algorithm uses a gradient.
        residuals : bool, default False
            Whether the caller tells residuals; implied by an algorithm that requires them.
        loss, f_scale
            The loss of the residuals; see :func:`residuals`.
        **settings
            As in :meth:`minimize`, except those that say how points are evaluated, which is up to
            the caller.

        Returns
        -------
        Stepper
            The run, at its start. It asks for the points that :meth:`minimize` would evaluate.

        Raises
        ------
        InvalidInputError, CapabilityError, OptionError, UnknownOptionError
            If an argument cannot be used.

        Examples
        --------
        >>> from optimizers import TNC, TellData
        >>> stepper = TNC().stepper([3.0], jac=True)
        >>> for ask in stepper:
        ...     stepper.tell(ask, TellData(ask.x_fun[0] ** 2, 2 * ask.x_jac[0]))
        >>> stepper.result().success
        True
        """
        derivative = self._gradient(jac)
        if callable(derivative):
            raise InvalidInputError(
                f"jac is {derivative!r}, expected True or a gradient source: the caller of a "
                "stepper evaluates gradients. Pass jac=True to tell them."
            )
        if derivative is True and isinstance(hess, str) and hess == "cs":
            raise CapabilityError(
                "hess='cs' needs the gradient at complex points, but the caller of a stepper "
                "tells gradients at real points: pass another hess."
            )
        for name in _EVALUATING:
            if settings.get(name):
                raise OptionError(
                    f"{name} was given, but the caller of a stepper evaluates its points."
                )
        fun: Objective = told
        if residuals or self._level("residuals") == SupportLevel.required:
            fun = with_loss(told, Loss(loss, f_scale))
        elif loss != "linear":
            raise InvalidInputError(
                f"loss is {loss!r}, which applies to residuals: add residuals=True."
            )
        x0 = self._start_of(x0, settings, bounds)
        effective, log = self._effective_settings(settings), None
        if effective.get("shots") is not None and fun is told and derivative is not True:
            fun = shots(told)  # the caller can always heed them
        further = {"constraints": constraints, "hess": hess, "hessp": hessp}
        further.update(scale=effective.get("scale"), maximize=self._maximizes(settings))
        problem = self._problem(fun, x0, derivative, bounds, **further)
        evaluator = AskingEvaluator(problem.loss, problem.sign)
        if effective.get("journal") is None:
            # A repeated run has to draw the same random numbers, and has its own start and bounds.
            seed = effective.get("seed")
            settings["seed"] = np.random.SeedSequence().entropy if seed is None else seed
            start = problem.x0 if problem.has_start else None
            given: dict[str, Any] = {"x0": start, "jac": derivative}
            given["bounds"] = problem.bounds
            if problem.parameters is not None:
                given.update(copy.deepcopy({"x0": x0, "bounds": bounds}))
            given.update(settings, constraints=constraints, hess=hess, hessp=hessp)
            given.update(residuals=residuals, loss=loss, f_scale=f_scale)
            given["seed"] = copy.deepcopy(settings["seed"])
            log = Log(Optimizer.stepper, snapshot(self), given)
        prepared = self._prepared(problem, settings, evaluator)
        return Stepper(prepared.run, driver_for(prepared, evaluator), log)

    async def minimize_async(
        self,
        fun: Callable[..., Awaitable[Any]],
        x0: ArrayLike,
        jac: Jacobian = None,
        bounds: BoundsLike = None,
        *,
        in_flight: int | None = None,
        **settings: Any,
    ) -> OptimizerResult:
        """Minimize an objective that is a coroutine function.

        The algorithm runs in its own thread; any number of runs may be active.

        Parameters
        ----------
        fun : coroutine function
            ``await fun(x) -> float``. The points of a wave are awaited together.
        x0, bounds
            As in :meth:`minimize`.
        jac : coroutine function, scheme name, True or None
            As in :meth:`minimize`, but awaited.
        in_flight : int, optional
            How many evaluations may be in flight at the same time; all of a wave by default.
        **settings
            As in :meth:`minimize`, except ``workers``. A callback is called in that thread.

        Returns
        -------
        OptimizerResult
            As in :meth:`minimize`.

        Raises
        ------
        asyncio.CancelledError
            If the awaiting task is canceled: the evaluations in flight are canceled too, and the
            error's attribute ``optimizer_result`` holds the result so far. The task has this
            attribute as well, in case the error is lost, as in ``gather(...,
            return_exceptions=True)`` and in a TaskGroup. Ctrl-C cancels the task that
            ``asyncio.run`` runs: catch the error there, or the KeyboardInterrupt that
            ``asyncio.run`` turns it into, whose ``__context__`` it is. ``on_interrupt="return"``
            has no effect: a canceled task has to raise this error.
        BaseException
            As in :meth:`minimize`.

        Examples
        --------
        >>> import asyncio
        >>> from optimizers import LBFGSB
        >>> async def fun(x):
        ...     await asyncio.sleep(0)  # for instance, wait for a quantum job
        ...     return (x[0] - 1) ** 2
        >>> asyncio.run(LBFGSB().minimize_async(fun, [3.0])).x.round(4)
        array([1.])
        """
        import asyncio  # here, since it takes 15 ms and most programs have no event loop

        from optimizers.evaluation.coroutines import CoroutineExecutor, awaited

        IN_FLIGHT.checked(in_flight)
        if settings.pop("workers", None) is not None or self._run_settings.get("workers"):
            raise OptionError(
                "minimize_async awaits fun on the event loop and does not use workers: pass "
                "in_flight to limit how many evaluations are in flight."
            )
        if {**self._run_settings, **settings}.get("on_interrupt") == "return":
            warn_user(
                "on_interrupt='return' has no effect in minimize_async: Ctrl-C cancels the task, "
                "and the attribute optimizer_result of the asyncio.CancelledError has the result."
            )
        executor = CoroutineExecutor(asyncio.get_running_loop(), in_flight)
        call = functools.partial(self.minimize, fun, x0, jac, bounds, workers=executor, **settings)
        return await awaited(call, executor)

    def __call__(
        self,
        fun: Objective,
        x0: ArrayLike,
        jac: Jacobian = None,
        bounds: BoundsLike = None,
        *,
        args: Any = (),
        hess: Any = None,
        hessp: Callable[..., Any] | None = None,
        **settings: Any,
    ) -> OptimizerResult:
        """Minimize; the same as :meth:`minimize`, so that an object is a function that minimizes.

        It can serve as the method of :func:`scipy.optimize.minimize`, and accepts what that passes
        on: ``args``, further arguments of all functions (anything but a tuple is a single
        argument), and ``options`` and ``tol``, which apply to this run. As there, the result has
        the entry ``jac`` only if a gradient is known.
        """
        fun, jac, hess, hessp = with_arguments((fun, jac, hess, hessp), args)
        options = {name: settings.pop(name) for name in list(settings) if self._is_option(name)}
        tol, optimizer = settings.pop("tol", None), self
        if tol is not None:
            optimizer = self._with_tolerance(tol, options)
        if options:
            optimizer = optimizer._changed(options)
        second = {"hess": hess, "hessp": hessp}
        settings.update((name, value) for name, value in second.items() if value is not None)
        result = optimizer.minimize(fun, x0, jac, bounds, **settings)
        if result.jac is None:
            result.pop("jac", None)  # SciPy's results have the entry only with a gradient in it
        return result

    def _solve(self, run: Run) -> Outcome:
        """Run the algorithm: ask ``run`` for values and gradients, and say how it ended."""
        if type(self).minimize is Optimizer.minimize:
            raise TypeError(f"{type(self).__name__} overrides neither _solve nor minimize.")
        # A subclass that overrides only minimize is driven from outside: it calls the run's
        # functions.
        problem = run.problem
        jac = None if problem.derivatives.is_default else lambda x: run.value_and_gradient(x)[1]
        raw = self.minimize(run.value, problem.x0.copy(), jac, problem.bounds)
        return outcome_of(raw, problem.n)
