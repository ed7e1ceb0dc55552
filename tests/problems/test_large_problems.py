import numpy as np
import pytest

from optimizers.problems import get_problem, large_problems


@pytest.mark.parametrize("name", ["boxqp", "obstacle", "torsion"])
def test_the_minimum_is_that_of_an_active_set_method(name):
    problem = get_problem(name)
    low, high = np.array(problem.bounds, dtype=float).T
    slope = problem.jac(np.zeros(problem.n))
    matrix = np.array([problem.jac(row) - slope for row in np.eye(problem.n)])
    x, sides = problem.x0, None
    for _ in range(20):  # primal-dual active sets
        guess = x - (matrix @ x + slope) / np.diag(matrix)
        before, sides = sides, np.sign((guess > high).astype(int) - (guess < low))
        if before is not None and (before == sides).all():
            break
        x = np.where(sides < 0, low, np.where(sides > 0, high, 0.0))
        free = sides == 0
        rest = slope[free] + matrix[np.ix_(free, ~free)] @ x[~free]
        x[free] = np.linalg.solve(matrix[np.ix_(free, free)], -rest)
    assert np.abs(x - np.clip(x - problem.jac(x), low, high)).max() < 1e-10
    assert problem.fun(x) == pytest.approx(problem.minimum, rel=1e-10)


@pytest.mark.parametrize("problem", large_problems(), ids=lambda p: f"{p.name}-{p.n}")
def test_the_gradient_is_that_of_the_values(problem):
    rng = np.random.default_rng(0)
    x, step = rng.normal(size=problem.n), rng.normal(size=problem.n)
    change = problem.fun(x + step) - problem.fun(x - step)  # exact for a quadratic
    assert change == pytest.approx(2 * problem.jac(x) @ step, rel=1e-9)


def test_a_size_without_a_known_minimum_is_an_error():
    with pytest.raises(ValueError, match=r"n=10 given for torsion, expected one of \[400, 2500\]"):
        get_problem("torsion", 10)
