"""Flow: an algorithm as a generator that asks and is told, and what drives it on a run.

A flow reads like the textbook: it does no input or output and never calls the objective. Whoever
drives it answers its questions, so that runs, steppers, journals and lock-step share it.
"""

import copy
from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.errors import UnknownOptionError, nearest_names
from optimizers.evaluation.wave import Block
from optimizers.optimizer import Optimizer
from optimizers.options.configured import own
from optimizers.options.docstring import complete
from optimizers.options.settings import GROUPED, RUN_SETTINGS, RunSettings
from optimizers.options.table import number
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.memory import Evaluation, StopRun
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

    A subclass implements ``_flow``, has the attribute ``support_levels``, and gives its options
    to this constructor. Everything else, from ask and tell to journals, is here. Options are
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

    def __init__(self, options: dict[str, Any], /, **settings: Unpack["FlowSettings"]) -> None:
        known = (*RUN_SETTINGS, "max_evals_grouped")
        for name in settings:
            if name not in known:
                nearest = nearest_names(name, (*options, *known))
                raise UnknownOptionError(f"{type(self).__name__} has no option {name!r}. {nearest}")
        super().__init__(**settings)
        if self._declared:
            self._check_known(options)
        options = self._checked(options)
        self._check_options(options)
        self._options = own(options)

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
        """Raise an OptionError if options do not go together; for a subclass."""

    @override
    def set_options(self, **kwargs: Any) -> None:
        self._check_known(kwargs)
        options = self._checked(kwargs)
        self._check_options({**self._options, **options})
        self._options.update(copy.deepcopy(options))

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
    """:class:`RunSettings`, and how points are grouped."""

    max_evals_grouped: int | None


complete(FlowSettings, [("Parameters", [GROUPED])])


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
    known = run.lookup(step.x) if step.fun is None else Evaluation(step.x, step.fun, step.jac)
    if known is not None and _is_penalty(run, known):
        known = None
    elif known is None and run.wants_values:
        known = Evaluation(step.x, float(_values(run, step.x[np.newaxis]).fun[0]))
    run.iteration(step.x, known, **step.extra)


def _without_penalty(run: Run, outcome: Outcome) -> Outcome:
    """Return an outcome on a point that was rejected as one on the best that was not."""
    known, last_good = outcome.known, run.last_good
    if known is None or last_good is None or not _is_penalty(run, known):
        return outcome
    return replace(outcome, x=last_good.x, known=last_good)


def _is_penalty(run: Run, known: Evaluation) -> bool:
    """Return whether an answer stands for an evaluation that was rejected: it is above all."""
    return known.fun > run.worst


def _answered(run: Run, ask: AskData | Products) -> Told:
    """Return what a flow asks."""
    if isinstance(ask, Products):
        assert run.problem.hessp is not None
        try:
            return Told(run.counted_hessian(run.problem.hessp)(ask.x, ask.p))
        except StopIteration:  # as from the objective
            raise StopRun(StopReason.CALLBACK) from None
    points = ask.x_fun
    assert points is not None
    if points.ndim == 1:
        if ask.x_jac is not None:
            return Told(*run.value_and_gradient(points))
        return Told(float(_values(run, points[np.newaxis]).fun[0]))
    return _values(run, points) if ask.x_jac is None else _gradients(run, points)


def _gradients(run: Run, points: Array) -> Told:
    """Return values and gradients of a wave; NaN where an evaluation is rejected."""
    misled = run.npenalized
    found = run.values_and_gradients(list(points))
    if len(found) < len(points):  # the budget allows no more
        raise StopRun(StopReason.MAXFUN)
    run.npenalized = misled  # it is told which were rejected
    told = Told(np.full(len(points), np.nan), np.full(points.shape, np.nan))
    for row, known in enumerate(found):
        if known is not None:
            told.fun[row], told.jac[row] = known.fun, known.jac
    return replace(told, known=np.array([known is not None for known in found]))


def _values(run: Run, points: Array) -> Told:
    """Return the values of a wave; stand-ins where an evaluation is rejected."""
    problem = run.problem
    points = np.array([problem.clip(x) for x in points])
    left = run.limit - run.nfev
    is_last = len(points) > left > 0
    if is_last:  # what the budget allows: the most wanted come first
        points = points[: int(left)]
    block = Block(points)
    try:
        if problem.jac is True:
            _call_each(run, block)
        else:
            run.take([block], is_first_needed=False)
    except Exception as failure:
        run.rejected(points[0], failure)  # raises: it says more, and knows a wish to stop
        raise
    values = block.values
    known = np.ones(len(values), dtype=bool)
    known[list(block.failures)] = False
    if known.any():  # what a rejected point steps back to, and an end may be on
        best = int(np.flatnonzero(known)[np.argmin(values[known])])
        run.store(Evaluation(points[best].copy(), float(values[best])))
    for row, error in block.failures.items():
        values[row] = run.rejected(points[row], error).fun
    if is_last:
        raise StopRun(StopReason.MAXFUN)
    return Told(values, known=known, errors=block.errors)


def _call_each(run: Run, block: Block) -> None:
    """Evaluate points of an objective that returns its gradient too, which is of no use."""
    for row, x in enumerate(block.points):
        try:
            block.values[row], _ = run.call(x)
        except Exception as error:
            block.failures[row] = error
            if not run.rejects:
                raise


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
    number(low, high, "[]" if closed else "()")(name, value)
