"""Waves on a map-like callable, such as SciPy takes as ``workers``: ``workers(fun, points)``."""

from collections.abc import Callable, Generator, Sequence
from itertools import groupby
from typing import Any

from typing_extensions import override

from optimizers._types import Objective
from optimizers.errors import InvalidInputError, InvalidValueError, OptionError, release
from optimizers.evaluation.evaluator import Evaluator, Facts, Part, check_group
from optimizers.evaluation.marks import is_vectorized, marked_like
from optimizers.evaluation.task import Caught, Failure, Form, TaskResult, evaluate, is_worth_a_retry
from optimizers.evaluation.wave import Block, Wave

_Row = tuple[Block, slice]


class MapEvaluator(Evaluator):
    """Evaluates each wave by one call of a map-like callable for each function."""

    def __init__(
        self, fun: Objective, group: int | None, mapping: Callable[..., Any], *, retries: int = 0
    ) -> None:
        if check_group(group) > 1 or is_vectorized(fun):
            raise OptionError(
                "workers is map-like, which gets one point per task: it cannot be combined with "
                "max_evals_grouped > 1 or a vectorized objective."
            )
        super().__init__(fun, retries=retries)
        self._map = mapping

    @override
    def _made_facts(self) -> Facts:
        facts = Facts()
        facts.has_workers = True
        return facts

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        # Failures come last, so that no value is lost.
        for _, same in groupby(wave.blocks, lambda block: block.function):
            rows = [(block, slice(i, i + 1)) for block in same for i in range(len(block.points))]
            for attempt in range(self._retries + 1):
                if not rows or wave.is_overdue:
                    break
                for row in rows:
                    self.facts.count(*row)
                failed: list[tuple[Block, slice, Failure]] = []
                for (block, part), result in zip(rows, self._results(rows, wave), strict=True):
                    self.facts.precision = max(self.facts.precision, result.precision)
                    if result.error is None and len(result.values) == 0:  # time was up
                        self.facts.count(block, part, -1)
                    elif result.error is None:
                        yield block, part, result.values
                    else:
                        release(result.error)
                        failed.append((block, part, result.error))
                rows = []
                for block, part, error in failed:
                    may = attempt < self._retries and is_worth_a_retry(error)
                    if may and wave.retries.grants(block, part):
                        rows.append((block, part))
                    else:
                        yield block, part, error

    def _results(self, rows: Sequence[_Row], wave: Wave) -> list[TaskResult]:
        """Return the map's answers for some rows, all for one function."""
        fun, form = self._way(rows[0][0])
        try:
            answers = self._map(
                Caught(fun, form, wave.deadline),
                [block.sent(part)[0].copy() for block, part in rows],
            )
            if callable(getattr(answers, "submit", None)):
                raise InvalidInputError(
                    f"workers is {self._map!r}, which was called as a map since it accepts any "
                    "number of arguments, but it returned an executor: pass a callable without "
                    "arguments."
                )
            answers = list(answers)
            if len(answers) != len(rows):
                raise InvalidValueError(
                    f"workers returned {len(answers)} answers, expected {len(rows)} numbers, one "
                    "for each point."
                )
        except Exception as error:  # from the map itself
            return [TaskResult(error=error) for _ in rows]
        return [
            _as_result(fun, answer, block) for answer, (block, _) in zip(answers, rows, strict=True)
        ]


def _as_result(fun: Objective, answer: Any, block: Block) -> TaskResult:
    if isinstance(answer, TaskResult):
        return answer
    # A map that evaluates by itself returns the function's answers.
    form: Form = "points" if block.function is None else "raw"
    return evaluate(marked_like(lambda _: answer, fun), form, block.points[:1])
