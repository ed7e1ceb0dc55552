"""The search of NoisyLBFGSB: quasi-Newton steps as far as they exceed the noise."""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.flow import Flow, Step, Told, ended
from optimizers.result import StopReason
from optimizers.run.budget import StopRun
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.variational.measuring import Measured, Measuring

#: The gradient exceeds its noise if its predicted decrease is this many times the one that noise
#: alone would predict.
_TOLD = 2.0
#: The maximum number of waves in which a point is measured before the search for a step ends.
_PATIENCE = 8
#: How many steps of single variables may bring no visible decrease.
_PARTIAL = 20
#: The fraction of the predicted decrease that a step has to achieve, and the tolerance in standard
#: errors.
_ARMIJO, _RELAXED = 1e-4, 1.5
#: How often a step is shortened, and by how much at least and at most.
_TRIALS, _SHRINK = 20, (0.1, 0.5)
#: By how many standard errors a curvature has to differ from zero to be significant.
_BELIEVED = 3.0
#: The minimum curvature that scales a step, relative to the largest.
_LEAST_CURVATURE = 0.1
#: A decrease of this many standard errors is certain.
_VISIBLE = 4.0


class NoisySearch:
    """One run of NoisyLBFGSB on a noisy objective, with its options."""

    def __init__(
        self, run: Run, measuring: Measuring, options: dict[str, Any], first: Measured | None = None
    ) -> None:
        self._problem, self._extra, self._known = run.problem, run.extra, run.known_points
        self._measuring, self._options = measuring, options
        self._pairs: list[tuple[Array, Array]] = []
        # The length of a step along the gradient if the curvature is unknown.
        self._scale: float | None = None
        self._repeats = 1
        # The number of steps of single variables since the last visible decrease, and where that
        # was.
        self._partial = 0
        self._mark: Measured | None = None
        # Where the run began; None if that is here.
        self._first = first
        #: The current point, and the best earlier one.
        self._current: Measured | None = None
        self._left: Measured | None = None

    def flow(self) -> Flow:
        """Return the search as a flow; it ends at the best estimate even if it is stopped."""
        try:
            return (yield from self._searching())
        except StopRun as stop:
            if self._current is None:
                raise
            outcome = self._ended(stop.reason)
            outcome.status = 0 if outcome.success else -1
            outcome.message = f"Stopped: {stop.reason.sentence}."
            return outcome

    def _searching(self) -> Flow:
        measuring = self._measuring
        # The noise of the user's gradient is unknown until it has been measured twice.
        twice = 1 if measuring.source is not None else 2
        current = self._current = yield from measuring.at(self._problem.x0, twice)
        self._first = self._first or current
        for step, change in self._known.pairs(current.x, current.jac, self._options["maxcor"]):
            self._keep(step, change, current.jac_error, current.jac_error)
        iterations = 0
        while iterations < self._options["maxiter"]:
            free = self._free(current)
            if np.max(np.abs(current.jac[free]), initial=0.0) <= self._options["gtol"]:
                return self._ended(StopReason.GRADIENT)
            step, promised, blurred = self._step(current, free)
            if promised <= blurred and self._is_worth_it(current):
                # Those beyond what chance explains in any of n.
                beyond = 1.0 + np.sqrt(2.0 * np.log(current.x.size))
                clear = free & (np.abs(current.jac) > beyond * current.jac_error)
                if clear.any():  # a single variable may show what the noise of all hides
                    self._partial += 1
                    step, promised, blurred = self._step(current, clear)
            new = None
            if promised > blurred:
                new = yield from self._searched(current, step)
            if new is None:
                if current.waves >= _PATIENCE:
                    return self._ended(StopReason.NOISE)
                before = current
                self._grow(current, promised, blurred)
                current = self._current = yield from measuring.again(current, self._repeats)
                if np.array_equal(current.values, before.values):
                    return self._ended(StopReason.NOISE)  # measuring again does not help
                continue
            self._learn(current, new)
            if self._left is None or current.fun < self._left.fun:
                self._left = current
            current = self._current = new
            iterations += 1
            yield Step(current.x, current.fun, current.jac, {"fun_error": float(current.fun_error)})
        return self._ended(StopReason.MAXITER)

    def _free(self, at: Measured) -> NDArray[np.bool_]:
        """Return which variables may move: those at a bound only away from it."""
        lower, upper = self._problem.box
        return ((at.x > lower) | (at.jac < 0)) & ((at.x < upper) | (at.jac > 0)) & (lower < upper)

    def _is_worth_it(self, at: Measured) -> bool:
        """Return whether to continue steps of single variables, a few without visible success."""
        if self._mark is None or self._mark.is_above(at, _BELIEVED):
            self._mark, self._partial = at, 0
        return self._partial < _PARTIAL

    def _step(self, at: Measured, moving: NDArray[np.bool_]) -> tuple[Array, float, float]:
        """Return a step of some variables, its predicted decrease, and the part from noise."""
        inverse = CompactInverse(self._initial(at), self._pairs, moving)
        step = -inverse.product(at.jac * moving)
        blurred = _TOLD * float(inverse.diagonal @ at.jac_error**2)
        return step, -float(at.jac @ step), blurred

    def _initial(self, at: Measured) -> Array:
        """Return the initial diagonal of the inverse Hessian."""
        if at.curvature is not None and at.curvature_error is not None:
            size = np.abs(at.curvature)
            seen = size > _BELIEVED * at.curvature_error
            if 2 * np.count_nonzero(seen) >= size.size:
                size = np.where(seen, size, np.median(size[seen]))
                diagonal: Array = 1 / np.maximum(size, _LEAST_CURVATURE * size.max())
                return diagonal
        if self._pairs:
            s, y = self._pairs[-1]
            return np.full(at.x.size, float(s @ y) / float(y @ y))
        if self._scale is None:
            self._scale = 1 / max(float(np.linalg.norm(at.jac)), 1e-300)
        return np.full(at.x.size, self._scale)

    def _searched(
        self, current: Measured, step: Array
    ) -> Generator[AskData | Step, Told, Measured | None]:
        """Return the measurement after a step that is not visibly too long, or None.

        The relaxed line search of [2] of :class:`NoisyLBFGSB`.
        """
        length = 1.0
        for _ in range(_TRIALS):
            x = self._problem.clip(current.x + length * step)
            moved = x - current.x
            if not moved.any():
                break
            slope = float(current.jac @ moved)
            new = yield from self._measuring.at(x, self._repeats)
            slack = _RELAXED * np.hypot(current.fun_error, new.fun_error)
            if not new.is_rejected and new.fun <= current.fun + _ARMIJO * slope + slack:
                if self._scale is not None:
                    self._scale *= 2.0 if length == 1.0 else length
                return new
            bend = new.fun - current.fun - slope
            ratio = -slope / (2 * bend) if bend > 0 and not new.is_rejected else 0.0
            length *= float(np.clip(ratio, *_SHRINK))
        if self._scale is not None:
            self._scale *= length
        return None

    def _learn(self, old: Measured, new: Measured) -> None:
        """Keep a pair whose curvature exceeds the noise: [1] without the lengthening of steps."""
        self._keep(new.x - old.x, new.jac - old.jac, old.jac_error, new.jac_error)

    def _keep(self, s: Array, y: Array, old_error: Array, new_error: Array) -> None:
        """Keep a step and the change of the gradient, given the errors of the two gradients."""
        error = float(np.linalg.norm(s * np.hypot(old_error, new_error)))
        if s @ y > _BELIEVED * error and s @ y > 1e-8 * float(s @ s):
            self._pairs = [*self._pairs, (s, y)][-self._options["maxcor"] :]

    def _grow(self, at: Measured, promised: float, blurred: float) -> None:
        """Choose the number of measurements of each point in a wave, by the norm test of [3]."""
        if promised < blurred:
            wanted = np.ceil(at.count * blurred / max(promised, 1e-300))
            self._repeats = int(np.clip(wanted, self._repeats, self._options["max_resamplings"]))

    def _ended(self, stop: StopReason) -> Outcome:
        """Return the outcome at the current point, or at an earlier one that is visibly better."""
        found, left = self._current, self._left
        assert found is not None
        if left is not None and found.is_above(left, _BELIEVED):
            found = left
        self._extra.update(fun_error=float(found.fun_error), noise=self._measuring.sigma)
        outcome = ended(found.x, stop, found.fun, found.jac)
        if stop is StopReason.NOISE:
            outcome.success = self._is_minimum(found)
            outcome.status = int(not outcome.success)
            verdict = "it is unknown whether this is a minimum"
            if outcome.success:
                verdict = "this is a minimum as far as can be seen"
            outcome.message = (
                f"The gradient cannot be distinguished from its noise: {verdict}; "
                f"f = {self._problem.sign * found.fun:.8g} +- {found.fun_error:.1g}."
            )
        return outcome

    def _is_minimum(self, found: Measured) -> bool:
        """Return whether a point is certainly below the start, and no curvature is negative."""
        assert self._first is not None  # a gradient within its noise may be on a plateau
        bent, error = found.curvature, found.curvature_error
        if bent is not None and error is not None and (bent < -_BELIEVED * error).any():
            return False
        return self._first.is_above(found, _VISIBLE)


class CompactInverse:
    """A limited-memory inverse Hessian on the free variables.

    Eq. 3.1 of Byrd, Nocedal and Schnabel, Mathematical Programming 63 (1994) 129-156.
    """

    def __init__(
        self, initial: Array, pairs: Sequence[tuple[Array, Array]], free: NDArray[np.bool_]
    ) -> None:
        self._initial = np.where(free, initial, 0.0)
        kept = [(s * free, y * free) for s, y in pairs]
        kept = [(s, y) for s, y in kept if s @ y > 0.0]
        self._wings = np.zeros((initial.size, 0))
        self._middle = np.zeros((0, 0))
        if not kept:
            return
        # The article's S and Y, R inverted, D Y, and E + Y^T D Y.
        steps, bends = (np.stack(part, axis=1) for part in zip(*kept, strict=True))
        products = steps.T @ bends
        inverse = np.linalg.inv(np.triu(products))
        scaled = self._initial[:, np.newaxis] * bends
        core = np.diag(np.diag(products)) + bends.T @ scaled
        zeros = np.zeros_like(core)
        self._wings = np.concatenate([steps, scaled], axis=1)
        self._middle = np.block([[inverse.T @ core @ inverse, -inverse.T], [-inverse, zeros]])

    def product(self, vector: Array) -> Array:
        """Return its product with a vector."""
        product: Array = self._initial * vector
        product += self._wings @ (self._middle @ (self._wings.T @ vector))
        return product

    @property
    def diagonal(self) -> Array:
        """Its diagonal, shape (n,)."""
        further = np.einsum("ij,ij->i", self._wings @ self._middle, self._wings)
        diagonal: Array = np.maximum(self._initial + further, 0.0)
        return diagonal
