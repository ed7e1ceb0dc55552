import numpy as np
import pytest
from scipy.optimize import rosen

from optimizers import TNC, Differences, SciPyOptimizer, fmin_tnc
from optimizers.problems import get_problem


def first_probes(minimize, n):
    """Return the distances of the first points evaluated from the start, which is zero."""
    points = []

    def fun(x):
        points.append(x.copy())
        return float((x - 1.0) @ (x - 1.0))

    minimize(fun, np.zeros(n))
    return [float(x.sum()) for x in points]


def test_the_class_takes_central_differences_where_no_step_is_given():
    probes = first_probes(lambda fun, x: TNC().minimize(fun, x), 2)
    h = np.finfo(float).eps ** (1 / 3)
    np.testing.assert_allclose(probes[:5], [0, -h, -h, h, h], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "jac"),
    [
        (lambda: TNC(eps=1e-7), None),
        (lambda: SciPyOptimizer("TNC", eps=1e-7), None),
        (lambda: TNC(), Differences("2-point", step=1e-7)),
    ],
)
def test_a_step_that_is_given_is_taken_one_sided(make, jac):
    probes = first_probes(lambda fun, x: make().minimize(fun, x, jac), 2)
    np.testing.assert_allclose(probes[:3], [0, 1e-7, 1e-7], rtol=1e-9)


def test_the_functions_and_the_method_by_name_keep_scipys():
    for minimize in (
        lambda fun, x: fmin_tnc(fun, x, approx_grad=True, messages=0),
        lambda fun, x: SciPyOptimizer("TNC").minimize(fun, x),
    ):
        probes = first_probes(minimize, 2)
        assert abs(probes[1]) < 2e-8


@pytest.mark.parametrize("n", [16, 32])
def test_larger_problems_are_solved_where_scipys_defaults_fail(n):
    # One-sided differences of 1e-8 end with "Linear search failed" or out of budget here.
    problem = get_problem("extended_rosenbrock", n)
    result = TNC(maxiter=1000).minimize(problem.fun, problem.x0)
    assert result.success
    assert problem.fun(result.x) < 1e-6


def test_single_precision_values_make_the_accuracy_coarser():
    result = TNC(maxiter=500).minimize(lambda x: np.float32(rosen(x)), [-1.2, 1.0])
    assert rosen(result.x) < 1e-3
