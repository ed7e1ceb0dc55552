"""least_squares and curve_fit: SciPy's steps, results and errors, and points in waves."""

import gc
import inspect
import weakref

import numpy as np
import pytest
import scipy.optimize
from scipy.sparse import csr_array

from optimizers import InvalidInputError, curve_fit, least_squares, residuals, vectorized

T = np.linspace(0, 4, 30)
DATA = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.1 * np.random.default_rng(0).normal(size=T.size)
X0 = [1.0, 1.0, 1.0]


def model(t, a, b, c):
    return a * np.exp(-b * t) + c


def misfit(x, t=T, data=DATA):
    return model(t, *x) - data


def slopes(x, t=T, data=DATA):
    e = np.exp(-x[1] * t)
    return np.column_stack([e, -x[0] * t * e, np.ones_like(t)])


class Waves:
    """A map that keeps how many points came together."""

    def __init__(self) -> None:
        self.sizes = []

    def __call__(self, function, points):
        points = list(points)
        self.sizes.append(len(points))
        return [function(point) for point in points]


@pytest.mark.parametrize("name", ["least_squares", "curve_fit"])
def test_signatures_are_scipys(name):
    ours = inspect.signature({"least_squares": least_squares, "curve_fit": curve_fit}[name])
    theirs = inspect.signature(getattr(scipy.optimize, name))
    known = {name: found.default for name, found in ours.parameters.items()}
    assert {name: found.default for name, found in theirs.parameters.items()}.items() <= (
        {**known, "x_scale": theirs.parameters["x_scale"].default}.items()
        if name == "least_squares"
        else known.items()
    )


@pytest.mark.filterwarnings("ignore:jac='.*' works:UserWarning")  # of older SciPy
@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs", slopes])
def test_a_result_is_scipys(method, jac):
    ours = least_squares(misfit, X0, jac, method=method, args=(T,), kwargs={"data": DATA})
    theirs = scipy.optimize.least_squares(
        misfit, X0, jac, method=method, args=(T,), kwargs={"data": DATA}
    )
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_bounds_loss_and_sparse_jacobians():
    how = {"bounds": ([0, 0, 0.6], 3.0), "loss": "soft_l1", "f_scale": 0.1, "max_nfev": 50}
    for jac in (slopes, lambda x: csr_array(slopes(x))):
        ours = least_squares(misfit, X0, jac, **how)
        theirs = scipy.optimize.least_squares(misfit, X0, jac, **how)
        assert (ours.x == theirs.x).all()
        assert (ours.nfev, ours.status) == (theirs.nfev, theirs.status)


@pytest.mark.parametrize("jac", ["2-point", "cs"])
def test_differences_of_a_sparse_jacobian_are_scipys(jac):
    def fun(x):
        return np.concatenate([x[:1] - 1, x[1:] - x[:-1] ** 2])

    sparsity = np.eye(6) + np.eye(6, k=-1)
    ours = least_squares(fun, np.full(6, 0.5), jac, jac_sparsity=sparsity)
    assert ours.x == pytest.approx(np.ones(6), abs=1e-6)
    assert ours.jac.nnz == 11


@pytest.mark.filterwarnings("ignore:jac='.*' works:UserWarning")  # of older SciPy
@pytest.mark.parametrize(("jac", "count"), [("2-point", 3), ("3-point", 6)])
@pytest.mark.parametrize("method", ["trf", "lm"])
def test_probes_of_a_jacobian_are_one_wave(jac, count, method):
    workers = Waves()
    found = least_squares(misfit, X0, jac, method=method, workers=workers)
    assert set(workers.sizes) == {1, count}
    assert found.x == pytest.approx(least_squares(misfit, X0, jac, method=method).x, rel=1e-7)


@pytest.mark.parametrize("method", [None, "trf", "dogbox"])
def test_so_they_are_of_a_model(method):
    workers = Waves()
    popt, pcov = curve_fit(model, T, DATA, X0, method=method, workers=workers)
    assert set(workers.sizes) == {1, 3}
    theirs = scipy.optimize.curve_fit(model, T, DATA, X0, method=method)
    assert popt == pytest.approx(theirs[0], rel=1e-5)
    assert pcov == pytest.approx(theirs[1], rel=1e-4)


def test_processes_evaluate_a_model():
    popt, _ = curve_fit(model, T, DATA, X0, workers=2)
    assert popt == pytest.approx(curve_fit(model, T, DATA, X0)[0], rel=1e-5)


def test_a_stack_of_points_is_one_call():
    calls = []

    @vectorized
    def stacked(points):
        calls.append(len(points))
        return np.array([misfit(x) for x in points])

    found = least_squares(stacked, X0)
    assert set(calls) == {1, 3}
    assert found.x == pytest.approx(least_squares(misfit, X0).x, rel=1e-12)


@pytest.mark.parametrize("method", ["lm", "trf", "dogbox"])
@pytest.mark.parametrize("sigma", [None, np.linspace(0.1, 0.2, 30)])
@pytest.mark.parametrize("absolute_sigma", [False, True])
def test_outputs_of_curve_fit_are_scipys(method, sigma, absolute_sigma):
    how = {"sigma": sigma, "absolute_sigma": absolute_sigma, "method": method}

    def jac(t, *x):
        return slopes(x, t)

    ours = curve_fit(model, T, DATA, X0, jac=jac, full_output=True, **how)
    theirs = scipy.optimize.curve_fit(model, T, DATA, X0, jac=jac, full_output=True, **how)
    assert (ours[0] == theirs[0]).all()
    assert (ours[1] == theirs[1]).all()
    assert ours[2].keys() == theirs[2].keys()
    assert ours[2]["nfev"] == theirs[2]["nfev"]
    assert ours[3:] == theirs[3:]


def test_without_workers_curve_fit_by_minpack_takes_scipys_steps():
    assert all(
        map(np.array_equal, curve_fit(model, T, DATA), scipy.optimize.curve_fit(model, T, DATA))
    )


def test_arguments_are_checked_before_the_first_evaluation():
    def never(*given):
        raise AssertionError

    wrong = {"method": "bfgs", "loss": "square", "bounds": (3, 4), "x_scale": -1}
    words = {"bounds": "Initial guess is outside"}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=words.get(name, f"`{name}` must be")):
            least_squares(never, X0, **{name: value})
        with pytest.raises(ValueError, match=words.get(name, f"`{name}` must be")):
            curve_fit(never, T, DATA, X0, **{"method": "trf", name: value})
    with pytest.raises(InvalidInputError, match="fun is None"):
        least_squares(None, X0)
    with pytest.raises(InvalidInputError, match="f is None"):
        curve_fit(None, T, DATA, X0)


def test_residuals_that_cannot_be_used_are_a_value_error_that_says_what_to_do():
    with pytest.raises(InvalidInputError, match="fun returned None"):
        least_squares(lambda x: None, X0)
    with pytest.raises(InvalidInputError, match="looks transposed"):
        least_squares(misfit, X0, lambda x: slopes(x).T)
    with pytest.raises(InvalidInputError, match="complex residuals"):
        least_squares(lambda x: misfit(x) + 0j, X0)


def test_the_loss_of_a_mark_is_not_dropped():
    with pytest.raises(InvalidInputError, match=r"pass loss= and f_scale="):
        least_squares(residuals(misfit, "huber", 0.1), X0)
    assert least_squares(residuals(misfit), X0).cost == least_squares(misfit, X0).cost


@pytest.mark.parametrize("method", ["trf", "lm"])
def test_an_error_of_a_function_comes_out(method):
    calls = []

    def failing(x):
        calls.append(x)
        if len(calls) > 6:
            raise ZeroDivisionError
        return misfit(x)

    with pytest.raises(ZeroDivisionError) as caught:
        least_squares(failing, X0, method=method)
    assert caught.value.optimizer_result.nfev == 7
    calls.clear()
    with pytest.raises(ZeroDivisionError):
        curve_fit(lambda t, *x: failing(np.array(x)) + DATA, T, DATA, X0, method=method)


def test_an_algorithm_steps_back_from_nan():
    def walled(x):
        return np.full(30, np.nan) if x[1] > 3 else misfit(x)

    assert least_squares(walled, [1.0, 2.9, 1.0]).success


def test_a_number_is_one_residual():
    assert least_squares(lambda x: x[0] - 3.0, [0.0]).x == pytest.approx([3.0])


def test_stop_iteration_comes_out():
    def stopping(x):
        raise StopIteration

    with pytest.raises(StopIteration):
        least_squares(stopping, X0)


def test_a_fit_that_fails():
    with pytest.raises(RuntimeError, match="Optimal parameters not found"):
        curve_fit(model, T, DATA, X0, maxfev=2)


def test_nothing_keeps_the_functions_alive():
    class Objective:
        def __call__(self, x):
            return misfit(x)

    fun = Objective()
    gone = weakref.ref(fun)
    found = least_squares(fun, X0)
    del fun
    gc.collect()
    assert gone() is None
    assert found.success
