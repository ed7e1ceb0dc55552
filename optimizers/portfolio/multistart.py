"""Multistart: minima from many starts, with enough simultaneous runs to keep the batches full."""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import override

from optimizers._shown import Tabled, short, shown
from optimizers._types import Array, BoundsLike, Objective
from optimizers._words import replayed_words
from optimizers.errors import InvalidInputError
from optimizers.gradients.source import Jacobian
from optimizers.journal.session import together
from optimizers.lockstep.lockstep import LockStep
from optimizers.lockstep.many import Members, seeds_from
from optimizers.lockstep.results import OptimizerResults, in_all, raise_if_ended, raise_with
from optimizers.optimizer import Optimizer
from optimizers.options.table import FLAG, number, whole
from optimizers.problem.bounds import as_bounds
from optimizers.problem.known import points_of
from optimizers.problem.translated import showing
from optimizers.result import OptimizerResult, StopReason
from optimizers.scipy import LBFGSB

if TYPE_CHECKING:
    from scipy.stats import qmc

#: How many starts are drawn at a time: a power of 2, as Sobol's points are balanced then.
_DRAWN = 64
#: How many runs may fail, if all do, before a bug is assumed.
_FAILURES = 8
_SAMPLERS = {"sobol": "Sobol", "halton": "Halton", "lhs": "LatinHypercube"}


@dataclass(eq=False)
class Minimum:
    """A minimum, or with ``maximize`` a maximum, that one or more runs ended in.

    Parameters
    ----------
    x : ndarray of float64, shape (n,), or what ``x0`` is
        The best of their ends.
    fun : float
        The objective there.
    runs : list of int
        The numbers of the runs.
    """

    x: Any
    fun: float
    runs: list[int] = field(default_factory=list)

    __repr__ = short

    @property
    def count(self) -> int:
        """How many runs ended in it."""
        return len(self.runs)


class Minima:
    """The distinct minima among the ends of runs; maxima, where the sign is -1.

    An end that is within the tolerance of a minimum, in each variable, is the same minimum.
    """

    def __init__(self, tolerance: Array, sign: float = 1.0) -> None:
        self._tolerance, self._sign = tolerance, sign
        self._found: list[Minimum] = []
        self._ends = 0

    def add(self, x: Array, fun: float, run: int) -> None:
        """Add the end of a run."""
        self._ends += 1
        for known in self._found:
            if (np.abs(known.x - x) <= self._tolerance).all():
                known.runs.append(run)
                if self._sign * fun < self._sign * known.fun:
                    known.x, known.fun = x, fun
                return
        self._found.append(Minimum(x, fun, [run]))

    @property
    def are_all(self) -> bool:
        """Whether no further minimum is expected, by the rule of :func:`multistart`."""
        s, w = self._ends, len(self._found)
        return s > w + 2 and w * (s - 1) / (s - w - 2) < w + 0.5

    def sorted(self) -> list[Minimum]:
        """Return the minima, the best first."""
        return sorted(self._found, key=lambda minimum: self._sign * minimum.fun)


@dataclass(eq=False, repr=False)
class MultistartResult(Tabled):
    """The result of :func:`multistart`.

    Attributes
    ----------
    minima : list of Minimum
        The distinct minima in which runs ended by themselves, the lowest first; with
        ``maximize`` the maxima, the highest first.
    runs : OptimizerResults
        The results of all runs in the order of their starts; for interrupted runs, the result so
        far.
    stop : StopReason
        The reason why no further run was started: ``MAXFUN``, ``TIMEOUT``, ``AGREED`` or
        ``INTERRUPTED``.
    """

    _lines = 10

    minima: list[Minimum]
    runs: OptimizerResults
    stop: StopReason

    @property
    def best(self) -> OptimizerResult | None:
        """The result with the best value, which may be of an interrupted run."""
        return self.runs.best

    @property
    def nfev(self) -> int:
        """The points at which the objective was evaluated, in all runs."""
        return self.runs.nfev

    @property
    def nreplayed(self) -> int:
        """How many of their values came from a journal."""
        return self.runs.nreplayed

    @property
    def nknown(self) -> int:
        """At how many further points the answer was known before; see the setting ``known``."""
        return self.runs.nknown

    @override
    def _table(self) -> tuple[str, Sequence[str], list[Sequence[str]]]:
        rows: list[Sequence[str]] = []
        for m in self.minima:
            rows.append([f"{m.fun:.8g}", str(m.count), _in_words(m.x)])
        head = (
            f"{len(self.runs)} runs, {self.nfev} evaluations{replayed_words(self.runs)} in "
            f"{self.runs.rounds} rounds; {self.stop.sentence}"
        )
        if not rows:
            best = None if self.best is None else self.best.fun
            head = f"{head}\nno run converged; best f(x) = {best}"
        return head, ("fun", "count", "x"), rows


def multistart(
    fun: Objective,
    bounds: BoundsLike,
    budget: int,
    *,
    optimizer: Optimizer | None = None,
    x0: Any = None,
    sampler: "Literal['sobol', 'halton', 'lhs'] | qmc.QMCEngine" = "sobol",
    slots: int = 16,
    jac: Jacobian = None,
    tolerance: float = 1e-3,
    agreement: bool = True,
    **settings: Any,
) -> MultistartResult:
    """Find the minima in a box from many starts, with runs that advance together.

    As soon as a run ends, the next start takes its slot, so that the waves stay full.

    Parameters
    ----------
    fun, jac
        As in :meth:`Optimizer.minimize`.
    bounds : sequence of (low, high), array_like of shape (n, 2) or Bounds
        The box, with finite sides; or a dict from names to pairs.
    budget : int
        The maximum number of points evaluated by all runs together: a hard limit.
    optimizer : Optimizer, optional
        The algorithm of the runs; ``LBFGSB()`` by default.
    x0 : structure, optional
        The structure of the variables, such as a dict of arrays or of :class:`Param`, as in
        :meth:`Optimizer.minimize`. Starts are drawn between the bounds; its values are ignored.
    sampler : {"sobol", "halton", "lhs"} or scipy.stats.qmc.QMCEngine, default "sobol"
        The sampler of the starts. An engine is copied, and not changed.
    slots : int, default 16
        The number of simultaneous runs.
    tolerance : float, default 1e-3
        Ends of runs that differ by at most this fraction of the box's width, in each variable, are
        the same minimum.
    agreement : bool, default True
        Whether to end the search when the minima agree, by the Bayesian rule of Boender and Rinnooy
        Kan [1]_: if s runs ended by themselves in w different minima, when the expected number of
        minima, ``w * (s - 1) / (s - w - 2)``, is less than w + 0.5. Unfinished runs are then
        interrupted.
    **settings
        As in :meth:`Optimizer.minimize_many`; ``timeout`` is for the whole call, and ``seed`` for
        the starts too. The first run starts from the best of the points ``known``. With a
        ``journal``, a larger ``budget`` continues the runs.

    Returns
    -------
    MultistartResult
        The minima, the runs, and why the search ended. A failed run is one of the runs, with its
        error, but not among the minima.

    Raises
    ------
    InvalidInputError, CapabilityError, OptionError, UnknownOptionError
        Before the first evaluation, if an argument cannot be used.
    BaseException
        Whatever ends all runs, such as Ctrl-C; and the error of the first run if the first eight
        (or ``slots``, if that is fewer) fail. Its attribute ``optimizer_results`` holds the
        results.

    References
    ----------
    .. [1] C. G. E. Boender and A. H. G. Rinnooy Kan, "Bayesian stopping rules for multistart
       global optimization methods", Mathematical Programming 37 (1987) 59-80.

    Examples
    --------
    >>> from optimizers import multistart, vectorized
    >>> @vectorized
    ... def fun(points):  # four minima, the lowest at (-1, -1)
    ...     return ((points**2 - 1) ** 2 + 0.1 * points).sum(axis=1)
    >>> found = multistart(fun, [(-2, 2)] * 2, budget=5000, seed=1)
    >>> [minimum.x.round(1).tolist() for minimum in found.minima]
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    >>> found.stop.name, found.nfev <= 5000
    ('AGREED', True)
    """
    __tracebackhide__ = True
    whole(1)("budget", budget)
    whole(1)("slots", slots)
    number(0, 1, "[)")("tolerance", tolerance)
    FLAG("agreement", agreement)
    if optimizer is None:
        optimizer = LBFGSB()
    if not isinstance(optimizer, Optimizer):
        raise InvalidInputError(
            f"optimizer is {optimizer!r}, expected an Optimizer: an object, not a class."
        )
    optimizer._check_settings(settings)
    effective = optimizer._effective_settings(settings)
    if x0 is None and isinstance(bounds, Mapping):
        x0 = {name: _low(name, pair) for name, pair in bounds.items()}
    if x0 is None:
        lower, upper = _box(bounds)
        x0, bounds = lower, np.column_stack([lower, upper])
    further = {"scale": effective.get("scale"), "maximize": optimizer._maximizes(settings)}
    problem = optimizer._problem(fun, x0, jac, bounds, **further)
    parameters = problem.parameters
    if parameters is not None:
        lower, upper = _box(parameters.bounds)
    best: Array = np.empty((0, problem.n))
    known = optimizer._read_known(settings)
    if known is not None:
        best = points_of(known, problem).lowest
    next(_starts(sampler, lower, upper, 0))  # raises an error if there is no such sampler
    many = {"function": "multistart", "sampler": sampler, "slots": slots, "tolerance": tolerance}
    many["agreement"] = bool(agreement)
    evaluator = optimizer._evaluator(problem.fun, settings)
    journaled = together(optimizer, problem, evaluator, settings, effective, many)
    with showing(parameters), journaled as shared:
        seeds = seeds_from(shared.seed)
        next(seeds)
        starts = itertools.chain(best, _starts(sampler, lower, upper, next(seeds)))
        problems = (replace(problem, x0=start) for start in starts)
        timeout = effective.get("timeout")
        shared.bar.expect(budget)
        lockstep = LockStep(shared.evaluator, timeout=timeout, budget=int(budget), slots=int(slots))
        minima = Minima(tolerance * (upper - lower), problem.sign)
        ended: dict[int, OptimizerResult] = {}
        members = Members(optimizer._prepared, problems, settings, shared, seeds)
        for member in lockstep.ended(members):
            result = ended[member.number] = member.result
            if result.success and result.fun is not None:
                minima.add(result.x.copy(), result.fun, member.number)
            if agreement and minima.are_all:
                lockstep.stop(StopReason.AGREED)
            first = range(min(_FAILURES, int(slots)))
            if member.number in first and all("error" in ended.get(i, ()) for i in first):
                lockstep.stop(StopReason.FAILED)
        runs = OptimizerResults((ended[number] for number in sorted(ended)), lockstep.rounds)
        raise_if_ended(lockstep, runs, effective)
        if lockstep.stopped is StopReason.FAILED:
            raise_with(next(iter(runs.failures.values())), runs)
        stop = lockstep.stopped or StopReason.MAXFUN
        shared.keep_record(runs)
        shared.reason = stop.value
        shared.result.append(in_all(runs))
    if parameters is not None:
        parameters.show(runs)
        for minimum in minima.sorted():
            minimum.x = parameters.point(minimum.x)
    return MultistartResult(minima.sorted(), runs, stop)


def _low(name: str, pair: Any) -> Any:
    """Return the lower one of a pair of bounds."""
    if not isinstance(pair, list | tuple | np.ndarray) or len(pair) != 2:
        raise InvalidInputError(
            f"bounds of {name} is {pair!r:.200}, expected a pair (low, high); if the variables are "
            "not numbers, describe them by x0."
        )
    return pair[0]


def _in_words(x: Any) -> str:
    """Return a point, in a structure or not, on one line."""
    if not isinstance(x, np.ndarray):
        return shown(x)
    return " ".join(np.array2string(x, precision=4, threshold=8).split())


def _box(bounds: BoundsLike) -> tuple[Array, Array]:
    pairs: Any = bounds
    count = len(np.atleast_1d(bounds.lb)) if hasattr(bounds, "lb") else None
    if count is None:
        try:
            pairs = [] if bounds is None else [*bounds]
        except TypeError:
            raise InvalidInputError(
                f"bounds is {bounds!r}, expected finite (low, high) pairs."
            ) from None
        count = len(pairs)
    lower, upper = as_bounds(pairs, count)
    if lower is None or upper is None or not np.isfinite([lower, upper]).all():
        raise InvalidInputError(
            f"bounds is {bounds!r:.200}, expected finite bounds on both sides of each variable, "
            "since starts are drawn between them."
        )
    return lower, upper


def _starts(sampler: Any, lower: Array, upper: Array, seed: Any) -> Iterator[Array]:
    """Yield an infinite sequence of starts between bounds."""
    from scipy.stats import qmc  # importing it takes longer than all of this package

    if isinstance(sampler, qmc.QMCEngine):
        engine = copy.deepcopy(sampler)
        if engine.d != len(lower):
            raise InvalidInputError(
                f"sampler draws points of {engine.d} variables, expected {len(lower)}, the number "
                "of bounds."
            )
    elif isinstance(sampler, str) and sampler in _SAMPLERS:
        engine = getattr(qmc, _SAMPLERS[sampler])(len(lower), rng=seed)
    else:
        raise InvalidInputError(
            f"sampler is {sampler!r}, expected one of {tuple(_SAMPLERS)} or a QMCEngine."
        )
    while True:
        points = np.asarray(engine.random(_DRAWN), dtype=np.float64)
        yield from np.ascontiguousarray(np.clip(lower + points * (upper - lower), lower, upper))
