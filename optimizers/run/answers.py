"""Answers: the values and gradients at the points that an algorithm asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optimizers._types import Array
from optimizers.evaluation.wave import Question
from optimizers.run.memory import Evaluation


class Answers:
    """The answers to the points of a question.

    ``found`` has an evaluation for each point; a penalty, or None, where the evaluation failed.
    """

    __slots__ = ("_known_at", "_question", "found")

    def __init__(
        self,
        found: list[Evaluation | None],
        known_at: Sequence[bool] | None = None,
        question: Question | None = None,
    ) -> None:
        self.found = found
        self._known_at = known_at
        self._question = question

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which points were evaluated, shape (k,)."""
        if self._known_at is not None:
            return np.array(self._known_at)
        return np.array([known is not None for known in self.found])

    @property
    def errors(self) -> Array:
        """The standard errors of the values, shape (k,); NaN where the objective returns none."""
        if self._question is None:
            return np.full(len(self.found), np.nan)
        return self._question.errors
