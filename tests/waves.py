"""Asking evaluators, as a run does."""

import math

import numpy as np

from optimizers.evaluation.wave import Block, Wave


def answered(evaluator, points):
    """Yield the rows of points as they are answered, and the answers."""
    answers = evaluator.answers(Wave([Block(points)]))
    try:
        for _, part, answer in answers:
            yield part, answer
    finally:
        answers.close()


def measured(evaluator, x):
    """Return value and standard error at a point; raise its failure."""
    ((_, answer),) = answered(evaluator, x[np.newaxis])
    if isinstance(answer, BaseException):
        raise answer
    return tuple(answer[0].tolist()) if answer.ndim > 1 else (answer.item(0), math.nan)


def asked_value(evaluator, x):
    """Return the value at a point; raise its failure."""
    return measured(evaluator, x)[0]
