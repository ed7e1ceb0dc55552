"""``LBFGSB(solver=...)``: when the package's own L-BFGS-B is used, and that it is as SciPy's."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import LBFGSB, History, OptionError, SciPyOptimizer, StopReason, TellData
from optimizers.native.lbfgsb import Lbfgsb
from optimizers.problems import get_problem
from optimizers.scipy.lbfgsb import native

START = np.tile([-1.2, 1.0], 5)
BOUNDS = [(-1.5, 0.8), (None, 2.0)] * 5


@pytest.fixture
def uses(monkeypatch: pytest.MonkeyPatch):
    """Return a list with the sizes of all runs of the package's own L-BFGS-B."""
    sizes = list[int]()

    class Noted(Lbfgsb):
        def __init__(self, x0, *args, **kwargs) -> None:
            sizes.append(x0.size)
            super().__init__(x0, *args, **kwargs)

    monkeypatch.setattr(native, "Lbfgsb", Noted)
    return sizes


def both(x):
    return x @ x, 2.0 * x


def bowl(n: int, bounds=None, jac=True, **options):
    optimizer = LBFGSB(options=options)
    fun = both if jac is True else lambda x: x @ x
    return optimizer.minimize(fun, np.ones(n), jac, bounds, maxfun=5 * n + 9)


@pytest.mark.parametrize(
    ("n", "is_bounded", "is_used"),
    [(1999, False, False), (2000, False, True), (1999, True, False), (2000, True, True)],
)
def test_auto_takes_it_for_many_variables(uses, n: int, is_bounded: bool, is_used: bool) -> None:
    assert bowl(n, [(-2, 2)] * n if is_bounded else None).success
    assert bool(uses) is is_used


def test_auto_takes_scipys_where_differences_take_the_time_or_steps_are_speculated(uses) -> None:
    assert bowl(2000, jac=None).success
    assert bowl(2000, speculate=3).success
    assert not uses


def test_solver_decides_for_any_size(uses) -> None:
    assert bowl(2000, solver="scipy").success
    assert not uses
    assert bowl(2, solver="native").success
    assert bowl(2, memory_dtype="float32").success
    assert uses == [2, 2]
    assert LBFGSB(solver="native").settings["options"] == {"solver": "native"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"solver": "native", "speculate": 2}, "speculate=2 needs .*'scipy', .* solver='native'"),
        (
            {"solver": "scipy", "memory_dtype": "float32"},
            "memory_dtype='float32' needs solver='native', and contradicts solver='scipy'",
        ),
        ({"speculate": 2, "memory_dtype": "float32"}, "'native', and contradicts speculate=2"),
        ({"solver": "mine"}, "solver is 'mine', expected 'auto' or 'scipy' or 'native'"),
        ({"memory_dtype": "float16"}, "memory_dtype is 'float16', expected 'float32' or 'float64'"),
    ],
)
def test_options_that_cannot_be_used_are_errors_before_the_first_evaluation(options, words) -> None:
    with pytest.raises(OptionError, match=words):
        LBFGSB(options=options).minimize(lambda x: pytest.fail("evaluated"), [1.0])


def test_an_estimate_of_the_noise_needs_the_line_search_of_scipys() -> None:
    rng = np.random.default_rng(0)
    fun = lambda x: x @ x + 1e-3 * rng.normal()  # noqa: E731  # a short one
    with pytest.raises(OptionError, match="noise='estimate' needs solver='scipy'"):
        LBFGSB(solver="native", noise="estimate").minimize(fun, [1.0, 2.0], maxfun=200)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rosenbrock", {}),
        ("wood", {"maxiter": 7}),
        ("extended_rosenbrock", {"maxcor": 3, "maxiter": 12}),
        ("hs5", {}),
        ("hs38", {"maxiter": 5}),
        ("hs45", {"gtol": 1e-8}),
        ("linear_full_rank", {}),
    ],
)
def test_results_words_and_counts_are_those_of_scipys(name: str, options) -> None:
    problem = get_problem(name)
    results = [
        LBFGSB(options={"solver": solver, **options}).minimize(
            problem.fun, problem.x0, problem.jac, problem.bounds
        )
        for solver in ("native", "scipy")
    ]
    ours, theirs = results
    for entry in ("nfev", "njev", "nit", "status", "success", "message", "stop"):
        assert ours[entry] == theirs[entry], entry
    assert ours.fun == pytest.approx(theirs.fun, rel=1e-6, abs=1e-9)
    assert ours.x == pytest.approx(theirs.x, rel=1e-4, abs=1e-4)
    assert ours.hess_inv.n_corrs == theirs.hess_inv.n_corrs
    size = np.abs(theirs.hess_inv.sk).max(initial=1.0)
    assert ours.hess_inv.sk == pytest.approx(theirs.hess_inv.sk, rel=1e-3, abs=1e-3 * size)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_the_inverse_hessian_holds_the_secant_equation(dtype: str | None) -> None:
    result = LBFGSB(options={"solver": "native", "memory_dtype": dtype, "maxcor": 4}).minimize(
        rosen, START, rosen_der
    )
    operator = result.hess_inv
    secant = operator.matvec(operator.yk[-1])
    assert secant == pytest.approx(operator.sk[-1], rel=1e-9, abs=1e-15)


def test_a_wrong_gradient_is_told_as_by_scipys() -> None:
    ours, theirs = (
        LBFGSB(options={"solver": solver}).minimize(lambda x: (x @ x, -x), [1.0, 2.0], True)
        for solver in ("native", "scipy")
    )
    assert (ours.stop, ours.status) == (StopReason.NO_PROGRESS, 2)
    assert ours.message == theirs.message
    assert abs(ours.nfev - theirs.nfev) <= 1


def test_a_budget_ends_it_at_the_best_point() -> None:
    result = LBFGSB(solver="native").minimize(rosen, START, rosen_der, BOUNDS, maxfun=9)
    assert (result.stop, result.nfev) == (StopReason.MAXFUN, 9)
    assert result.fun < rosen(START)
    assert 0 < result.hess_inv.n_corrs <= 9


@pytest.mark.parametrize("bounds", [None, BOUNDS])
def test_ask_and_tell_journals_and_lock_step_go_the_same_way(bounds, tmp_path) -> None:
    optimizer = LBFGSB(solver="native")
    expected = optimizer.minimize(rosen, START, rosen_der, bounds)

    stepper = optimizer.stepper(START, True, bounds)
    for ask in stepper:
        x = ask.x_fun[0]
        stepper.tell(ask, TellData(rosen(x), rosen_der(x)))
    (one,) = optimizer.minimize_many(rosen, [START], rosen_der, bounds)

    class KilledError(Exception):
        pass

    left = iter(range(12))

    def killed(x):
        if next(left, None) is None:
            raise KilledError
        return rosen(x)

    journal = tmp_path / "run.jsonl"
    with pytest.raises(KilledError):
        optimizer.minimize(killed, START, rosen_der, bounds, journal=journal)
    resumed = optimizer.minimize(
        rosen, START, rosen_der, bounds, journal=journal, journal_check="off"
    )
    assert resumed.nreplayed > 0
    for result in (stepper.result(), one, resumed):
        assert np.array_equal(result.x, expected.x)
        assert (result.nfev, result.message) == (expected.nfev, expected.message)


def test_callbacks_and_prints_are_those_of_scipys(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for solver in ("native", "scipy"):
        states = []
        LBFGSB(maxiter=4, iprint=1, options={"solver": solver}).minimize(
            rosen, START, rosen_der, BOUNDS, callback=lambda x, s=states: s.append(x)
        )
        seen.append((np.array(states), capsys.readouterr().out))
    assert seen[0][0] == pytest.approx(seen[1][0], rel=1e-6, abs=1e-8)
    assert seen[0][1] == seen[1][1]


@pytest.mark.parametrize("bounds", [None, BOUNDS])
def test_known_points_shorten_a_run(bounds) -> None:
    optimizer, history = LBFGSB(solver="native"), History()
    whole = optimizer.minimize(rosen, START, rosen_der, bounds)
    optimizer.minimize(rosen, START, rosen_der, bounds, callback=history, maxfun=whole.nfev - 9)
    again = optimizer.minimize(rosen, None, rosen_der, bounds, known=history)
    assert again.success
    assert again.fun == pytest.approx(whole.fun, abs=1e-6)
    assert again.nfev < whole.nfev // 3


def test_values_that_are_rejected_are_stepped_back_from() -> None:
    def fun(x):
        if (x <= 0.0).any():
            raise ValueError("no logarithm")
        return np.sum(x - np.log(x))

    result = LBFGSB(solver="native").minimize(
        fun, np.full(3, 8.0), lambda x: 1.0 - 1.0 / x, on_failure="reject"
    )
    assert result.success
    assert result.x == pytest.approx(np.ones(3), abs=1e-3)


def test_it_restarts_after_a_stop_with_a_large_gradient(uses) -> None:
    steep = lambda x: (1e6 + float(np.sum(1e-4 * x**2)), 2e-4 * x)  # noqa: E731  # a short one
    LBFGSB(solver="native").minimize(steep, np.full(3, 3e5), True)
    assert len(uses) >= 1


def test_scipys_interfaces_and_steppers_keep_scipys_kernel(uses) -> None:
    from optimizers import minimize_lbfgsb

    minimize_lbfgsb(both, np.ones(2000), jac=True)
    assert not uses
    assert SciPyOptimizer("L-BFGS-B").minimize(both, np.ones(2000), True).success
    assert uses == [2000]
