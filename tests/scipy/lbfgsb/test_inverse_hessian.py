"""LbfgsInvHessProduct: its algebra against dense matrices, and the one that runs leave behind."""

import copy
import pickle
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy
import scipy.optimize
import scipy.sparse.linalg
from scipy.optimize import rosen, rosen_der

import optimizers
from optimizers import InvalidInputError, LbfgsInvHessProduct, _arrays, minimize_lbfgsb
from optimizers.problems import get_problem

IS_SCIPY_1_17 = scipy.__version__.startswith("1.17.")


def pairs(m: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and the changes of a gradient whose Hessian is positive definite."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, n))
    steps = rng.normal(size=(m, n))
    return steps, steps @ (root @ root.T / n + np.eye(n))


def dense(sk: np.ndarray, yk: np.ndarray) -> np.ndarray:
    """Return the inverse Hessian by the textbook's recursion of matrices, oldest pair first."""
    identity = np.eye(sk.shape[1])
    matrix = identity
    for s, y in zip(sk, yk, strict=True):
        rho = 1 / (s @ y)
        left = identity - rho * np.outer(s, y)
        matrix = left @ matrix @ left.T + rho * np.outer(s, s)
    return matrix


@pytest.mark.parametrize(("m", "n"), [(0, 3), (1, 1), (1, 4), (3, 3), (5, 8), (12, 4)])
def test_all_products_are_those_of_the_dense_recursion(m: int, n: int) -> None:
    sk, yk = pairs(m, n)
    operator, expected = LbfgsInvHessProduct(sk, yk), dense(sk, yk)
    block = np.random.default_rng(1).normal(size=(n, 5))
    scale = np.abs(expected).max()
    assert np.allclose(operator.todense(), expected, rtol=1e-9, atol=1e-10 * scale)
    assert np.allclose(operator @ block, expected @ block, rtol=1e-9, atol=1e-9 * scale)
    assert np.allclose(operator.matvec(block[:, 0]), expected @ block[:, 0], atol=1e-9 * scale)
    assert np.allclose(operator.T @ block, expected.T @ block, atol=1e-9 * scale)
    assert np.allclose(operator.H @ block, expected.T @ block, atol=1e-9 * scale)
    assert np.allclose(block.T @ operator, block.T @ expected, atol=1e-9 * scale)
    if m:
        assert np.allclose(operator @ yk[-1], sk[-1], rtol=1e-10, atol=1e-10)


def test_it_is_a_linear_operator_and_scipys_own_class_too() -> None:
    operator = LbfgsInvHessProduct(*pairs(3, 4))
    assert isinstance(operator, scipy.sparse.linalg.LinearOperator)
    assert isinstance(operator, scipy.optimize.LbfgsInvHessProduct)
    assert optimizers.LbfgsInvHessProduct is LbfgsInvHessProduct
    assert operator.shape == (4, 4)
    assert operator.dtype == np.float64
    assert operator.n_corrs == 3
    assert np.array_equal(operator.rho, 1 / np.einsum("ij,ij->i", operator.sk, operator.yk))


def test_the_shapes_of_products_are_those_of_numpy() -> None:
    operator = LbfgsInvHessProduct(*pairs(3, 4))
    vector = np.arange(4.0)
    assert operator._matvec(vector).shape == (4,)
    assert operator._matvec(vector[:, np.newaxis]).shape == (4,)
    assert operator.matvec(vector).shape == (4,)
    assert (operator @ vector[:, np.newaxis]).shape == (4, 1)
    assert operator._matmat(np.ones((4, 7))).shape == (4, 7)
    assert operator.matmat(np.ones((4, 0))).shape == (4, 0)
    assert operator.todense().shape == (4, 4)
    assert type(operator.todense()) is np.ndarray
    with pytest.raises(ValueError, match=r"(?i)mismatch|dimension|shape"):
        operator @ np.ones(5)


def test_a_block_is_its_columns_and_no_loop_over_them(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = LbfgsInvHessProduct(*pairs(3, 6))
    block = np.random.default_rng(2).normal(size=(6, 50))
    columns = np.stack([operator.matvec(column) for column in block.T], axis=1)

    def refused(self: object, x: object) -> None:
        raise AssertionError("a product with a vector, in a product with a block")

    monkeypatch.setattr(LbfgsInvHessProduct, "_matvec", refused)
    assert np.allclose(operator.matmat(block), columns, rtol=1e-12, atol=1e-12)
    operator.todense()


def test_what_it_multiplies_stays_as_it_is() -> None:
    operator = LbfgsInvHessProduct(*pairs(3, 4))
    vector, block = np.arange(4.0), np.ones((4, 2))
    operator._matvec(vector), operator._matmat(block)
    assert np.array_equal(vector, np.arange(4.0))
    assert np.array_equal(block, np.ones((4, 2)))
    integers = np.arange(4)
    assert np.array_equal(operator @ integers, operator @ vector)


def test_the_adjoint_is_the_operator_itself() -> None:
    operator = LbfgsInvHessProduct(*pairs(3, 4))
    assert operator._adjoint() is operator
    assert operator.H is operator
    left, right = np.random.default_rng(3).normal(size=(2, 4))
    assert np.isclose(operator.rmatvec(left) @ right, left @ operator.matvec(right), rtol=1e-12)


def test_lists_and_float32_are_taken() -> None:
    operator = LbfgsInvHessProduct([[1, 0]], np.array([[2, 0]], dtype=np.float32))
    assert np.array_equal(operator.todense(), [[0.5, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("sk", "yk", "words"),
    [
        ([[1.0]], [[1.0], [2.0]], r"shapes \(1, 1\) and \(2, 1\)"),
        ([1.0], [1.0], r"shapes \(1,\) and \(1,\)"),
        ([[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], "Pair 1 has no curvature"),
        ("a", "b", "sk is 'a' .*expected an array of real numbers"),
        ([["1"]], [["1"]], "sk is .*expected an array of real numbers"),
        ([[1.0]], np.array([[1j]]), "yk is .*expected an array of real numbers"),
        ([[1j]], [[1.0]], "sk is .*expected an array of real numbers"),
        ([[1.0], [1.0, 2.0]], [[1.0]], "sk is .*expected an array of real numbers"),
        (None, [[1.0]], "sk is None"),
    ],
)
def test_what_cannot_be_pairs_is_refused_in_words(sk: list, yk: list, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        LbfgsInvHessProduct(sk, yk)


def test_todense_refuses_what_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = LbfgsInvHessProduct(*pairs(2, 100))
    monkeypatch.setattr(_arrays, "machine_memory", lambda: 2 * 8 * 100 * 100)
    assert operator.todense().shape == (100, 100)
    monkeypatch.setattr(_arrays, "machine_memory", lambda: 2 * 8 * 100 * 100 - 1)
    with pytest.raises(MemoryError, match=r"of 100 variables needs .* GiB.*operator @ v") as caught:
        operator.todense()
    assert isinstance(caught.value, optimizers.OptimizerError)
    operator @ np.ones(100)  # products need none of it


def test_todense_of_a_million_variables_is_refused_on_any_machine() -> None:
    steps = np.ones((1, 1_000_000))
    with pytest.raises(MemoryError, match="1000000 variables"):
        LbfgsInvHessProduct(steps, 2 * steps).todense()


def test_the_memory_is_that_of_the_machine_or_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _arrays.machine_memory() > 2**27

    def absent(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(_arrays.os, "sysconf", absent, raising=False)
    assert _arrays.machine_memory.__wrapped__() == 8 * 2**30


def test_a_product_takes_memory_of_a_few_vectors() -> None:
    n = 100_000
    steps = np.ones((3, n))
    operator, vector = LbfgsInvHessProduct(steps, 2 * steps), np.ones(n)
    tracemalloc.start()
    try:
        operator @ vector
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * n * 8


# What runs leave behind.

RUNS = [
    ("rosenbrock", 10), ("rosenbrock", 3), ("rosenbrock", 1), ("extended_rosenbrock", 5),
    ("helical_valley", 4), ("wood", 10), ("broyden_tridiagonal", 7), ("gulf", 10),
    ("chebyquad", 10), ("discrete_boundary_value", 6), ("osborne_2", 10), ("watson", 10),
    ("hs1", 10), ("hs38", 10), ("hs5", 3), ("biggs_exp6_bounded", 10), ("wood_bounded", 4),
]  # fmt: skip


def traced(name: str, m: int, **options):
    """Return a run's result and its iterates and gradients, the start included."""
    problem = get_problem(name)
    points = [problem.x0]
    result = minimize_lbfgsb(
        problem.fun, problem.x0, jac=problem.jac, bounds=problem.bounds, maxcor=m,
        callback=lambda x: points.append(x), **options,
    )  # fmt: skip
    return result, np.array(points), np.array([problem.jac(point) for point in points])


@pytest.mark.parametrize(("name", "m"), RUNS)
def test_a_runs_inverse_hessian_holds_the_last_pairs_in_time_order(name: str, m: int) -> None:
    result, points, gradients = traced(name, m)
    assert result.nit > m
    operator = result.hess_inv
    assert isinstance(operator, LbfgsInvHessProduct)
    assert 1 <= operator.n_corrs <= m
    k = operator.n_corrs
    expected_s, expected_y = np.diff(points, axis=0)[-k:], np.diff(gradients, axis=0)[-k:]
    size = np.abs(points).max()
    assert np.allclose(operator.sk, expected_s, rtol=1e-6, atol=1e-12 * size)
    assert np.allclose(operator.yk, expected_y, rtol=1e-9, atol=1e-12 * np.abs(gradients).max())
    # The secant equation of the newest pair, which is the final step.
    s, y = operator.sk[-1], operator.yk[-1]
    assert np.linalg.norm(operator @ y - s) <= 1e-10 * np.linalg.norm(s)


@pytest.mark.parametrize(("name", "m"), RUNS)
def test_a_runs_inverse_hessian_multiplies_as_the_dense_recursion(name: str, m: int) -> None:
    operator = traced(name, m)[0].hess_inv
    expected = dense(operator.sk, operator.yk)
    vectors = np.random.default_rng(4).normal(size=(operator.shape[0], 3))
    error = np.linalg.norm(operator @ vectors - expected @ vectors)
    # The recursion itself loses what the conditioning of the matrices takes.
    assert error <= 1e-7 * np.linalg.norm(expected @ vectors)


@pytest.mark.parametrize("m", [3, 5, 10])
def test_scipys_inverse_hessian_is_not_that_of_the_run_and_ours_is(m: int) -> None:
    result, points, gradients = traced("extended_rosenbrock", m)
    truth = dense(np.diff(points, axis=0)[-m:], np.diff(gradients, axis=0)[-m:])
    v = np.random.default_rng(5).normal(size=10)
    assert np.linalg.norm(result.hess_inv @ v - truth @ v) < 1e-6 * np.linalg.norm(truth @ v)
    if IS_SCIPY_1_17:
        problem = get_problem("extended_rosenbrock")
        theirs = scipy.optimize.minimize(
            problem.fun, problem.x0, jac=problem.jac, method="L-BFGS-B", options={"maxcor": m}
        )
        assert np.array_equal(theirs.x, result.x)
        wrong = np.linalg.norm(theirs.hess_inv @ v - truth @ v) / np.linalg.norm(truth @ v)
        assert wrong > 1e-2
        y, s = np.diff(gradients, axis=0)[-1], np.diff(points, axis=0)[-1]
        assert np.linalg.norm(theirs.hess_inv @ y - s) > 1e-3 * np.linalg.norm(s)


@pytest.mark.parametrize("maxiter", [0, 1, 2, 3, 4, 9, 10, 11, 12])
def test_each_number_of_iterations_leaves_as_many_pairs_up_to_m(maxiter: int) -> None:
    result, points, _ = traced("rosenbrock", 3, maxiter=maxiter)
    assert result.nit == maxiter
    operator = result.hess_inv
    assert operator.n_corrs == min(maxiter, 3)
    assert operator.shape == (2, 2)
    if maxiter:
        steps = np.diff(points, axis=0)[-operator.n_corrs :]
        assert np.allclose(operator.sk, steps, rtol=1e-10, atol=1e-14)
        secant = operator @ operator.yk[-1]
        assert np.allclose(secant, operator.sk[-1], rtol=1e-10, atol=0)


@pytest.mark.parametrize("ending", ["maxfun", "callback", "objective"])
def test_a_stopped_run_has_the_inverse_hessian_so_far(ending: str) -> None:
    problem = get_problem("rosenbrock")
    calls = [0]

    def fun(x: np.ndarray) -> float:
        calls[0] += 1
        if ending == "objective" and calls[0] > 20:
            raise StopIteration
        return problem.fun(x)

    def callback(intermediate_result) -> None:
        if ending == "callback" and intermediate_result.nit == 12:
            raise StopIteration

    result = minimize_lbfgsb(
        fun, problem.x0, jac=problem.jac, callback=callback, maxcor=4,
        maxfun=20 if ending == "maxfun" else 15000,
    )  # fmt: skip
    assert not result.success
    assert result.hess_inv.n_corrs == 4
    s, y = result.hess_inv.sk[-1], result.hess_inv.yk[-1]
    assert np.linalg.norm(result.hess_inv @ y - s) <= 1e-10 * np.linalg.norm(s)


def test_a_large_ring_is_put_in_order_too() -> None:
    # Beyond 10^5 numbers the rows are rotated in place.
    n, m = 30_000, 4
    weights = np.linspace(1.0, 5.0, n)
    points = [np.full(n, 3.0)]
    result = minimize_lbfgsb(
        lambda x: float(weights @ (x - 1.0) ** 4), points[0],
        jac=lambda x: 4 * weights * (x - 1.0) ** 3,
        callback=lambda x: points.append(x), maxcor=m, maxiter=10,
    )  # fmt: skip
    assert result.nit == 10
    assert np.allclose(result.hess_inv.sk, np.diff(points, axis=0)[-m:], rtol=1e-6, atol=1e-12)


# An operator whose pairs come later.


def test_pairs_that_come_later_are_asked_for_once():
    asked = []

    def pairs():
        asked.append(1)
        return np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]])

    operator = LbfgsInvHessProduct.later(2, pairs)
    assert operator.shape == (2, 2)
    assert not asked
    assert (operator @ [2.0, 3.0]).tolist() == [1.0, 3.0]
    assert operator.n_corrs == 1
    assert operator.rho.tolist() == [0.5]
    assert len(asked) == 1
    with pytest.raises(AttributeError, match="nothing"):
        operator.nothing  # noqa: B018  # the access is the test


def test_pairs_that_come_later_are_asked_for_once_by_many_threads():
    n, m = 400, 10
    asked = []

    def pairs():
        asked.append(1)
        time.sleep(0.01)
        return np.eye(m, n), 2 * np.eye(m, n)

    operator = LbfgsInvHessProduct.later(n, pairs)
    with ThreadPoolExecutor(8) as pool:
        products = list(pool.map(operator.matvec, [np.ones(n)] * 8))
    assert len(asked) == 1
    assert all(np.array_equal(product, products[0]) for product in products)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_a_result_operator_survives_pickling_and_copying(again):
    result = minimize_lbfgsb(rosen, [-1.2, 1.0, 0.5], jac=rosen_der)
    other = again(result.hess_inv)
    assert np.array_equal(other.todense(), result.hess_inv.todense())
    assert len(pickle.dumps(result.hess_inv)) < 4_000


def test_a_line_search_that_finds_nothing_is_told_in_words():
    # The gradient has the wrong sign.
    result = optimizers.LBFGSB().minimize(lambda x: float(x @ x), [1.0, 2.0], lambda x: -2 * x)
    assert "ABNORMAL: THE LINE SEARCH" in result.message
    assert "component 1 is -4, but 4 by differences" in result.message
