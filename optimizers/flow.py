"""What you need to write your own algorithm, besides the names in ``optimizers``.

A flow is an algorithm written as a generator that asks and is told. It reads like the textbook: it
does no input or output and never calls the objective. Its driver answers its questions, so that
runs, steppers, journals and lock-step can share it.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.flow import Flow, Products, Step, Told, drive
from optimizers.asktell.messages import AskData, TellData
from optimizers.errors import UnknownOptionError, nearest_names
from optimizers.gradients.plan import Plan
from optimizers.optimizer import Optimizer
from optimizers.options.configured import own
from optimizers.options.settings import GROUPED, JAC, RUN_SETTINGS, ConstructorSettings
from optimizers.options.table import Check, Option, anything, choice, complete, number, whole
from optimizers.problem.problem import Problem
from optimizers.result import SUCCESSES, StopReason
from optimizers.run.budget import StopRun
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.support import levels

__all__ = [
    "AskData",
    "Check",
    "ConfiguredOptimizer",
    "Evaluation",
    "Flow",
    "FlowOptimizer",
    "FlowSettings",
    "Option",
    "Outcome",
    "Plan",
    "Problem",
    "Products",
    "Run",
    "Step",
    "StopReason",
    "StopRun",
    "TellData",
    "Told",
    "anything",
    "check_range",
    "choice",
    "drive",
    "ended",
    "levels",
    "number",
    "whole",
]


def ended(
    x: Array, stop: StopReason, fun: float | None = None, jac: Array | None = None, words: str = ""
) -> Outcome:
    """Return the outcome of a flow.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point where it ended.
    stop : StopReason
        Why it ended: convergence is a success, reaching the limit of a budget is not.
    fun : float, optional
        The objective there; evaluated if not given.
    jac : ndarray of float64, shape (n,), optional
        The gradient there.
    words : str, optional
        The message, if the sentence of the stop reason does not say enough.
    """
    success = stop in SUCCESSES
    sentence = f"{stop.sentence[0].upper()}{stop.sentence[1:]}."
    known = None if fun is None else Evaluation(x, fun, jac)
    return Outcome(x, success, int(not success), words or sentence, stop, known)


class ConfiguredOptimizer(Optimizer):
    """An optimizer with options.

    A subclass overrides ``_solve``, has the attribute ``support_levels``, and passes its options to
    this constructor. They are then part of ``settings``, and attributes too. A subclass whose
    algorithm is a flow derives from :class:`FlowOptimizer` instead.

    Parameters
    ----------
    options : dict
        The algorithm's options, by their names in its constructor.
    **settings
        Settings of each run, and ``max_evals_grouped``.
    """

    def __init__(self, options: dict[str, Any], /, **settings: Unpack["FlowSettings"]) -> None:
        known = (*RUN_SETTINGS, GROUPED.name, JAC.name)
        for name in settings:
            if name not in known:
                nearest = nearest_names(name, (*options, *known))
                raise UnknownOptionError(f"{self._title} has no option {name!r}. {nearest}")
        super().__init__(**settings)
        if self._declared:
            self._check_known(options)
        options = self._checked(options)
        self._check_options(options)
        self._options = own(options)

    def __getattr__(self, name: str) -> Any:
        """Return an option, or raise an error if there is none of that name."""
        options = self.__dict__.get("_options", {})
        if name in options:
            return options[name]
        raise AttributeError(f"{type(self).__name__} has no attribute or option {name!r}.")

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        """Set an option, as Qiskit's users do: the same as :meth:`set_options`."""
        if name in self.__dict__.get("_options", {}):
            self.set_options(**{name: value})
        else:
            super().__setattr__(name, value)


class FlowOptimizer(ConfiguredOptimizer):
    """An optimizer whose algorithm is a flow.

    A subclass implements ``_flow``, has the attribute ``support_levels``, and passes its options to
    this constructor. Everything else, from ask and tell to journals, is inherited. Options are
    attributes too.

    Parameters
    ----------
    options : dict
        The algorithm's options, by their names in its constructor.
    **settings
        Settings of each run, and ``max_evals_grouped``.

    Examples
    --------
    >>> from optimizers import SupportLevel
    >>> class Descent(FlowOptimizer):
    ...     support_levels = dict.fromkeys(
    ...         ("gradient", "bounds", "initial_point"), SupportLevel.supported
    ...     )
    ...     def __init__(self, rate=0.1, **settings):
    ...         super().__init__({"rate": rate}, **settings)
    ...     def _flow(self, problem, run):
    ...         x = problem.x0
    ...         for _ in range(100):
    ...             told = yield AskData(x, x)
    ...             yield Step(x, told.fun, told.jac)
    ...             x = problem.clip(x - self.rate * told.jac)
    ...         return ended(x, StopReason.MAXITER)
    >>> Descent().minimize(lambda x: (x[0] - 1) ** 2, [3.0], bounds=[(2, None)]).x
    array([2.])
    """

    @abstractmethod
    def _flow(self, problem: Problem, run: Run) -> Flow:
        """Return the algorithm on a problem.

        Parameters
        ----------
        problem : Problem
            The problem. The points that a flow asks for are clipped to its bounds.
        run : Run
            Used for its random numbers, ``run.rng``, and its counts. A flow does not evaluate with
            it.
        """

    @override
    def _solve(self, run: Run) -> Outcome:
        problem = run.problem
        if problem.is_fixed:
            return ended(problem.x0, StopReason.FIXED, run.value(problem.x0))
        return drive(run, self._flow(problem, run))


class FlowSettings(ConstructorSettings, total=False):
    """:class:`ConstructorSettings`, and how points are grouped."""

    max_evals_grouped: int | None


complete(FlowSettings, [("Parameters", [GROUPED])])


def check_range(
    name: str, value: Any, low: float, high: float = np.inf, *, closed: bool = True
) -> None:
    """Raise an OptionError if an option is not a number in an interval.

    Parameters
    ----------
    name : str
        The option.
    value : object
        Its value.
    low, high : float
        The interval.
    closed : bool, default True
        Whether the interval includes its ends.

    Raises
    ------
    OptionError
        If the value is outside, or not a number.

    Examples
    --------
    >>> check_range("beta_1", 0.9, 0, 1)
    """
    number(low, high, "[]" if closed else "()")(name, value)
