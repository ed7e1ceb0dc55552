"""Flow: an algorithm as a generator that asks and is told, and what drives it on a run.

A flow reads like the textbook: it does no input or output and never calls the objective. Whoever
drives it answers its questions, so that runs, steppers, journals and lock-step share it.
"""

from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.errors import OptionError, UnknownOptionError, nearest_names
from optimizers.optimizer import Optimizer
from optimizers.options.configured import own
from optimizers.options.settings import RUN_SETTINGS, RunSettings, is_number
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.budget import StopRun
from optimizers.run.memory import Evaluation
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run


@dataclass(frozen=True, eq=False)
class Step:
    """The end of an iteration, for those who watch.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The iterate.
    fun : float, optional
        The objective there, if it was evaluated.
    jac : ndarray of float64, shape (n,), optional
        The gradient there, if it was.
    extra : dict
        Further entries of what callbacks see, such as ``stepsize``.
    """

    x: Array
    fun: float | None = None
    jac: Array | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Products:
    """A question for one call of the problem's ``hessp``; told is what it returns, as ``fun``.

    It is counted in ``nhev`` and recorded in journals. An algorithm that needs another function of
    two points, such as a fidelity, puts it in the place of ``hessp`` in its ``_problem``.

    Parameters
    ----------
    x, p : ndarray of float64 of one dimension
        The arguments.
    """

    x: Array
    p: Array


@dataclass(frozen=True, eq=False)
class Told:
    """The answer to a flow's question; its arrays are the flow's own.

    Parameters
    ----------
    fun : float, or ndarray of float64 of shape (k,)
        The value, or one for each of k points; what ``hessp`` returned.
    jac : ndarray of float64, shape (n,) or (k, n), or None
        The gradient, if that was asked for.
    known : ndarray of bool, shape (k,), or None
        Of a wave: which points were evaluated. The others were rejected; their values are
        stand-ins, worse than all others, or NaN where gradients were asked for.
    errors : ndarray of float64, shape (k,), or None
        Of a wave of values: their standard errors, as the objective told them; NaN elsewhere.
    """

    fun: Any
    jac: Any = None
    known: NDArray[np.bool_] | None = None
    errors: Array | None = None


#: What an algorithm is: it yields questions and the ends of iterations, and is sent the answers.
#: ``AskData(points)`` asks for values, shape (k, n) or (n,), in one wave; ``AskData(x, x)`` for
#: value and gradient at a point, or at each of several, with the gradients' probes in that wave.
#: ``Products(x, p)`` asks for a call of ``hessp``.
#: Where the run is stopped, a StopRun is raised at the yield: a flow that has a better estimate
#: than the best point evaluated catches it, and returns that.
Flow: TypeAlias = Generator[AskData | Products | Step, Told, Outcome]

#: Reasons for which an algorithm is done.
_SUCCESSES = (
    *(StopReason.GRADIENT, StopReason.FUN, StopReason.STEP),
    *(StopReason.CONVERGED, StopReason.TARGET, StopReason.FIXED),
)


def ended(
    x: Array, stop: StopReason, fun: float | None = None, jac: Array | None = None, words: str = ""
) -> Outcome:
    """Return the outcome of a flow.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        The point that it ends on.
    stop : StopReason
        Why: convergence is a success, a budget is none.
    fun : float, optional
        The objective there; it is evaluated if not given.
    jac : ndarray of float64, shape (n,), optional
        The gradient there.
    words : str, optional
        The message, if the reason's sentence does not say it all.
    """
    success = stop in _SUCCESSES
    sentence = f"{stop.sentence[0].upper()}{stop.sentence[1:]}."
    known = None if fun is None else Evaluation(x, fun, jac)
    return Outcome(x, success, int(not success), words or sentence, stop, known)


class FlowOptimizer(Optimizer):
    """An optimizer whose algorithm is a flow.

    A subclass implements ``_flow`` and :meth:`get_support_level`, and gives its options to
    this constructor. Everything else, from ask and tell to journals, is here. Options are
    attributes too.

    Parameters
    ----------
    options : dict
        The algorithm's options, by the name that its constructor has for them.
    **settings
        Settings of each run, and ``max_evals_grouped``.

    Examples
    --------
    >>> from optimizers import SupportLevel
    >>> levels = dict.fromkeys(("gradient", "bounds", "initial_point"), SupportLevel.supported)
    >>> class Descent(FlowOptimizer):
    ...     def __init__(self, rate=0.1, **settings):
    ...         super().__init__({"rate": rate}, **settings)
    ...     def get_support_level(self):
    ...         return levels
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

    def __init__(self, options: dict[str, Any], /, **settings: Unpack["FlowSettings"]) -> None:
        known = (*RUN_SETTINGS, "max_evals_grouped")
        for name in settings:
            if name not in known:
                nearest = nearest_names(name, (*options, *known))
                raise UnknownOptionError(f"{type(self).__name__} has no option {name!r}. {nearest}")
        super().__init__(**settings)
        self._options = self._checked(options)

    @abstractmethod
    def _flow(self, problem: Problem, run: Run) -> Flow:
        """Return the algorithm on a problem.

        Parameters
        ----------
        problem : Problem
            The problem. Points that are asked are clipped to its bounds.
        run : Run
            For its random numbers, ``run.rng``, and its counts. Nothing is asked of it.
        """

    def _check_options(self, options: dict[str, Any]) -> None:
        """Raise an OptionError if an option has a value that cannot be used; for a subclass."""

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options, as copies, if all can be used."""
        for name, value in options.items():
            self._check_option(name, value)
        self._check_options(options)
        return own(options)

    @override
    def set_options(self, **kwargs: Any) -> None:
        if kwargs.keys() <= self._options.keys():
            self._check_options({**self._options, **kwargs})
        super().set_options(**kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return an option, or say that there is none of that name."""
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

    @override
    def _solve(self, run: Run) -> Outcome:
        problem = run.problem
        if problem.is_fixed:
            return ended(problem.x0, StopReason.FIXED, run.value(problem.x0))
        return drive(run, self._flow(problem, run))


class FlowSettings(RunSettings, total=False):
    """:class:`RunSettings`, and how points are grouped.

    Parameters
    ----------
    max_evals_grouped : int
        How many points one call of the objective takes.
    """

    max_evals_grouped: int | None


def drive(run: Run, flow: Flow) -> Outcome:
    """Run a flow to its end.

    Parameters
    ----------
    run : Run
        Who answers.
    flow : generator
        The flow, at its start.

    Returns
    -------
    Outcome
        What it returns.
    """
    answer: Any = None
    stop: StopRun | None = None
    try:
        while True:
            try:
                asked = flow.send(answer) if stop is None else flow.throw(stop)
            except StopIteration as end:
                return _without_penalty(run, end.value)
            answer = stop = None
            try:
                if isinstance(asked, Step):
                    _note(run, asked)
                else:
                    answer = _answered(run, asked)
            except StopRun as reason:  # a flow that knows better than the best sample catches it
                stop = reason
    finally:
        flow.close()


def _note(run: Run, step: Step) -> None:
    """Tell the observers of a step."""
    memory = run.memory
    known = memory.lookup(step.x) if step.fun is None else Evaluation(step.x, step.fun, step.jac)
    if known is not None and memory.is_penalty(known):
        known = None
    elif known is None and run.wants_values:
        known = run.ask([step.x]).found[0]
    run.iterated(step.x, known, **step.extra)


def _without_penalty(run: Run, outcome: Outcome) -> Outcome:
    """Return an outcome on a penalty as one on the best point that is none."""
    known, last_good = outcome.known, run.memory.last_good
    if known is None or last_good is None or not run.memory.is_penalty(known):
        return outcome
    return replace(outcome, x=last_good.x, known=last_good)


def _answered(run: Run, ask: AskData | Products) -> Told:
    """Return what a flow asks."""
    if isinstance(ask, Products):
        assert run.problem.hessp is not None
        try:
            return Told(run.counted_hessian(run.problem.hessp)(ask.x, ask.p))
        except StopIteration:  # as from the objective
            raise StopRun(StopReason.CALLBACK) from None
    points, wants_gradients = ask.x_fun, ask.x_jac is not None
    assert points is not None
    if points.ndim == 1:
        if wants_gradients:
            return Told(*run.value_and_gradient(points))
        (known,) = run.ask([points]).found
        assert known is not None
        return Told(known.fun)
    answers = run.ask(list(points), gradients=wants_gradients, penalize=not wants_gradients)
    told = Told(np.full(len(points), np.nan), known=answers.known, errors=answers.errors)
    if wants_gradients:
        told = replace(told, jac=np.full(points.shape, np.nan), errors=None)
    for row, known in enumerate(answers.found):
        if known is not None:
            told.fun[row] = known.fun
            if wants_gradients:
                told.jac[row] = known.jac
    return told


def check_range(
    name: str, value: Any, low: float, high: float = np.inf, *, closed: bool = True
) -> None:
    """Raise an OptionError if an option is no number of an interval.

    Parameters
    ----------
    name : str
        The option.
    value : object
        Its value.
    low, high : float
        The interval.
    closed : bool, default True
        Whether its ends belong to it.

    Raises
    ------
    OptionError
        If it is outside, or no number.

    Examples
    --------
    >>> check_range("beta_1", 0.9, 0, 1)
    """
    if is_number(value) and ((low <= value <= high) if closed else (low < value < high)):
        return
    brackets = "[]" if closed and high < np.inf else "[)" if closed else "()"
    raise OptionError(
        f"{name} is {value!r}, expected a number in {brackets[0]}{low:g}, {high:g}{brackets[1]}."
    )
