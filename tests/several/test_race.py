from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from optimizers import (
    COBYLA,
    DIRECT,
    LBFGSB,
    NELDER_MEAD,
    POWELL,
    TNC,
    InvalidInputError,
    OptionError,
    StopReason,
    race,
    vectorized,
)
from tests.making import shown

X0 = [-1.2, 1.0]


def rosen(x):
    return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)


def slope(x):
    bend = x[1] - x[0] ** 2
    return np.array([-400 * x[0] * bend - 2 * (1 - x[0]), 200 * bend])


@pytest.mark.parametrize("jac", [None, True, slope, "3-point"], ids=shown)
def test_each_result_is_that_of_the_run_alone(jac):
    racers = [LBFGSB(), TNC(), NELDER_MEAD(), POWELL(), COBYLA()]
    fun = (lambda x: (rosen(x), slope(x))) if jac is True else rosen
    results = race(racers, fun, X0, jac, budget=80)
    assert list(results) == ["LBFGSB", "TNC", "NELDER_MEAD", "POWELL", "COBYLA"]
    for racer, result in zip(racers, results.values(), strict=True):
        takes = not racer.is_gradient_ignored
        solo = racer.minimize(fun if takes else rosen, X0, jac if takes else None, maxfun=80)
        assert np.array_equal(result.x, solo.x)
        assert (result.fun, result.nfev, result.stop) == (solo.fun, solo.nfev, solo.stop)
        assert result.nfev <= 80


def test_all_that_they_ask_in_a_round_is_one_call():
    sizes = []

    @vectorized
    def fun(points):
        sizes.append(len(points))
        return np.array([rosen(point) for point in points])

    results = race([LBFGSB(), NELDER_MEAD()], fun, X0, budget=60)
    assert sizes[0] == 3 + 1
    assert len(sizes) == max(result.rounds for result in results.values())

    @vectorized
    def both(points):
        sizes.append(len(points))
        return np.array([rosen(p) for p in points]), np.array([slope(p) for p in points])

    results = race([LBFGSB(), NELDER_MEAD()], both, X0, jac=True, budget=60)
    assert results["LBFGSB"].fun == pytest.approx(0, abs=1e-6)


def test_it_prints_as_a_table():
    results = race({"quick": LBFGSB(), "slow": NELDER_MEAD()}, rosen, X0, budget=100)
    head, quick, slow = repr(results).splitlines()
    assert head.split() == ["optimizer", "fun", "nfev", "nit", "rounds", "stop"]
    assert quick.split()[0] == "quick"
    assert slow.split()[-1] == "maxfun"
    assert results.winner == "quick"
    assert results.best is results["quick"]


@pytest.mark.parametrize("jac", [None, True])
def test_variables_may_be_in_a_structure(jac):
    def fun(p):
        value = (p["a"] - 1.0) ** 2 + float((p["b"] ** 2).sum())
        return (value, {"a": 2.0 * (p["a"] - 1.0), "b": 2.0 * p["b"]}) if jac else value

    start, bounds = {"a": 0.0, "b": np.array([0.5, 0.5])}, {"a": (-1.0, 0.5), "b[1]": (0.25, 1.0)}
    results = race([LBFGSB(), NELDER_MEAD()], fun, start, jac, bounds, budget=400)
    for result in results.values():
        assert result.x["a"] == pytest.approx(0.5, abs=1e-3)
        np.testing.assert_allclose(result.x["b"], [0.0, 0.25], atol=1e-3)
        assert list(result.names) == ["a", "b[0]", "b[1]"]
    assert results.best.best.x.keys() == {"a", "b"}


def test_one_class_may_run_twice():
    assert list(race([TNC(), TNC(accuracy=1e-3)], rosen, X0, budget=20)) == ["TNC", "TNC-2"]


def test_one_that_fails_does_not_end_the_others():
    class Broken(LBFGSB):
        def _solve(self, run):
            raise ZeroDivisionError

    results = race([Broken(), LBFGSB()], rosen, X0)
    assert isinstance(results["Broken"].error, ZeroDivisionError)
    assert results["LBFGSB"].success
    with pytest.raises(ZeroDivisionError):
        race([Broken()], rosen, X0)


def test_one_that_uses_no_start_runs_without():
    results = race([DIRECT(), LBFGSB()], rosen, X0, bounds=[(-2, 2)] * 2, budget=60)
    assert results["DIRECT"].nfev == 60
    solo = LBFGSB().minimize(rosen, X0, bounds=[(-2, 2)] * 2, maxfun=60)
    assert results["LBFGSB"].fun == solo.fun


def test_threads_and_timeout():
    with ThreadPoolExecutor(4) as pool:
        results = race([LBFGSB(), POWELL()], rosen, X0, workers=pool)
    assert results["LBFGSB"].success
    results = race([LBFGSB(), POWELL()], rosen, X0, timeout=1e-9)
    assert {result.stop for result in results.values()} == {StopReason.TIMEOUT}


@pytest.mark.parametrize(
    ("error", "racers", "arguments"),
    [
        (InvalidInputError, [], {}),
        (InvalidInputError, [LBFGSB], {}),
        (OptionError, [LBFGSB(workers=2)], {}),
        (OptionError, [LBFGSB(max_evals_grouped=2)], {}),
        (OptionError, [LBFGSB(args=(1,))], {}),
        (OptionError, [LBFGSB()], {"budget": 3, "maxfun": 3}),
        (OptionError, [LBFGSB()], {"budget": 0}),
    ],
)
def test_what_cannot_be_used_is_a_named_error_before_any_evaluation(error, racers, arguments):
    calls = []
    with pytest.raises(error):
        race(racers, calls.append, X0, **arguments)
    assert calls == []
