"""Runs of the flow without an optimizer around it."""

import numpy as np
from scipy.optimize import rosen, rosen_der

from optimizers.asktell.flow import Step, Told
from optimizers.native.lbfgsb import Lbfgsb


def valley(x):
    return float(rosen(x)), rosen_der(x)


def run(state: Lbfgsb, both, maxiter: int = 15000):
    """Return why a run ended, and all points that it asked for."""
    flow, told, points = state.flow(maxiter), None, []
    while True:
        try:
            asked = flow.send(told)
        except StopIteration as end:
            return end.value, points
        told = None
        if not isinstance(asked, Step):
            points.append(asked.x_fun)
            told = Told(*both(asked.x_fun))


def pairs_of(n: int, count: int, seed: int):
    """Return pairs (s, y) of a quadratic function, and its matrix."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, n))
    matrix = root @ root.T + np.eye(n)
    steps = rng.normal(size=(count, n))
    return steps, steps @ matrix, matrix
