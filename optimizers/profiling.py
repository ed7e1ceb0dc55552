"""Profiles by many minimizations that advance together, each with one variable fixed."""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from typing_extensions import Unpack, override

from optimizers._arrays import is_whole
from optimizers._types import Array, BoundsLike, ConstraintsLike, Objective
from optimizers.composition import Composed
from optimizers.covariance import ErrorBars, covariance, quantile
from optimizers.errors import CapabilityError, InvalidInputError, warn_user
from optimizers.gradients.source import Jacobian
from optimizers.journal.records import encoded
from optimizers.journal.session import together
from optimizers.lockstep.lockstep import LockStep
from optimizers.lockstep.many import Members, concluded, seeds_from
from optimizers.lockstep.profile import Profile, Profiles, Side
from optimizers.lockstep.results import OptimizerResults
from optimizers.options.settings import RunSettings
from optimizers.options.table import FLAG, whole
from optimizers.problem.parameters import start_of
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult
from optimizers.support import SupportLevel

#: A minimum counts as lower than the fit if it is by this share of the rise at one standard error.
_LOWER = 0.01


@dataclass(frozen=True)
class Fit:
    """A minimum, its covariance, and how much the objective rises at the end of an interval."""

    x: Array
    fun: float
    covariance: Array
    rise: float
    #: The distance of that end in standard errors, by linear theory.
    quantile: float

    @classmethod
    def of(cls, result: Any, problem: Problem, level: float, absolute_sigma: bool) -> "Fit":
        """Return the minimum in a result."""
        if isinstance(result, ErrorBars):
            z = quantile(level, result.dof)
            return cls(problem.x0, result.fun, result.covariance, result.scale * z**2, z)
        if problem.loss is None:
            raise InvalidInputError(
                "fun is not marked by residuals, but that of the result was: pass residuals(fun)."
            )
        if not absolute_sigma and result.dof <= 0:
            raise InvalidInputError(
                "There are no more residuals than free variables, so that the variance cannot be "
                "estimated. Divide the residuals by the standard deviations of the data, and pass "
                "absolute_sigma=True."
            )
        z = quantile(level, np.inf if absolute_sigma else result.dof)
        spread = 1.0 if absolute_sigma else result.chi2 / result.dof
        found = covariance(result, absolute_sigma=absolute_sigma)
        value = float(result["fun"])
        return cls(problem.x0, value, found, spread * z**2 / 2, z)

    def chosen(self, variables: Any, problem: Problem) -> list[int]:
        """Return the variables that are to be profiled."""
        lower, upper = problem.box
        errors = np.sqrt(np.diag(self.covariance))
        can = (lower < upper) & np.isfinite(errors) & (errors > 0)
        if variables is None and np.isnan(errors).all():
            raise InvalidInputError(
                "No variable has an error by covariance (a warning says why), so that no profile "
                "can be computed. If the Jacobian is not known, call profile(fun, "
                "error_bars(result, fun))."
            )
        if variables is None:
            return [int(i) for i in np.flatnonzero(can)]
        asked = np.atleast_1d(np.asarray(variables, dtype=object)).tolist()
        for i in asked:
            if not (is_whole(i) and 0 <= i < problem.n):
                raise InvalidInputError(
                    f"variables is {variables!r:.200}, expected whole numbers from 0 to "
                    f"{problem.n - 1}."
                )
            if not can[i]:
                raise InvalidInputError(
                    f"x[{i}] is fixed, or has no error by covariance (its error is {errors[i]}), "
                    "so that it has no profile: remove it from variables."
                )
        return [int(i) for i in asked]

    def sides(self, variable: int, problem: Problem) -> tuple[Side, Side]:
        """Return both sides of the profile of a variable, the lower first."""
        variance = self.covariance[variable, variable]
        direction = np.nan_to_num(self.covariance[variable]) / variance
        lower, upper = problem.box
        at = self.x[variable]
        below, above = float(at - lower[variable]), float(upper[variable] - at)
        both = variable, self.x, direction, self.rise
        return Side(-1.0, *both, below), Side(1.0, *both, above)


class Problems(Iterator[Problem]):
    """A queue of problems to minimize: more may be added while it is iterated over."""

    def __init__(self) -> None:
        self.waiting = deque[Problem]()

    @override
    def __next__(self) -> Problem:
        if not self.waiting:
            raise StopIteration
        return self.waiting.popleft()


class Profiling(Composed):
    """Profiles: how well the data determine each variable."""

    def profile(
        self,
        fun: Objective,
        result: Any,
        variables: int | list[int] | None = None,
        jac: Jacobian = None,
        bounds: BoundsLike = None,
        *,
        constraints: ConstraintsLike = (),
        level: float = 0.95,
        absolute_sigma: bool = False,
        points: int = 4,
        **settings: Unpack[RunSettings],
    ) -> Profiles:
        """Return confidence intervals by profile likelihood, and the profiles.

        A variable is moved away from the minimum, with all others minimized again, until the
        objective has risen by the amount that corresponds to ``level``. Unlike errors by
        covariance, such intervals are valid for models that are far from linear. All minimizations,
        for all variables and both sides, advance together: the points that they need next form one
        wave, as in :meth:`minimize_many`.

        Parameters
        ----------
        fun, jac, bounds, constraints
            As in :meth:`minimize`, for the same problem. A result holds no objective: it may be
            large, and a result may be kept for long, or come from a file.
        result : OptimizerResult or ErrorBars
            The fit: the result of a minimization of residuals, which has the covariance; or, for an
            objective that returns a number, the result of :func:`error_bars`.
        variables : int or list of int, optional
            Which variables; all free ones by default.
        level : float, default 0.95
            The probability that an interval holds the true value.
        absolute_sigma : bool, default False
            Whether the residuals are divided by the standard deviations of the data. If not, these
            are estimated from the scatter of the residuals, and the rise follows from Student's t
            distribution.
        points : int, default 4
            The minimum number of points on each side of a profile.
        **settings
            As in :meth:`minimize`, for each run; ``timeout`` and ``journal`` are for all.

        Returns
        -------
        Profiles
            The intervals and the profiles. An OptimizerWarning is issued if a minimum lower than
            the fit was found, or if runs did not converge.

        Raises
        ------
        InvalidInputError, CapabilityError, OptionError, UnknownOptionError
            Before the first evaluation, if an argument cannot be used; the optimizer must support
            bounds.
        BaseException
            Whatever ends all runs, such as Ctrl-C, and the first error if all fail.

        Examples
        --------
        >>> import numpy as np
        >>> from optimizers import LBFGSB, residuals
        >>> t, data = np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, 1.2, 0.8, 0.4])
        >>> @residuals
        ... def misfit(x):
        ...     return x[0] * np.exp(-x[1] * t) - data
        >>> fit = LBFGSB().minimize(misfit, [1.0, 1.0])
        >>> LBFGSB().profile(misfit, fit).interval.round(3)
        array([[1.77 , 2.233],
               [0.382, 0.63 ]])
        """
        FLAG("absolute_sigma", absolute_sigma)
        whole(1)("points", points)
        if self.get_support_level()["bounds"] < SupportLevel.supported:
            raise CapabilityError(
                f"{self._title} does not support bounds, so that it cannot fix a variable: "
                "use an optimizer that does, such as LM, TRF or LBFGSB."
            )
        is_fit = isinstance(result, OptimizerResult) and result.get("residuals") is not None
        is_bars = isinstance(result, ErrorBars)
        if not (is_fit or is_bars):
            raise InvalidInputError(
                f"result is of type {type(result).__name__} and has no residuals, expected the "
                "result of minimizing residuals with an optimizer of this package; or, for an "
                "objective that returns a number, the result of error_bars(result, fun)."
            )
        if self._effective_settings(dict(settings)).get("scale") is not None:
            warn_user("scale has no effect on profiles, which begin at a minimum.")
        further = {"constraints": constraints, "maximize": self._maximizes(dict(settings))}
        start = start_of(result.start if is_bars else result, bounds)
        problem = self._problem(fun, start, jac, bounds, **further)
        fit = Fit.of(result, problem, level, absolute_sigma)
        if len(fit.covariance) != problem.n:
            raise InvalidInputError(
                f"The result has errors of {len(fit.covariance)} variables, but x has {problem.n}: "
                "pass the same bounds as for the fit."
            )
        chosen = fit.chosen(variables, problem)
        given = dict(settings)
        self._check_settings(given)
        effective = self._effective_settings(given)
        many = {"function": "profile", "variables": chosen, "points": int(points)}
        many.update(
            x=encoded(problem.x0), rise=fit.rise, covariance=encoded(fit.covariance.ravel())
        )
        sides = {i: fit.sides(i, problem) for i in chosen}
        evaluator, problems = self._evaluator(problem.fun, given), Problems()
        asked = list[tuple[Side, float]]()

        def ask(side: Side, distances: list[float]) -> None:
            for distance in distances:
                asked.append((side, distance))
                problems.waiting.append(_held(problem, side.variable, side.guess(distance)))

        with together(self, problem, evaluator, given, effective, many) as shared:
            lockstep = LockStep(shared.evaluator, timeout=effective.get("timeout"))
            for side in itertools.chain(*sides.values()):
                error = float(np.sqrt(fit.covariance[side.variable, side.variable]))
                ask(side, side.first(fit.quantile * error, int(points)))
            ended: dict[int, OptimizerResult] = {}
            seeds = seeds_from(shared.seed)
            for member in lockstep.ended(Members(self._prepared, problems, given, shared, seeds)):
                found = ended[member.number] = member.result
                side, distance = asked[member.number]
                is_known = found.fun is not None and "error" not in found
                height = problem.sign * (found["fun"] - fit.fun) if is_known else np.inf
                side.note(distance, found.x, height)
                ask(side, side.next())
            found_all = (ended[number] for number in sorted(ended))
            runs = concluded(shared, lockstep, found_all, effective)
        _check_count(runs, result)
        _warn_of(runs, fit, problem.sign)
        strange = [i for i, both in sides.items() if any(side.is_a_wall for side in both)]
        if strange:
            warn_user(
                f"The objective is much higher next to the fit than at the fit, along x{strange}: "
                "the intervals are wrong. Is fun the one that was fitted, with the same data, "
                "loss and bounds?"
            )
        interval = np.full((problem.n, 2), np.nan)
        curves = {i: _curve(i, fit, problem.sign, *both) for i, both in sides.items()}
        for i, curve in curves.items():
            interval[i] = curve.low, curve.high
        return Profiles(float(level), curves, interval, runs)


def _held(problem: Problem, variable: int, start: Array) -> Problem:
    """Return a problem with one variable held at its start."""
    lower, upper = (side.copy() for side in problem.box)
    start = problem.clip(start)
    lower[variable] = upper[variable] = start[variable]
    return replace(problem, x0=start, lower=lower, upper=upper)


def _curve(variable: int, fit: Fit, sign: float, below: Side, above: Side) -> Profile:
    """Return the profile made of both sides."""
    at = fit.x[variable]
    known = [*below.minima()[:0:-1], *above.minima()]
    points, heights = zip(*known, strict=True)
    low, high = at - below.end(), at + above.end()
    return Profile(variable, np.array(points), fit.fun + sign * np.array(heights), low, high)


def _check_count(runs: OptimizerResults, result: Any) -> None:
    """Raise an InvalidInputError if the number of residuals differs from that of the fit."""
    known = np.size(result["residuals"]) if isinstance(result, OptimizerResult) else 0
    counts = {np.size(run["residuals"]) for run in runs if run.get("residuals") is not None}
    for count in counts if known else ():
        if count != known:
            raise InvalidInputError(
                f"fun returned {count} residuals, but {known} in the fit: pass the fun that was "
                "fitted."
            )


def _warn_of(runs: OptimizerResults, fit: Fit, sign: float) -> None:
    """Warn if the fit is not the best minimum, or profiles may be wrong."""
    best, failed = runs.best, sum(not result.success for result in runs)
    if best is not None and best.fun is not None:
        fall = sign * (fit.fun - best.fun)
        if fall > _LOWER * fit.rise:
            warn_user(
                f"A minimum that is better than the fit by {fall:.3g} was found at "
                f"{best.x.tolist()}: fit again from there, and repeat the profile."
            )
    if failed:
        warn_user(
            f"{failed} of {len(runs)} minimizations did not converge: intervals may be too narrow. "
            "Their results are in the attribute runs."
        )
