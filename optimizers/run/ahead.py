"""Points ahead: an evaluator that also evaluates what an algorithm may ask for next."""

from collections.abc import Generator, Sequence

import numpy as np
from typing_extensions import override

from optimizers._types import Array
from optimizers.evaluation.evaluator import Evaluator, Part
from optimizers.evaluation.wave import Answer, Block, Cost, RetryBudget, Wave
from optimizers.run.budget import Budget


class AheadEvaluator(Evaluator):
    """Evaluates a point that is asked for, and those that may be asked for next, in one wave.

    Their answers are kept until the next such wave. Each value is a candidate for the incumbent at
    once; a failure matters only if its point is asked for.
    """

    is_informed = True

    def __init__(self, inner: Evaluator, budget: Budget) -> None:
        # Not the base's, as in KnownEvaluator: the state is that of the inner evaluator.
        self._inner, self._budget, self.facts = inner, budget, inner.facts
        #: The points that may be asked for after the next one.
        self.ahead: Sequence[Array] = ()
        self._kept: dict[bytes, Answer] = {}

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def cost(self, block: Block) -> Cost:
        return Cost(0) if block.points.tobytes() in self._kept else self._inner.cost(block)

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        block = wave.blocks[0]
        if len(wave.blocks) > 1 or len(block.points) > 1 or block.kind != "fun":
            yield from self._inner.answers(wave)
            return
        key = block.points.tobytes()
        if key not in self._kept:
            self._evaluate(block, wave)
        if key in self._kept:  # there was time for it
            yield block, slice(0, 1), self._kept.pop(key)

    def _evaluate(self, block: Block, wave: Wave) -> None:
        """Evaluate the point of a block, and as many of those ahead as the budget allows."""
        count = int(min(len(self.ahead), self._budget.left - 1))
        points = np.vstack([block.points, *self.ahead[:count]])
        every = Block(points)
        if block.shots is not None:
            every.shots = np.full(len(points), block.shots[0])
        required, retries = wave.required_rows, RetryBudget(self._budget.unspent - every.cost)
        larger = Wave([every], retries, wave.deadline, required, wave.is_first_needed)
        self._kept = {}
        answers = self._inner.answers(larger)
        try:
            for _, part, answer in answers:
                for i, row in enumerate(range(part.start, part.stop)):
                    key = points[row].tobytes()
                    if isinstance(answer, BaseException):
                        self._kept[key] = answer
                        continue
                    self._kept[key] = answer[i : i + 1]
                    if row:
                        wave.late.append((points[row : row + 1], answer[i : i + 1]))
                if isinstance(answer, BaseException) and part.start == 0:
                    return
        finally:
            answers.close()
            wave.late += larger.late
