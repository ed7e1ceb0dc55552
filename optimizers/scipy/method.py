"""What a row of the methods' table holds, and what its solver does."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from optimizers.errors import OptionError
from optimizers.options.table import Option
from optimizers.result import OptimizerResult, StopReason as Stop
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.scipy.locks import Lock
from optimizers.scipy.options import as_scipys_limit, shared
from optimizers.scipy.unfinished import Unfinished
from optimizers.support import SupportLevel as Level, SupportLevels, levels

#: The options that limit a run.
_LIMITS = ("maxiter", "maxfev")
#: What makes a limit one that is not met before others: more than the points that begin a run.
FAR = 10_000
#: What three times fits into an integer of SciPy's compiled code.
_MOST = 500_000_000
#: SciPy's words for what a callback ends.
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
        """Return itself, with the limits that hold for a run in the place of its defaults."""
        if limits and not self._info.takes_any:
            # So far that whatever else is given comes before.
            far = min(3 * max(limits.values()), _MOST) + FAR
            unset = [name for name in _LIMITS if name in self._info.known and name not in limits]
            self._given = {**self._given, **dict.fromkeys(unset, far)}
        return self

    @abstractmethod
    def solve(self, run: Run) -> Outcome:
        """Run the method on the problem of a run."""

    def report(self, run: Run, result: OptimizerResult) -> None:  # noqa: B027  # SciPy has printed
        """Print what the options ask for at the end of a run, whatever ended it."""


@dataclass(frozen=True)
class Method:
    """What is known of one method of :func:`scipy.optimize.minimize`."""

    #: Makes its solver.
    solver: type[Solver]
    #: Its options; ``disp``, ``maxfun`` and those of differences need not be among them.
    options: tuple[Option, ...] = ()
    #: Whether it takes any option: they are its own.
    takes_any: bool = False
    # What it can take.
    gradient: Level = Level.supported
    bounds: Level = Level.ignored
    constraints: Level = Level.not_supported
    hessian: Level = Level.ignored
    residuals: Level = Level.supported
    #: Whether it wants the gradient at each point where it wants the value, so that both are best
    #: evaluated in one wave.
    joint: bool = False
    #: Whether it may end on a point where it did not ask for the gradient.
    ends_unknown: bool = False
    #: Whether its line search fits parabolas to values, and gives up after a few.
    fits_parabolas: bool = False
    #: The options that set the steps of finite differences.
    differences: tuple[str, ...] = ()
    #: Pairs of options of which the first may not be more than the second.
    ordered: tuple[tuple[str, str], ...] = ()
    #: The options that ``tol`` stands for.
    tol: tuple[str, ...] = ()
    #: The option that says by how much constraints may be missed.
    feasibility: str = "tol"
    #: The options that limit the number of points, of which the smallest holds.
    budget: tuple[str, ...] = ("maxfun",)
    #: Whether ``maxiter`` of its class is the run's to count, since the method's own counts
    #: something else.
    counted_by_run: bool = False
    #: Whether that is evaluations.
    counts_points: bool = False
    #: What SciPy warns with where ``disp`` is set and a run has not converged.
    warns: type[Warning] | None = None
    #: Whether it asks for points again and counts that: its own limit would come too early.
    asks_twice: bool = False
    #: Whether the Hessian must be a function, and no difference scheme will do.
    callable_hessian: bool = False
    #: Whether it takes variables without room out of the problem, and then hands callbacks and
    #: constraints what remains: here they are taken out before.
    strips_fixed: bool = False
    #: When SciPy itself takes them out of the problem, and tells no gradient of them.
    scipy_removes: Literal["always", "differences"] | None = None
    #: Whether counts mean what they do in SciPy.
    has_scipys_counts: bool = False
    #: Whether SciPy's count of iterations has the one that was to come.
    counts_next: bool = False
    #: Code and message where a callback ended a run.
    callback_ending: tuple[int, str] = (99, CALLBACK_ENDED)
    #: Makes the Hessian strategy of a run where the user gives none.
    default_hessian: Callable[[], Any] | None = None
    #: Options whose default is made for double precision: what suits values of fewer digits, from
    #: the spacing of such numbers at 1.
    low_precision: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    #: What SciPy itself does where the default here is another.
    scipy_defaults: Mapping[str, Any] = field(default_factory=dict)
    #: How many matrices of n by n numbers it holds at the least.
    matrices: int = 0
    #: What its callbacks get in SciPy, if not a point alone; see ``as_observer``.
    callback_form: tuple[str, ...] = ()
    #: Whether its own differences of constraints leave the bounds, and so are made here.
    probes_outside: bool = False
    #: What of its local variables the result of a stopped run has.
    unfinished: Unfinished | None = None
    #: The lock that SciPy holds while it runs.
    lock: Lock | None = None
    #: What its return codes mean.
    stops: Mapping[int, Stop] = field(default_factory=dict)
    #: What parts of its message mean, where the return code does not tell: these come first.
    words: Mapping[str, Stop] = field(default_factory=dict)

    @functools.cached_property
    def known(self) -> dict[str, Option]:
        """All options that a user may give, by name."""
        common = shared("disp", *self.differences, *self.budget)
        return {option.name: option for option in (*common, *self.options)}

    @functools.cached_property
    def levels(self) -> SupportLevels:
        """What it can take."""
        return levels(
            gradient=self.gradient,
            bounds=self.bounds,
            constraints=self.constraints,
            hessian=self.hessian,
            residuals=self.residuals,
        )

    @property
    def as_scipys(self) -> "Method":
        """Itself, with the meaning that SciPy gives to ``maxiter``, and any number as a limit."""
        budget = (*self.budget, "maxiter") if self.counts_points else self.budget
        options = tuple(as_scipys_limit(o) if o.name in _LIMITS else o for o in self.options)
        shared = replace(self, counted_by_run=False, has_scipys_counts=True)
        return replace(shared, budget=budget, options=options)

    def check_order(self, options: Mapping[str, Any]) -> None:
        """Raise an OptionError if an option is more than one that it may not exceed."""
        for low, high in self.ordered:
            less, more = (options.get(name, self.known[name].default) for name in (low, high))
            if less > more:
                raise OptionError(
                    f"{low!r} and {high!r} do not go together: {low} is {less}, {high} is {more}, "
                    f"and {low} may not be more."
                )

    @property
    def has_own_maxfun(self) -> bool:
        """Whether ``maxfun`` is an option of the method's own, with a default, and no setting."""
        return any(option.name == "maxfun" for option in self.options)

    @property
    def has_own_scale(self) -> bool:
        """Whether ``scale``, as numbers, is an option of the method's own, and no setting."""
        return self.takes_any or any(option.name == "scale" for option in self.options)
