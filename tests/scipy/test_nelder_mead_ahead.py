"""``NELDER_MEAD(speculate=k)``: the points that an iteration may need, in one wave."""

import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen

from optimizers import NELDER_MEAD, SciPyOptimizer, StopReason, TellData, testing, vectorized
from optimizers.errors import OptionError


def ridge(x):
    return float(np.abs(x).sum() + 0.1 * x @ x)


def steps(x):
    """Return few different values, so that many are equal."""
    return float(np.floor(np.abs(4 * x)).sum() + 1e-3 * x @ x)


def valley(x):
    """Return Rosenbrock's function of one variable more, which is none of a single one."""
    return float(rosen(np.append(x, 0.5)))


FUNCTIONS = [valley, ridge, steps]


class Counted:
    """A vectorized objective that keeps the sizes of waves."""

    def __init__(self, fun):
        self.sizes = []
        self._fun = fun
        self.fun = vectorized(self._stack)

    def _stack(self, points):
        self.sizes.append(len(points))
        return np.array([self._fun(x) for x in points])


def start(n):
    return np.resize([-1.2, 1.0, 0.0], n)


def minimize(fun, x0, bounds=None, *, maxfev=10_000, **options):
    counted, iterates = Counted(fun), []
    optimizer = SciPyOptimizer("Nelder-Mead", options={"maxfev": maxfev, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the start is clipped
        result = optimizer.minimize(
            counted.fun, x0, bounds=bounds, callback=lambda xk: iterates.append(xk.copy())
        )
    assert result.nfev == sum(counted.sizes)
    return result, counted.sizes, iterates


@pytest.mark.parametrize("speculate", [2, 4])
@pytest.mark.parametrize("is_bounded", [False, True])
@pytest.mark.parametrize(("n", "adaptive"), [(1, False), (2, False), (4, True)])
@pytest.mark.parametrize("fun", FUNCTIONS)
def test_the_same_iterates_in_fewer_waves(fun, n, adaptive, is_bounded, speculate):
    bounds = [(-0.5, 1.1)] * n if is_bounded else None
    how = {"adaptive": adaptive}
    plain, sizes, iterates = minimize(fun, start(n), bounds, **how)
    result, fewer, same = minimize(fun, start(n), bounds, speculate=speculate, **how)
    assert result.success
    assert np.array_equal(result.x, plain.x)
    assert result.fun == plain.fun
    assert result.message == plain.message
    assert result.nit == plain.nit
    assert np.array_equal(same, iterates)
    assert np.array_equal(result.final_simplex[0], plain.final_simplex[0])
    assert len(fewer) < len(sizes)
    assert result.best.fun <= plain.fun


@pytest.mark.parametrize("options", [{}, {"adaptive": True}, {"initial_simplex": np.eye(5)[:, 1:]}])
@pytest.mark.parametrize("fun", FUNCTIONS)
def test_iterates_are_scipys(fun, options):
    theirs = []
    scipy.optimize.minimize(
        *(fun, start(4)),
        method="Nelder-Mead",
        callback=lambda xk: theirs.append(xk.copy()),
        options={"maxfev": 10_000, **options},
    )
    assert np.array_equal(minimize(fun, start(4), speculate=4, **options)[2], theirs)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("fun", FUNCTIONS)
def test_an_iteration_is_one_wave_and_a_shrunk_simplex_another(fun, adaptive):
    counted, until = Counted(fun), []
    NELDER_MEAD(speculate=4, adaptive=adaptive).minimize(
        counted.fun, start(5), callback=lambda xk: until.append(len(counted.sizes))
    )
    assert counted.sizes[0] == 6  # the first simplex
    for begin, end in itertools.pairwise([1, *until]):
        first, *shrunk = counted.sizes[begin:end]
        assert first == 4
        assert shrunk in ([], [5])


def test_a_shrunk_simplex_is_one_wave():
    def hole(x):
        return float((x != 1.0).any())

    _, sizes, _ = minimize(hole, [1.0] * 6, speculate=4, maxiter=4)
    assert sizes == [7, 4, 6, 4, 6, 4, 6]


def test_points_are_tried_one_by_one_without_waves():
    plain, ahead = (NELDER_MEAD(speculate=k).minimize(rosen, start(3)) for k in (1, 4))
    assert (ahead.nfev, ahead.fun) == (plain.nfev, plain.fun)


def test_workers_and_a_caller_get_the_same_waves():
    expected, sizes, _ = minimize(rosen, start(3), speculate=4)
    optimizer = SciPyOptimizer("Nelder-Mead", options={"speculate": 4, "maxfev": 10_000})
    with ThreadPoolExecutor(4) as pool:
        pooled = optimizer.minimize(rosen, start(3), workers=pool)
    asked = []
    with optimizer.stepper(start(3)) as stepper:
        for ask in stepper:
            asked.append(len(ask.x_fun))
            stepper.tell(ask, TellData([rosen(x) for x in ask.x_fun]))
        told = stepper.result()
    assert asked == sizes
    for result in (pooled, told):
        assert np.array_equal(result.x, expected.x)
        assert result.nfev == expected.nfev


@pytest.mark.parametrize("budget", [1, 2, 7, 23])
def test_a_budget_is_hard_and_the_best_point_is_returned(budget):
    points = []

    @vectorized
    def fun(stack):
        points.extend(stack.copy())
        return rosen(stack.T)

    result = NELDER_MEAD(speculate=4).minimize(fun, start(3), maxfun=budget)
    assert len(points) == result.nfev == budget
    assert result.stop is StopReason.MAXFUN
    assert result.fun == min(map(rosen, points))


def test_a_value_that_nobody_asked_for_reaches_the_target():
    values = []

    @vectorized
    def fun(stack):
        values.extend(rosen(stack.T))
        return rosen(stack.T)

    result = NELDER_MEAD(speculate=4).minimize(fun, start(3), f_target=1.0)
    assert result.stop is StopReason.TARGET
    assert result.fun == min(values) <= 1.0
    assert min(values[:-4]) > 1.0


def test_a_failure_matters_where_it_is_asked_for():
    def half(x):  # the expansion from the start leaves the domain
        return float("nan") if x[0] > 1.12 else float(x @ x - 3 * x.sum())

    asked = []

    def recorded(x):
        asked.append(x[0])
        return half(x)

    bounds = [(None, 1.1)] * 2
    plain = NELDER_MEAD().minimize(recorded, [1.0, 1.0], bounds=bounds)
    assert max(asked) <= 1.12
    result, _, _ = minimize(half, [1.0, 1.0], bounds, speculate=4)
    assert result.fun == plain.fun
    for options in ({}, {"speculate": 4}):
        optimizer = SciPyOptimizer("Nelder-Mead", options=options, on_failure="reject")
        rejecting = optimizer.minimize(Counted(half).fun, [1.0, 1.0])
        assert rejecting.nrejected > 0
        np.testing.assert_allclose(rejecting.x, [1.12, 1.5], atol=1e-2)


def test_a_run_resumes_from_its_journal(tmp_path):
    path, optimizer = tmp_path / "run.jsonl", NELDER_MEAD(speculate=4)
    expected = optimizer.minimize(Counted(rosen).fun, start(3))
    optimizer.minimize(Counted(rosen).fun, start(3), journal=path, maxfun=40)
    rest = Counted(rosen)
    result = optimizer.minimize(rest.fun, start(3), journal=path)
    assert sum(rest.sizes) == expected.nfev - 40
    assert (result.fun, result.nfev) == (expected.fun, expected.nfev)


@pytest.mark.parametrize("given", [0, 5, 1.5, True, "3"])
def test_a_count_that_cannot_be_used_is_refused_at_once(given):
    with pytest.raises(OptionError, match="speculate"):
        NELDER_MEAD(speculate=given)


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
def test_it_passes_the_conformance_suite(check):
    check(partial(NELDER_MEAD, speculate=4))
