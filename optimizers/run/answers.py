"""Answers: what came of the points that an algorithm asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.evaluation.wave import Question
from optimizers.run.memory import Evaluation


class Answers:
    """What came of the points of a question.

    ``found`` has what is at each point; a penalty, or None, at one whose evaluation failed.
    """

    __slots__ = ("_question", "_results", "found")

    def __init__(
        self,
        found: list[Evaluation | None],
        results: Sequence[Evaluation | Exception | None] | None = None,
        question: Question | None = None,
    ) -> None:
        self.found = found
        self._results = found if results is None else results
        self._question = question

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which points were evaluated, shape (k,)."""
        return np.array([isinstance(result, Evaluation) for result in self._results])

    @property
    def errors(self) -> Array:
        """The standard errors of the values, shape (k,); NaN where the objective tells none."""
        if self._question is None:
            return np.full(len(self.found), np.nan)
        return self._question.errors
