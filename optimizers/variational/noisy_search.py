"""The search of NoisyLBFGSB: quasi-Newton steps as far as they can be told from noise."""

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

#: The gradient is told from its noise if the decrease that it promises is so many times the one
#: that its noise alone would.
_TOLD = 2.0
#: In how many waves a point is measured, at the most, before the search gives up telling a step.
_PATIENCE = 8
#: How many steps of single variables may bring no visible decrease.
_PARTIAL = 20
#: How much of the promised decrease a step has to keep, and how many standard errors it may miss
#: that by.
_ARMIJO, _RELAXED = 1e-4, 1.5
#: How often a step is shortened, and by how much at least and at most.
_TRIALS, _SHRINK = 20, (0.1, 0.5)
#: By how many standard errors a curvature has to differ from zero to be believed.
_BELIEVED = 3.0
#: The least curvature that a step is scaled by, relative to the largest.
_LEAST_CURVATURE = 0.1
#: A decrease of so many standard errors is beyond doubt.
_VISIBLE = 4.0


class NoisySearch:
    """One run of NoisyLBFGSB, with its options, where there is noise."""

    def __init__(self, run: Run, measuring: Measuring, options: dict[str, Any]) -> None:
        self._problem, self._extra = run.problem, run.extra
        self._measuring, self._options = measuring, options
        self._pairs: list[tuple[Array, Array]] = []
        # How long a step along the gradient is where nothing tells the curvature.
        self._scale: float | None = None
        self._repeats = 1
        # How many steps of single variables there were since the value has visibly fallen, and
        # where it had.
        self._partial = 0
        self._mark: Measured | None = None
        self._first: Measured | None = None
        #: The point where it stands, and the best that it left.
        self._current: Measured | None = None
        self._left: Measured | None = None

    def flow(self) -> Flow:
        """Return the search as a flow; it ends on the best estimate also when it is stopped."""
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
        # Of the user's own gradient nobody knows the noise until it is had twice.
        twice = 1 if measuring.source is not None else 2
        current = self._first = self._current = yield from measuring.at(self._problem.x0, twice)
        iterations = 0
        while iterations < self._options["maxiter"]:
            free = self._free(current)
            if np.max(np.abs(current.jac[free]), initial=0.0) <= self._options["gtol"]:
                return self._ended(StopReason.GRADIENT)
            step, promised, blurred = self._step(current, free)
            if promised <= blurred and self._is_worth_it(current):
                # Those beyond what chance makes of noise in any of n.
                beyond = 1.0 + np.sqrt(2.0 * np.log(current.x.size))
                clear = free & (np.abs(current.jac) > beyond * current.jac_error)
                if clear.any():  # what is hidden in the noise of all may show in one
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
                    return self._ended(StopReason.NOISE)  # measuring again tells nothing new
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
        """Return whether steps of single variables are to go on: a few without visible success."""
        if self._mark is None or self._mark.is_above(at, _BELIEVED):
            self._mark, self._partial = at, 0
        return self._partial < _PARTIAL

    def _step(self, at: Measured, moving: NDArray[np.bool_]) -> tuple[Array, float, float]:
        """Return a step of some variables, the decrease that it promises, and that of noise."""
        inverse = CompactInverse(self._initial(at), self._pairs, moving)
        step = -inverse.product(at.jac * moving)
        blurred = _TOLD * float(inverse.diagonal @ at.jac_error**2)
        return step, -float(at.jac @ step), blurred

    def _initial(self, at: Measured) -> Array:
        """Return the diagonal that the inverse Hessian begins with."""
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
        """Return what is at the end of a step that is not visibly too long, or None.

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
        """Keep a pair whose curvature is told from noise: [1] but for the lengthening of steps."""
        s, y = new.x - old.x, new.jac - old.jac
        error = float(np.linalg.norm(s * np.hypot(old.jac_error, new.jac_error)))
        if s @ y > _BELIEVED * error and s @ y > 1e-8 * float(s @ s):
            self._pairs = [*self._pairs, (s, y)][-self._options["maxcor"] :]

    def _grow(self, at: Measured, promised: float, blurred: float) -> None:
        """Choose how often a wave measures each point, by the norm test of [3]."""
        if promised < blurred:
            wanted = np.ceil(at.count * blurred / max(promised, 1e-300))
            self._repeats = int(np.clip(wanted, self._repeats, self._options["max_resamplings"]))

    def _ended(self, stop: StopReason) -> Outcome:
        """Return the outcome where it stands, or at a point before that is visibly better."""
        found, left = self._current, self._left
        assert found is not None
        if left is not None and found.is_above(left, _BELIEVED):
            found = left
        self._extra.update(fun_error=float(found.fun_error), noise=self._measuring.sigma)
        outcome = ended(found.x, stop, found.fun, found.jac)
        if stop is StopReason.NOISE:
            outcome.success = self._is_minimum(found)
            outcome.status = int(not outcome.success)
            verdict = "whether it is a minimum cannot be told"
            if outcome.success:
                verdict = "a minimum as far as one can tell"
            outcome.message = (
                f"The gradient cannot be told from its noise: {verdict}; "
                f"f = {self._problem.sign * found.fun:.8g} +- {found.fun_error:.1g}."
            )
        return outcome

    def _is_minimum(self, found: Measured) -> bool:
        """Return whether a point is below the start beyond doubt, and no curvature is negative."""
        assert self._first is not None  # a gradient within its noise may be that of a plateau
        bent, error = found.curvature, found.curvature_error
        if bent is not None and error is not None and (bent < -_BELIEVED * error).any():
            return False
        return self._first.is_above(found, _VISIBLE)


class CompactInverse:
    """A limited-memory inverse Hessian on the variables that are free to move.

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
