"""Observers that see each iteration of a run: callbacks, a printed table, a history."""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import InvalidInputError, words_of
from optimizers.evaluation.listened import Evaluated
from optimizers.problem.parameters import Parameters
from optimizers.problem.structure import Structure
from optimizers.problem.translated import Shown
from optimizers.result import OptimizerResult

#: Sees the state after each iteration; returning True asks the run to stop.
Observer: TypeAlias = Callable[[OptimizerResult], bool]

#: How many coordinates of points a history keeps in total.
_KEPT = 2**22
#: Optional methods of a callback, for results and for evaluations.
_HEARD = ("on_run_end", "on_evaluation")
# Parameter names for the value, where SciPy's convention would pass the state.
_VALUES = frozenset(("fun", "f", "fx", "fval", "value", "loss", "cost", "energy"))


def as_observer(callback: Callable[..., Any], form: tuple[str, ...] = ()) -> Observer:
    """Return a user's callback, in one of SciPy's two conventions or in a form, as an observer.

    Its ``wants_value`` says whether the value is needed, ``on_run_end(result)`` gets results and
    ``on_evaluation(evaluated)`` each evaluation; a list of callbacks is combined. ``form`` is what
    Qiskit's class or SciPy's method passes, where "state" is the whole iteration.
    """
    if isinstance(callback, list | tuple):
        return in_one([as_observer(one, form) for one in callback])
    names = _wanted(callback, form)

    def observe(state: OptimizerResult) -> bool:
        try:
            if names:
                answer = callback(*(_entry(state, name) for name in names))
            else:
                answer = callback(intermediate_result=state)
        except StopIteration:
            return True
        # Only True itself stops: a callback that happens to return a truthy value must not end a
        # run by accident.
        return isinstance(answer, bool | np.bool_) and bool(answer)

    wants = len(names) > 1 or getattr(callback, "wants_value", False)  # of a wrapped one
    observe.wants_value = wants  # type: ignore[attr-defined]  # documented attribute
    for name in _HEARD:
        setattr(observe, name, getattr(callback, name, None))
    return observe


def observers_of(
    callback: Any, form: tuple[str, ...], parameters: Parameters | None
) -> list[Observer]:
    """Return what observes a run with a callback, in the user's structure; none without one."""
    found = [] if callback is None else [as_observer(callback, form)]
    return found if parameters is None else [Shown(observe, parameters) for observe in found]


def in_one(observers: Sequence[Observer]) -> Observer:
    """Return one observer that stands for several."""

    def observe(intermediate_result: OptimizerResult) -> bool:
        return any([one(intermediate_result) for one in observers])

    wants = any(getattr(one, "wants_value", False) for one in observers)
    observe.wants_value = wants  # type: ignore[attr-defined]  # documented attribute
    for name in _HEARD:
        methods = [method for one in observers if (method := getattr(one, name, None))]
        setattr(observe, name, functools.partial(_call_all, methods) if methods else None)
    return observe


def _call_all(methods: Sequence[Callable[[Any], Any]], argument: Any) -> None:
    for method in methods:
        method(argument)


def _wanted(callback: Callable[..., Any], form: tuple[str, ...]) -> tuple[str, ...]:
    """Return the entries of the state that a callback gets; none if it gets the state."""
    options = ["callback(xk)", "callback(xk, fun)", "callback(intermediate_result)"]
    if form:
        options.insert(0, f"callback({', '.join(form)})")
    expected = f"{', '.join(options[:-1])} or {options[-1]}"
    if not callable(callback):
        raise InvalidInputError(f"callback is {callback!r}, expected {expected}.")
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):  # a built-in without a signature, such as list.append
        return ("x",)
    if set(signature.parameters) == {"intermediate_result"}:
        return ()
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if form and inspect.Parameter.VAR_POSITIONAL in kinds:
        return form  # as Qiskit's class passes, to one that accepts everything
    # One argument first: a second one with a default is not for the state.
    for names in filter(None, (("x",), form, ("x", "fun"))):
        try:
            signature.bind(*names)
        except TypeError:
            continue
        if "state" not in names or not _VALUES.intersection(signature.parameters):
            return names
    raise InvalidInputError(f"callback has the parameters {signature}, expected {expected}.")


def _entry(state: OptimizerResult, name: str) -> Any:
    if name == "state":
        return state
    value = state[name]
    return np.nan if name == "fun" and value is None else value


class Table:
    """Prints a line for each iteration.

    Parameters
    ----------
    every : int, default 1
        Print one iteration in this many.
    file : file, optional
        Where to; standard output by default.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> table = Table()
    >>> result = LBFGSB().minimize(lambda x: float(x @ x), [3.0, 4.0], callback=table)
     iter    evals            f(x)     |grad|       best f(x)
        1        6  ...
    """

    def __init__(self, every: int = 1, file: TextIO | None = None) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InvalidInputError(f"every is {every!r}, expected a whole number >= 1.")
        self._every = every
        self._file = file
        self._has_head = False

    def __call__(self, intermediate_result: OptimizerResult) -> None:
        """Print the line of this iteration."""
        state = intermediate_result
        if state.nit % self._every:
            return
        out = self._file or sys.stdout
        if not self._has_head:
            print(
                f"{'iter':>5} {'evals':>8} {'f(x)':>15} {'|grad|':>10} {'best f(x)':>15}", file=out
            )
            self._has_head = True
        norm = "-" if state.jac is None else f"{_largest(state.jac):.3e}"
        best = "-" if state.best is None else f"{state.best.fun:.10g}"
        mark = "~" if state.get("is_estimate") else ""  # not evaluated
        fun = "-" if state.fun is None else f"{mark}{state.fun:.10g}"
        print(
            f"{state.nit:>5} {state.nfev:>8} {fun:>15} {norm:>10} {best:>15}", file=out, flush=True
        )


def _largest(gradient: Any) -> float:
    """Return the largest absolute entry of a gradient, in any structure."""
    if not isinstance(gradient, np.ndarray):
        gradient = Structure(gradient).vector(gradient, "jac")
    return float(np.max(np.abs(gradient), initial=0.0))


class History:
    """Records the evaluations of a run, or of many, and the end of each iteration.

    Pass it as the callback of a run. :mod:`optimizers.plots` draws it, and the report of the run's
    result includes it.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> history = History()
    >>> result = LBFGSB().minimize(lambda x: x[0] ** 2, [3.0], callback=history)
    >>> len(history.fun) == result.nit, bool(history.fun[-1] == result.fun)
    (True, True)
    >>> len(history.evaluations) == result.nfev
    True
    """

    def __init__(self) -> None:
        self._states: list[OptimizerResult] = []
        #: Each evaluation of the objective, as it arrived. Points are kept up to 2**22 coordinates
        #: in total; in later evaluations they have shape (0,).
        self.evaluations: list[Evaluated] = []
        self._left = _KEPT

    def __repr__(self) -> str:
        counts = f"{len(self._states)} iterations, {len(self.evaluations)} evaluations"
        values = [e.fun for e in self.evaluations if e.fun == e.fun]
        if not values:
            return f"<History of {counts}>"
        which, best = ("highest", max) if self.evaluations[-1].maximize else ("lowest", min)
        return f"<History of {counts}, {which} f(x) = {best(values):.8g}>"

    def __call__(self, intermediate_result: OptimizerResult) -> None:
        """Keep this iteration."""
        self._states.append(intermediate_result)

    def on_evaluation(self, evaluated: Evaluated) -> None:
        """Keep an evaluation."""
        self._left -= evaluated.x.size
        if self._left < 0:
            evaluated = evaluated._replace(x=np.empty(0))
        if evaluated.failure is not None:  # its traceback holds the objective
            words = RuntimeError(words_of(evaluated.failure))
            evaluated = evaluated._replace(failure=words)
        self.evaluations.append(evaluated)

    def on_run_end(self, result: OptimizerResult) -> None:
        """Attach this history to the result."""
        result._keep(record=self)

    @property
    def states(self) -> list[OptimizerResult]:
        """What callbacks saw of each iteration."""
        return list(self._states)

    @property
    def fun(self) -> Array:
        """The objective at each iterate, shape (nit,), or its estimate; NaN where not known."""
        return np.array([np.nan if s.fun is None else s.fun for s in self._states], np.float64)

    @property
    def x(self) -> Any:
        """The iterates, shape (nit, n); a list of them if they are in a structure."""
        if any("x_flat" in state for state in self._states):
            return [state.x for state in self._states]
        return np.array([state.x for state in self._states], np.float64)

    @property
    def names(self) -> Sequence[str] | None:
        """The names of the columns of ``x_flat``; None for plain vectors."""
        found: Sequence[str] | None = self._states[0].get("names") if self._states else None
        return found

    @property
    def x_flat(self) -> Array:
        """The iterates as vectors, shape (nit, n)."""
        return np.array([state.x_flat for state in self._states], np.float64)

    @property
    def nfev(self) -> NDArray[np.int64]:
        """The points evaluated up to each iteration, shape (nit,)."""
        return np.array([state.nfev for state in self._states], np.int64)
