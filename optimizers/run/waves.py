"""Waves: taken through the evaluator, counted, and noted in their blocks.

Every answer that arrives is counted, and is a candidate for the incumbent, whatever follows it; a
failure is an error or a penalty.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.errors import (
    BrokenPoolError,
    InvalidInputError,
    InvalidValueError,
    JournalError,
    NonFiniteValueError,
    release,
)
from optimizers.evaluation.answers import (
    REJECT,
    PlusInfinityError,
    as_gradient,
    as_jacobian,
    as_value,
    errors_of,
    non_finite,
    residuals_of,
    unpack,
    values_of,
)
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.losses import Loss
from optimizers.evaluation.repeated import Repeated
from optimizers.evaluation.task import Failure
from optimizers.evaluation.wave import Answer, Block, Cost, RetryBudget, Wave
from optimizers.result import StopReason
from optimizers.run.budget import Budget, StopRun
from optimizers.run.memory import Evaluation, Memory

#: Why there is no penalty for a failure at the start.
_AT_START = (
    "This is the start, or a probe of its gradient, and there is no point to step back to: start "
    "from another point."
)
#: And for a later one: the gradient at the best point cannot be computed.
_AT_BEST = "The probes of the gradient at the best point failed on both sides."
#: Failures that another point would not avoid.
_FINAL = (InvalidValueError, InvalidInputError, BrokenPoolError, JournalError)
#: Decides from the value at the first point whether the rest of a wave is needed.
Skip: TypeAlias = Callable[[float], bool]


class Waves:
    """Evaluates the waves of a run."""

    def __init__(
        self,
        evaluator: Evaluator,
        budget: Budget,
        memory: Memory,
        on_failure: str,
        loss: Loss | None = None,
    ) -> None:
        self.evaluator, self.budget, self.memory = evaluator, budget, memory
        #: Whether a failed point is answered by a penalty.
        self.penalizes = on_failure == "reject"
        #: Whether NaN and infinities are passed on to the algorithm, as in SciPy.
        self.propagates_nonfinite = on_failure == "pass"
        #: The loss of residuals, if the objective returns these.
        self.loss = loss
        #: A sufficient value.
        self.target: float | None = None
        self._counted = _counts(evaluator)

    def take_through(self, evaluator: Evaluator) -> None:
        """Use another evaluator from here on."""
        self.evaluator = evaluator
        self._counted = _counts(evaluator)

    def take(
        self,
        blocks: Sequence[Block],
        skip_gradient_if: Skip | None = None,
        *,
        is_first_needed: bool = True,
        values: Block | None = None,
    ) -> None:
        """Evaluate a wave; its blocks get values, and failures that become penalties.

        Other failures are raised, as is one at a first point that is needed; but a NaN gradient
        waits for its value, perhaps in ``values``, which may be +inf.
        """
        asked = [self.measured(block) for block in blocks]
        cost, missing = self.cost(asked), sum(len(block.points) for block in asked)
        self.budget.check(cost)
        required = int(is_first_needed) if self.penalizes else missing
        retries = RetryBudget(self.budget.unspent - cost)
        wave = Wave(asked, retries, self.budget.deadline, required, is_first_needed)
        values = values or blocks[0]
        answers, open_gradients = self.evaluator.answers(wave), list[tuple[int, Exception]]()
        try:
            for block, part, answer in answers:
                missing -= part.stop - part.start
                is_first = block is asked[0] and part.start == 0
                for row, error in self._noted(block, part, answer):
                    if not (is_first and row == 0 and is_first_needed) and self.has_penalty(error):
                        block.failures[row] = error
                    elif _may_have_none(error, values, block, row):
                        open_gradients.append((row, error))
                    else:
                        raise error
                if self.target is not None and block.is_real:
                    self._end_at(self.target, block.points[part], block.values[part])
                if is_first and skip_gradient_if is not None and skip_gradient_if(block.values[0]):
                    return
        finally:
            answers.close()
            self._count()
            for block, one in zip(blocks, asked, strict=True):
                if isinstance(one, Repeated):
                    one.fold()
                if block.is_real:
                    self._update(block.points, block.values, block.residuals)
                for error in block.failures.values():
                    release(error)
            for points, answer in wave.late:
                self._update(points, values_of(answer), residuals_of(answer))
        if self.target is not None:
            for points, answer in wave.late:
                self._end_at(self.target, points, values_of(answer))
        if missing:
            raise StopRun(StopReason.TIMEOUT)
        for row, error in open_gradients:
            if row not in values.failures:
                raise error

    @property
    def prices_points(self) -> bool:
        """Whether points differ in what they take: some are known, or they take shots."""
        return self.evaluator.is_informed or self.budget.paid.takes_shots

    def measured(self, block: Block) -> Block:
        """Return what is evaluated for a block: with shots, or several times in their place."""
        if block.kind != "fun":
            return block
        if self.budget.paid.takes_shots and block.shots is None:
            assert self.budget.paid.each is not None
            block.shots = np.full(len(block.points), self.budget.paid.each)
        if self.budget.paid.takes_shots or block.shots is None:
            return block
        return Repeated(block, -(-block.shots // (self.budget.paid.each or 1)))

    def over(self, block: Block) -> StopReason | None:
        """Return which limit a wave of a block would exceed; None if it is within all."""
        return self.budget.over(self.cost([self.measured(block)]))

    def cost(self, blocks: Sequence[Block]) -> Cost:
        """Return what blocks that are evaluated take."""
        if len(blocks) == 1:  # the usual case is fast
            return self.evaluator.cost(blocks[0])
        return sum((self.evaluator.cost(block) for block in blocks), Cost(0))

    def _end_at(self, target: float, points: Array, values: Array) -> None:
        """End the run if a value reaches the target at a feasible point."""
        for x in points[values <= target]:
            if self.memory.is_feasible(x):
                raise StopRun(StopReason.TARGET)

    def _count(self) -> None:
        """Count the calls that the evaluator has started."""
        budget, now = self.budget, _counts(self.evaluator)
        values, gradients, shots = (new - old for new, old in zip(now, self._counted, strict=True))
        budget.nfev += values
        budget.njev += gradients
        budget.nshots += shots
        budget.njobs += bool(values or gradients)
        self._counted = now

    def _update(self, points: Array, values: Array, residuals: Array | None) -> None:
        if len(values) == 1:
            value = values.item(0)
            if value - value == 0.0:
                own = None if residuals is None else residuals[0]
                self.memory.update_incumbent(points[0], value, own)
        else:
            self.memory.update_incumbents(points, values, residuals)

    def _noted(self, block: Block, part: slice, answer: Answer) -> Iterator[tuple[int, Failure]]:
        """Note the answer to a part, and yield the rows that failed."""
        if isinstance(answer, BaseException):
            for row in range(part.start, part.stop):
                yield row, answer
        elif block.function is not None:
            for row, raw in enumerate(answer, part.start):
                try:
                    self._note_gradient(block, row, raw)
                except Exception as error:
                    yield row, error
        else:
            if answer.ndim > 1:
                try:
                    self._note_further(block, part, answer)
                except InvalidValueError as error:
                    yield part.start, error
                    return
            values = block.values[part] = values_of(answer)
            # A finite number minus itself is zero: for a single one, faster than isfinite.
            one = values.item(0) if len(values) == 1 else None
            is_finite = np.isfinite(values).all() if one is None else one - one == 0.0
            if not is_finite and not self.propagates_nonfinite:
                for i in np.flatnonzero(~np.isfinite(values)):
                    yield part.start + int(i), non_finite(values[i], self.memory.sign)

    def _note_further(self, block: Block, part: slice, answer: NDArray[Any]) -> None:
        """Note the standard errors or residuals of an answer."""
        residuals = residuals_of(answer)
        if residuals is None:
            block.errors[part] = errors_of(answer)
        else:
            self.memory.note_count(residuals.shape[1])
            block.note_residuals(part, residuals)

    def _note_gradient(self, block: Block, row: int, raw: Any) -> None:
        if block.kind == "both":
            value, raw = unpack(raw)
            if self.loss is None:
                value = as_value(value)
            else:
                answer = self.loss.answer(value, 1, np.float64)
                self._note_further(block, slice(row, row + 1), answer)
                value = answer.item(0)
            block.values[row] = value
            if not (math.isfinite(value) or self.propagates_nonfinite):
                raise non_finite(value, self.memory.sign)
        n = block.points.shape[1]
        if self.loss is None:
            block.gradients[row] = self.as_gradient(raw, n)
        else:
            block.jacobians[row] = self.as_jacobian(raw, n)

    def has_penalty(self, error: Failure) -> TypeGuard[Exception]:
        """Return whether a failure becomes a penalty; +inf always does, unless it is passed on."""
        # A bug (wrong type, shape or number of values) is not a bad point; nor is a broken pool.
        penalizes = self.penalizes and not isinstance(error, (*_FINAL, SystemExit))
        return penalizes or isinstance(error, PlusInfinityError)

    def penalty_for(
        self, x: Array, error: Exception, *, needs_gradient: bool = False
    ) -> Evaluation:
        """Return the penalty for a failed point, or raise its error."""
        if isinstance(error, StopIteration) or isinstance(error.__cause__, StopIteration):
            # From the objective, directly or through the generator of a wave.
            release(error)
            raise StopRun(StopReason.CALLBACK) from None
        release(error)
        has_penalty = self.has_penalty(error)
        penalty = self.memory.penalty(x) if has_penalty else None
        if penalty is None or (needs_gradient and penalty.jac is None):
            words = _AT_START if self.memory.last_good is None else _AT_BEST
            if isinstance(error, PlusInfinityError):
                raise NonFiniteValueError(str(error).replace(REJECT, words)) from None
            if isinstance(error, NonFiniteValueError) and self.memory.last_good is None:
                error.args = (str(error).replace(REJECT, words),)
            elif has_penalty:
                error.add_note(words)
            raise error
        self.budget.nrejected += 1
        self.budget.npenalized += 1
        return penalty

    def probe(self, block: Block) -> Array:
        """Return the values of a wave that no algorithm asked for; NaN where there is none."""
        block.own = ()
        propagates, self.propagates_nonfinite = self.propagates_nonfinite, True
        try:
            self.take([block], is_first_needed=False)
            return block.values
        finally:
            self.propagates_nonfinite = propagates

    def as_gradient(self, raw: Any, n: int, name: str = "jac") -> Array:
        """Return a gradient in the form for the algorithm."""
        return as_gradient(raw, n, finite=not self.propagates_nonfinite, name=name)

    def as_jacobian(self, raw: Any, n: int) -> Any:
        """Return a Jacobian in the form for the algorithm."""
        return as_jacobian(raw, self.memory.m, n, finite=not self.propagates_nonfinite)


def _counts(evaluator: Evaluator) -> tuple[int, int, int]:
    """Return how many values, gradients and shots an evaluator has begun."""
    facts = evaluator.facts
    return facts.started, facts.gradients, facts.shots


def _may_have_none(error: Failure, values: Block, block: Block, row: int) -> TypeGuard[Exception]:
    """Return whether a gradient may be NaN because its value, maybe still unknown, is +inf."""
    is_nan = block.kind == "jac" and isinstance(error, NonFiniteValueError)
    return is_nan and values is not block and not math.isfinite(values.values[row])
