import numpy as np
import pytest
from scipy.optimize import BFGS, rosen, rosen_der, rosen_hess, rosen_hess_prod
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

from optimizers import TNC, CapabilityError, ProjectedNewton, StopReason, minimize, residuals
from optimizers.problems import bounded_problems, get_problem, large_problems

HARD = ("hs25",)  # it is flat at the start


def counted(optimizer, problem, **further):
    """Return the gradients that were asked for, and the result."""
    points = []

    def jac(x):
        points.append(x.copy())
        return problem.jac(x)

    result = optimizer.minimize(problem.fun, problem.x0, jac, bounds=problem.bounds, **further)
    return points, result


def gap(problem, fun):
    minima = [problem.minimum, *problem.other_minima]
    return min(abs(fun - minimum) / (1 + abs(minimum)) for minimum in minima)


@pytest.mark.parametrize("problem", large_problems(), ids=lambda p: f"{p.name}-{p.n}")
def test_large_quadratics_take_few_gradients_within_the_bounds(problem):
    points, result = counted(ProjectedNewton(), problem)
    low, high = np.array(problem.bounds, dtype=float).T
    assert gap(problem, result.fun) < 1e-8
    assert result.success
    assert result.njev == len(points)
    assert len(points) <= 140
    assert all(((low <= x) & (x <= high)).all() for x in points)


@pytest.mark.parametrize("name", ["torsion", "boxqp"])
def test_tnc_takes_twenty_times_as_many(name):
    problem = get_problem(name)
    ours, _ = counted(ProjectedNewton(), problem)
    its, _ = counted(TNC(maxfun=20 * len(ours)), problem)
    assert len(its) == 20 * len(ours)


@pytest.mark.parametrize("problem", bounded_problems(), ids=lambda p: p.name)
def test_small_problems_are_solved(problem):
    _, result = counted(ProjectedNewton(maxfun=2000, on_failure="reject"), problem)
    assert problem.name in HARD or gap(problem, result.fun) < 1e-5


def test_without_a_gradient_central_differences_do():
    result = ProjectedNewton().minimize(rosen, [-1.2, 0.4, 0.3], bounds=[(-2, 0.5)] * 3)
    given = ProjectedNewton().minimize(rosen, [-1.2, 0.4, 0.3], rosen_der, bounds=[(-2, 0.5)] * 3)
    assert result.success
    assert result.fun == pytest.approx(given.fun, rel=1e-7)


def test_products_with_the_hessian_may_be_given():
    given = ProjectedNewton().minimize(rosen, np.zeros(20), rosen_der, hessp=rosen_hess_prod)
    by_differences = ProjectedNewton().minimize(rosen, np.zeros(20), rosen_der)
    assert given.fun < 1e-9
    assert given.nhev > 0
    assert given.njev < by_differences.njev


@pytest.mark.parametrize("form", [np.asarray, csr_array, aslinearoperator])
def test_a_hessian_is_asked_for_once_at_a_point(form):
    points = []

    def hess(x):
        points.append(x.copy())
        return form(rosen_hess(x))

    result = ProjectedNewton().minimize(rosen, np.zeros(20), rosen_der, hess=hess)
    assert result.fun < 1e-9
    assert result.nhev == len(points) == len(np.unique(points, axis=0))


def test_an_update_strategy_is_refused_since_products_are_needed():
    with pytest.raises(CapabilityError, match=r"cannot use hess=.*: pass hessp, a function"):
        ProjectedNewton().minimize(rosen, np.zeros(3), rosen_der, hess=BFGS())


@pytest.mark.parametrize("maxcor", [0, 1, 8])
@pytest.mark.parametrize("most", [1, 5, 200])
def test_inner_loops_may_be_short_and_without_memory(maxcor, most):
    optimizer = ProjectedNewton(maxCGit=most, maxcor=maxcor, ftol=0)
    result = optimizer.minimize(rosen, [-1.2, 1.0, -1.2, 1.0], rosen_der)
    assert result.stop is StopReason.GRADIENT


def test_a_direction_of_negative_curvature_is_followed_to_the_bounds():
    def fun(x):
        return float(x[0] ** 2 - x[1] ** 2 + 0.1 * x[1])

    def jac(x):
        return np.array([2 * x[0], -2 * x[1] + 0.1])

    result = ProjectedNewton().minimize(fun, [1.0, 0.0], jac, bounds=[(-3, 3), (-2, 4)])
    assert result.x == pytest.approx([0.0, -2.0], abs=1e-5)


def test_infinite_values_shorten_the_step():
    def fun(x):
        return float(x[0] - np.log(x[0])) if x[0] > 0 else np.inf

    def jac(x):
        return np.array([1 - 1 / x[0] if x[0] > 0 else np.nan])

    result = ProjectedNewton(on_failure="reject").minimize(fun, [100.0], jac)
    assert result.x == pytest.approx([1.0], abs=1e-4)


def test_residuals_have_a_gradient_too():
    @residuals
    def misfit(x):
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    def jacobian(x):
        return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    result = ProjectedNewton().minimize(misfit, [-1.2, 1.0], jacobian)
    assert result.x == pytest.approx([1, 1], abs=1e-4)


def test_a_fixed_variable_and_a_maximum():
    result = minimize(
        lambda x: -float(x @ x),
        [3.0, 4.0, 5.0],
        method="ProjectedNewton",
        jac=lambda x: -2 * x,
        bounds=[(-9, 9), (4, 4), (1, 9)],
        maximize=True,
    )
    assert result.x == pytest.approx([0, 4, 1], abs=1e-6)
    assert result.fun == pytest.approx(-17)


def test_a_wrong_gradient_is_not_a_success():
    result = ProjectedNewton().minimize(rosen, [-1.2, 1.0], lambda x: -rosen_der(x))
    assert not result.success
    assert "disagrees" in result.message
