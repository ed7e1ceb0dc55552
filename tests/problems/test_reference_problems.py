import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize

from optimizers import problems
from optimizers.problems import (
    ReferenceProblem,
    all_problems,
    bounded_problems,
    get_problem,
    mgh_problems,
)
from optimizers.problems.reference import SumOfSquares

PUBLISHED_SIZES = [
    *(get_problem("watson", n) for n in (9, 12)),
    get_problem("penalty_1", 10),
    get_problem("penalty_2", 10),
    *(get_problem("chebyquad", n) for n in (1, 2, 3, 4, 5, 6, 7, 9, 10)),
    get_problem("trigonometric", 5),
    get_problem("extended_rosenbrock", 2),
    get_problem("discrete_boundary_value", 1),
    get_problem("broyden_banded", 25),
]
ALL = all_problems() + PUBLISHED_SIZES

each_problem = pytest.mark.parametrize("problem", ALL, ids=lambda p: f"{p.name}-{p.n}")


def limits(problem):
    """The bounds as two arrays, infinite where there is none."""
    box = problem.bounds or [(None, None)] * problem.n
    low = np.array([-np.inf if a is None else a for a, _ in box])
    high = np.array([np.inf if b is None else b for _, b in box])
    return low, high


def differences(problem, x):
    """Central differences of order eight, and an estimate of their rounding error."""
    weights = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
    gradient, rounding = np.empty(problem.n), np.empty(problem.n)
    for i in range(problem.n):
        h = 5e-4 * (abs(x[i]) if abs(x[i]) > 1e-3 else 1.0)
        unit = np.eye(problem.n)[i] * h
        values = [(problem.fun(x + k * unit), problem.fun(x - k * unit)) for k in range(1, 5)]
        gradient[i] = sum(w * (a - b) for w, (a, b) in zip(weights, values, strict=True)) / h
        rounding[i] = np.abs(values).max() * np.finfo(float).eps / h
    return gradient, rounding


def probes(problem):
    """The start, and a point between it and a random neighbor, within the bounds."""
    low, high = limits(problem)
    rng = np.random.default_rng(problem.n)
    x0 = problem.x0
    moved = x0 + 0.1 * np.maximum(np.abs(x0), 0.5) * rng.uniform(-1.0, 1.0, problem.n)
    return x0, np.clip(moved, low, high)


@each_problem
def test_gradient_agrees_with_differences(problem):
    for x in probes(problem):
        gradient = problem.jac(x)
        expected, rounding = differences(problem, x)
        # Order eight leaves a truncation error far below 1e-6 of the largest component; the
        # rounding of the function's own sums is allowed fifty units in the last place, and zero
        # its own.
        margin = 1e-6 * np.abs(gradient).max() + 50.0 * rounding + 1e-14
        assert gradient.shape == (problem.n,)
        assert np.all(np.abs(gradient - expected) <= margin)


def published_error(problem):
    """How far a value may be from the published one: a unit in its last printed digit."""
    if problem.digits is None:
        return 1e-12 * abs(problem.minimum)
    return 10.0 ** (np.floor(np.log10(abs(problem.minimum))) - problem.digits + 1)


@each_problem
def test_minimizers_attain_the_published_minimum(problem):
    low, high = limits(problem)
    # Sums of squares of about 1e-16 times the data remain at a zero: 1e-25 for the largest data.
    error = published_error(problem) + 1e-25
    for minimizer in problem.minimizers:
        x = np.array(minimizer)
        assert np.all((low <= x) & (x <= high))
        assert abs(problem.fun(x) - problem.minimum) <= error


@each_problem
def test_minimizers_are_stationary_within_the_bounds(problem):
    low, high = limits(problem)
    for minimizer in problem.minimizers:
        x = np.array(minimizer)
        downhill = -problem.jac(x)
        inwards = np.where(((x <= low) & (downhill < 0)) | ((x >= high) & (downhill > 0)), 0, 1)
        # Scaled by the variables, which reach from 1e-6 to 1e6: even a move by the variable's own
        # size would gain at first order no more than the rounding of large data, as Meyer's.
        gain = np.abs(inwards * downhill) * np.maximum(np.abs(x), 1e-5)
        assert np.all(gain <= 1e-5 * max(abs(problem.minimum), 1e-2))


def descents(problem):
    """Values that SciPy's methods reach from the start and from near the known minimizers.

    From the start alone no method reaches every minimum: several problems are there to mislead
    methods into other stationary points or off to infinity. From near the solution the published
    value must come out of the formulas and tables as they are: a wrong digit of the data shows.
    """
    low, high = limits(problem)
    rng = np.random.default_rng(0)
    starts = [problem.x0]
    for minimizer in problem.minimizers:
        x = np.array(minimizer)
        starts.append(np.clip(x * (1.0 + 1e-3 * rng.uniform(-1.0, 1.0, x.size)), low, high))
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-16, "gtol": 1e-12}
    for start in starts:
        yield minimize(
            problem.fun,
            start,
            jac=problem.jac,
            bounds=problem.bounds,
            method="L-BFGS-B",
            options=options,
        ).fun
        if isinstance(problem.objective, SumOfSquares):
            yield least_squares_value(problem, start)


def least_squares_value(problem, start):
    bounded = {} if problem.bounds is None else {"bounds": limits(problem)}
    with np.errstate(all="ignore"):
        result = least_squares(
            problem.objective.residuals,
            start,
            problem.objective.jacobian,
            method="trf" if bounded else "lm",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=2000,
            **bounded,
        )
    return problem.fun(result.x)


# How many random starts the least value needs where descents from the standard start miss it.
RANDOM_STARTS = {("chebyquad", 10): 30}


@each_problem
def test_solvers_reach_the_published_minimum_and_nothing_below(problem):
    values = list(descents(problem))
    rng = np.random.default_rng(8)
    for _ in range(RANDOM_STARTS.get((problem.name, problem.n), 0)):
        values.append(least_squares_value(problem, rng.uniform(0.0, 1.0, problem.n)))
    # A unit in the last digit printed, or for a minimum of 0 a residual norm below 1e-6.
    error = published_error(problem) + (1e-12 if problem.minimum == 0.0 else 0.0)
    error += 1e-9 * abs(problem.minimum)
    assert abs(min(values) - problem.minimum) <= error


@pytest.mark.parametrize(
    ("name", "n", "method"),
    [
        ("freudenstein_roth", None, "L-BFGS-B"),
        ("trigonometric", None, "L-BFGS-B"),
        ("biggs_exp6", None, "L-BFGS-B"),
        ("hs2", None, "TNC"),
    ],
)
def test_published_local_minima_are_where_descents_end(name, n, method):
    problem = get_problem(name, n)
    bounds = problem.bounds
    options = {"ftol": 1e-16} if method == "L-BFGS-B" else {}
    result = minimize(
        problem.fun, problem.x0, jac=problem.jac, bounds=bounds, method=method, options=options
    )
    # The local minima are printed with six digits or more.
    assert result.fun == pytest.approx(problem.other_minima[0], rel=1e-5)


@each_problem
def test_start_lies_within_the_bounds(problem):
    low, high = limits(problem)
    assert np.all((low <= problem.x0) & (problem.x0 <= high))
    assert np.isfinite(problem.fun(problem.x0))


@each_problem
def test_points_are_neither_changed_nor_shared(problem):
    x = problem.x0
    gradient = problem.jac(x)
    problem.fun(x)
    np.testing.assert_array_equal(x, problem.x0)
    gradient[:] = np.nan
    x[:] = np.nan
    assert np.all(np.isfinite(problem.x0))
    assert np.all(np.isfinite(problem.jac(problem.x0)))
    assert type(problem.fun(problem.x0)) is float


@each_problem
def test_copies_by_pickle_are_equal(problem):
    # Equal functions, too: they are named, not closures, so problems travel to other processes.
    assert pickle.loads(pickle.dumps(problem)) == problem


@each_problem
def test_another_shape_is_an_error_that_names_it(problem):
    for function in (problem.fun, problem.jac):
        for shape in ((problem.n + 1,), (1, problem.n), ()):
            with pytest.raises(ValueError, match="takes one point") as error:
                function(np.zeros(shape))
            assert f"x has shape {shape}, expected ({problem.n},)" in str(error.value)


def test_values_beyond_floating_point_come_without_a_warning():
    assert get_problem("jennrich_sampson").fun([1e4, 1e4]) == np.inf
    assert np.isnan(get_problem("hs110").fun(np.zeros(10)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rosenbrock", 24.2),
        ("powell_singular", 215.0),
        ("wood", 19192.0),
        ("brown_dennis", 7.92669336e6),
        ("watson", 30.0),
        ("variably_dimensioned", 2198551.1625),
        ("hs1", 909.0),
        ("hs25", 32.835),
    ],
)
def test_values_at_the_start_are_the_known_ones(name, value):
    # Of the tables of Moré, Garbow and Hillstrom and of Hock and Schittkowski, or by hand.
    problem = get_problem(name)
    assert problem.fun(problem.x0) == pytest.approx(value, rel=1e-8)


def test_problems_are_immutable():
    problem = get_problem("rosenbrock")
    with pytest.raises(FrozenInstanceError):
        problem.minimum = 1.0
    bounded = get_problem("hs5")
    bounded.bounds.clear()
    assert bounded.bounds == [(-1.5, 4.0), (-3.0, 3.0)]
    assert problem.bounds is None


def test_lists_have_the_promised_problems():
    assert len(mgh_problems()) == 35
    assert len(bounded_problems()) >= 12
    names = [problem.name for problem in all_problems()]
    assert len(set(names)) == len(names)
    assert {"hs1", "hs2", "hs3", "hs4", "hs5", "hs25", "hs38", "hs45", "hs110"} <= set(names)
    numbers = {problem.source.split("problem ")[1].split()[0] for problem in mgh_problems()}
    assert numbers == {str(number) for number in range(1, 36)}
    assert all(problem.bounds for problem in bounded_problems())
    assert not any(problem.bounds for problem in mgh_problems())
    assert all(get_problem(problem.name) == problem for problem in all_problems())


def test_public_names_exist():
    assert sorted(problems.__all__) == sorted(set(problems.__all__))
    assert all(hasattr(problems, name) for name in problems.__all__)


@pytest.mark.parametrize(
    ("name", "n", "message"),
    [
        ("roesnbrock", None, "did you mean 'rosenbrock'"),
        ("HS45", None, "no reference problem 'HS45'; did you mean"),
        ("", None, "did you mean"),
        ("rosenbrock", 3, "n=3 given for rosenbrock, expected 2"),
        ("watson", 7, r"n=7 given for watson, expected one of \[6, 9, 12\]"),
        ("chebyquad", 11, "n=11"),
        ("penalty_1", 5, "n=5"),
        ("penalty_2", 0, "n=0"),
        ("extended_rosenbrock", 3, "an even number"),
        ("extended_powell_singular", 6, "a multiple of 4"),
        ("brown_almost_linear", 1, "2 or more"),
        ("linear_rank_1_zeros", 2, "3 or more"),
        ("trigonometric", 0, "1 or more"),
        ("variably_dimensioned", -1, "1 or more"),
    ],
)
def test_unknown_names_and_sizes_are_errors_that_help(name, n, message):
    with pytest.raises(ValueError, match=message):
        get_problem(name, n)


def test_a_new_problem_needs_only_start_minimum_and_source():
    square = SumOfSquares(lambda x: x, lambda x: np.eye(x.size))
    problem = ReferenceProblem("bowl", square, (1.0, 2.0), minimum=0.0, source="here")
    assert (problem.n, problem.minimizer, problem.bounds) == (2, None, None)
    assert problem.fun([1, 2]) == 5.0


def trigonometric(x):
    n = len(x)
    for i in range(1, n + 1):
        yield n - sum(np.cos(x)) + i * (1.0 - np.cos(x[i - 1])) - np.sin(x[i - 1])


def boundary_value(x):
    n = len(x)
    h = 1.0 / (n + 1)
    for i in range(1, n + 1):
        before = x[i - 2] if i > 1 else 0.0
        after = x[i] if i < n else 0.0
        yield 2.0 * x[i - 1] - before - after + h**2 * (x[i - 1] + i * h + 1.0) ** 3 / 2.0


def integral_equation(x):
    n = len(x)
    h = 1.0 / (n + 1)
    for i in range(1, n + 1):
        cubes = [(x[j - 1] + j * h + 1.0) ** 3 for j in range(1, n + 1)]
        low = sum(j * h * cubes[j - 1] for j in range(1, i + 1))
        high = sum((1.0 - j * h) * cubes[j - 1] for j in range(i + 1, n + 1))
        yield x[i - 1] + h * ((1.0 - i * h) * low + i * h * high) / 2.0


def broyden_tridiagonal(x):
    n = len(x)
    for i in range(1, n + 1):
        before = x[i - 2] if i > 1 else 0.0
        after = x[i] if i < n else 0.0
        yield (3.0 - 2.0 * x[i - 1]) * x[i - 1] - before - 2.0 * after + 1.0


def broyden_banded(x):
    n = len(x)
    for i in range(1, n + 1):
        near = [j for j in range(max(1, i - 5), min(n, i + 1) + 1) if j != i]
        others = sum(x[j - 1] * (1.0 + x[j - 1]) for j in near)
        yield x[i - 1] * (2.0 + 5.0 * x[i - 1] ** 2) + 1.0 - others


@pytest.mark.parametrize(
    ("name", "residuals"),
    [
        ("trigonometric", trigonometric),
        ("discrete_boundary_value", boundary_value),
        ("discrete_integral_equation", integral_equation),
        ("broyden_tridiagonal", broyden_tridiagonal),
        ("broyden_banded", broyden_banded),
    ],
)
@pytest.mark.parametrize("n", [1, 2, 10])
def test_systems_are_the_formulas_of_the_paper(name, residuals, n):
    # A minimum of 0 says nothing of the formula: another system would have it, too.
    problem = get_problem(name, n)
    x = np.random.default_rng(n).uniform(-1.0, 1.0, n)
    assert problem.fun(x) == pytest.approx(sum(r**2 for r in residuals(x)), rel=1e-12)
