"""A row of the methods' table, and the interface of its solver."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from optimizers.errors import InvalidInputError, OptionError
from optimizers.options.table import Option
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason as Stop
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.locks import Lock
from optimizers.scipy.options import as_scipys_limit, shared
from optimizers.scipy.unfinished import Unfinished
from optimizers.support import SupportLevel as Level, SupportLevels, levels

#: The options that limit a run.
_LIMITS = ("maxiter", "maxfev")
#: A margin so that a limit is not reached before others: more than the points that begin a run.
FAR = 10_000
#: Three times this still fits into an integer of SciPy's compiled code.
MOST = 500_000_000
#: SciPy's message for a run that a callback ended.
CALLBACK_ENDED = "`callback` raised `StopIteration`."


class Solver(ABC):
    """A method with the options of one optimizer."""

    def __init__(
        self,
        info: "Method",
        method: str | Callable[..., Any],
        options: Mapping[str, Any],
        tol: float | None,
    ) -> None:
        self._info, self._method, self._given, self._tol = info, method, options, tol

    def within(self, limits: Mapping[str, int]) -> "Solver":
        """Return itself with the effective limits of a run."""
        if limits and not self._info.takes_any:
            # So large that any other limit comes first.
            far = min(3 * max(limits.values()), MOST) + FAR
            unset = [name for name in _LIMITS if name in self._info.known and name not in limits]
            self._given = {**self._given, **dict.fromkeys(unset, far)}
        return self

    @abstractmethod
    def solve(self, run: Run) -> Outcome:
        """Run the method on the problem of a run."""

    def report(self, run: Run, result: OptimizerResult) -> None:  # noqa: B027  # SciPy has printed
        """Print what the options ask for at the end of a run, however it ended."""


@dataclass(frozen=True)
class Method:
    """The properties of one method of :func:`scipy.optimize.minimize`."""

    #: Makes its solver.
    solver: type[Solver]
    #: Its options; ``disp``, ``maxfun`` and those of differences need not be among them.
    options: tuple[Option, ...] = ()
    #: Whether it accepts any option.
    takes_any: bool = False
    # Its capabilities.
    gradient: Level = Level.supported
    #: If required, for each variable and finite.
    bounds: Level = Level.ignored
    initial_point: Level = Level.required
    constraints: Level = Level.not_supported
    hessian: Level = Level.ignored
    residuals: Level = Level.supported
    #: Whether it needs the gradient at each point where it needs the value, so that both are best
    #: evaluated in one wave.
    joint: bool = False
    #: Whether it may end at a point where it did not ask for the gradient.
    ends_unknown: bool = False
    #: Whether its line search fits parabolas to values, and stops after a few.
    fits_parabolas: bool = False
    #: The options that set the steps of finite differences.
    differences: tuple[str, ...] = ()
    #: Pairs of options where the first must not exceed the second.
    ordered: tuple[tuple[str, str], ...] = ()
    #: The options that ``tol`` sets.
    tol: tuple[str, ...] = ()
    #: The option for the accepted constraint violation.
    feasibility: str = "tol"
    #: The options that limit the number of points; the smallest applies.
    budget: tuple[str, ...] = ("maxfun",)
    #: Whether the run counts ``maxiter`` of its class, since the method counts something else.
    counted_by_run: bool = False
    #: Whether these are evaluations.
    counts_points: bool = False
    #: SciPy's warning if ``disp`` is set and a run has not converged.
    warns: type[Warning] | None = None
    #: Whether it counts repeated points, so that its own limit would come too early.
    asks_twice: bool = False
    #: Whether the Hessian must be a function, not a difference scheme.
    callable_hessian: bool = False
    #: Whether it removes fixed variables from the problem, and passes the rest to callbacks and
    #: constraints: here they are removed before.
    strips_fixed: bool = False
    #: When SciPy removes them from the problem, and returns no gradient for them.
    scipy_removes: Literal["always", "differences"] | None = None
    #: Whether counts mean what they do in SciPy.
    has_scipys_counts: bool = False
    #: Whether SciPy's count of iterations includes the unfinished one.
    counts_next: bool = False
    #: Code and message where a callback ended a run.
    callback_ending: tuple[int, str] = (99, CALLBACK_ENDED)
    #: Makes the Hessian update strategy of a run if the user gives none.
    default_hessian: Callable[[], Any] | None = None
    #: Options whose default is for double precision: a function from the spacing of lower-precision
    #: numbers at 1 to a suitable default.
    low_precision: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    #: SciPy's own default if it differs from the one here.
    scipy_defaults: Mapping[str, Any] = field(default_factory=dict)
    #: How many matrices of n by n numbers it needs at least.
    matrices: int = 0
    #: What its callbacks get in SciPy, if not only a point; see ``as_observer``.
    callback_form: tuple[str, ...] = ()
    #: Whether its differences of constraints leave the bounds, and so are computed here.
    probes_outside: bool = False
    #: Its local variables that the result of a stopped run contains.
    unfinished: Unfinished | None = None
    #: The lock that SciPy holds while it runs.
    lock: Lock | None = None
    #: The meaning of its return codes.
    stops: Mapping[int, Stop] = field(default_factory=dict)
    #: The meaning of parts of its message, where the return code is not enough: these come first.
    words: Mapping[str, Stop] = field(default_factory=dict)

    @functools.cached_property
    def known(self) -> dict[str, Option]:
        """All options that a user may give, by name."""
        common = shared("disp", *self.differences, *self.budget)
        return {option.name: option for option in (*common, *self.options)}

    @functools.cached_property
    def levels(self) -> SupportLevels:
        """Its support levels."""
        return levels(
            gradient=self.gradient,
            bounds=self.bounds,
            initial_point=self.initial_point,
            constraints=self.constraints,
            hessian=self.hessian,
            residuals=self.residuals,
        )

    @property
    def as_scipys(self) -> "Method":
        """Itself, with SciPy's meaning of ``maxiter``, and any number as a limit."""
        budget = (*self.budget, "maxiter") if self.counts_points else self.budget
        options = tuple(as_scipys_limit(o) if o.name in _LIMITS else o for o in self.options)
        shared = replace(self, counted_by_run=False, has_scipys_counts=True)
        return replace(shared, budget=budget, options=options)

    def check_box(self, name: str, problem: Problem) -> None:
        """Raise an InvalidInputError if bounds are required, and one is missing."""
        if self.bounds < Level.required:
            return
        missing = ~np.isfinite(problem.box).all(axis=0)
        if missing.any():
            i = int(missing.argmax())
            low, high = (side[i] for side in problem.box)
            raise InvalidInputError(
                f"{name} searches between bounds, and bounds[{i}] is ({low}, {high}): pass finite "
                "bounds for each variable."
            )

    def check_order(self, options: Mapping[str, Any]) -> None:
        """Raise an OptionError if an option exceeds one that it must not exceed."""
        for low, high in self.ordered:
            less, more = (options.get(name, self.known[name].default) for name in (low, high))
            if less > more:
                raise OptionError(
                    f"{low!r} and {high!r} contradict each other: {low} is {less} and {high} is "
                    f"{more}, expected {low} <= {high}."
                )

    @property
    def has_own_maxfun(self) -> bool:
        """Whether ``maxfun`` is an option of the method, with a default, and not a setting."""
        return any(option.name == "maxfun" for option in self.options)

    @property
    def has_own_scale(self) -> bool:
        """Whether ``scale``, as numbers, is an option of the method, and not a setting."""
        return self.takes_any or any(option.name == "scale" for option in self.options)
