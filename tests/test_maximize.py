"""maximize=True: everything is in the user's sign."""

import asyncio
import itertools

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, rosen, rosen_der, rosen_hess, rosen_hess_prod

from optimizers import (
    LBFGSB,
    SPSA,
    Differences,
    History,
    InvalidInputError,
    OptionError,
    StopReason,
    available,
    load,
    minimize,
    multistart,
    race,
    residuals,
    vectorized,
)

START = [1.3, 0.7]
NEEDY = [available(**{what: "required"}) for what in ("gradient", "hessian", "residuals")]
PLAIN = sorted(available().keys() - {"QNSPSA"}.union(*NEEDY))


def hill(x):
    return 5.0 - float((x - 0.3) @ (x - 0.3))


def slope(x):
    return -2 * (x - 0.3)


def falling(x):
    return -rosen_der(x)


@pytest.mark.parametrize("name", PLAIN)
def test_a_run_is_that_of_the_negated_function_with_the_users_sign(name):
    settings = {"seed": 1, "maxfun": 60, "noise": 0}
    seen, mirrored = History(), History()
    cls = available()[name]
    up = cls().minimize(hill, START, maximize=True, callback=seen, **settings)
    down = cls().minimize(lambda x: -hill(x), START, callback=mirrored, **settings)
    assert (up.nfev, up.nit, up.success, up.stop) == (down.nfev, down.nit, down.success, down.stop)
    assert np.array_equal(up.x, down.x)
    assert (up.fun, up.best.fun) == (-down.fun, -down.best.fun)
    assert np.array_equal(seen.fun, -mirrored.fun, equal_nan=True)
    if down.jac is not None:
        assert np.array_equal(up.jac, -down.jac)


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("LBFGSB", {"jac": slope}),
        ("LBFGSB", {"jac": "3-point"}),
        ("LBFGSB", {"jac": Differences("cs")}),
        (
            "NewtonCG",
            {"jac": lambda x: -rosen_der(x), "hessp": lambda x, p: -rosen_hess_prod(x, p)},
        ),
        ("TrustExact", {"jac": lambda x: -rosen_der(x), "hess": lambda x: -rosen_hess(x)}),
        ("SLSQP", {"jac": slope, "constraints": LinearConstraint([[1, 1]], 0.6, 0.6)}),
    ],
)
def test_derivatives_have_the_sign_of_the_function(name, further):
    def wavy(x):
        return 5.0 - ((x - 0.3) ** 2).sum()

    fun = (lambda x: -rosen(x)) if name in ("NewtonCG", "TrustExact") else wavy
    result = available()[name]().minimize(fun, START, maximize=True, **further)
    assert result.success
    assert result.x == pytest.approx([1, 1] if fun is not wavy else [0.3, 0.3], abs=1e-4)


def test_values_come_in_every_form():
    up = LBFGSB(maximize=True)
    assert up.minimize(lambda x: (hill(x), slope(x)), START, jac=True).fun == pytest.approx(5.0)
    stacked = vectorized(lambda points: 5.0 - ((points - 0.3) ** 2).sum(axis=1))
    assert up.minimize(stacked, START).fun == pytest.approx(5.0)
    told = vectorized(lambda points: (stacked(points), np.full(len(points), 1e-9)))
    assert up.minimize(told, START).fun == pytest.approx(5.0)
    assert up.minimize(lambda x: (hill(x), 1e-9), START).fun == pytest.approx(5.0)
    assert up.minimize(lambda x: np.array(hill(x)), START).fun == pytest.approx(5.0)

    async def awaited(x):
        return hill(x)

    assert asyncio.run(up.minimize_async(awaited, START)).fun == pytest.approx(5.0)
    assert minimize(hill, START, maximize=True, workers=2).fun == pytest.approx(5.0)


@pytest.mark.parametrize("further", [{}, {"scale": "gradient"}, {"jac": "both"}])
def test_the_start_may_be_a_structure(further):
    def both(p):
        x = np.array([p["a"], p["b"]])
        return hill(x), dict(zip("ab", slope(x), strict=True))

    given = {**further, "jac": True} if "jac" in further else further
    fun = both if "jac" in further else lambda p: both(p)[0]
    states = []
    settings = {
        "maximize": True,
        "callback": lambda intermediate_result: states.append(intermediate_result),
        **given,
    }
    result = LBFGSB().minimize(fun, {"a": 1.3, "b": 0.7}, **settings)
    assert result.fun == states[-1].fun == both(result.x)[0]
    assert result.fun == pytest.approx(5.0)
    assert result.x["a"] == pytest.approx(0.3, abs=1e-4)


def test_a_target_is_at_least_that():
    result = minimize(hill, START, maximize=True, f_target=4.5)
    assert result.stop is StopReason.TARGET
    assert result.fun >= 4.5


def test_an_error_has_the_result_in_the_users_sign():
    count = itertools.count()

    def failing(x):
        if next(count) > 10:
            raise ZeroDivisionError
        return hill(x)

    with pytest.raises(ZeroDivisionError) as caught:
        minimize(failing, START, maximize=True, method="Nelder-Mead")
    result = caught.value.optimizer_result
    assert result.fun == hill(result.x)
    assert any(f"best f(x) = {result.fun!r}" in note for note in caught.value.__notes__)


def test_a_journal_is_read_in_the_users_sign_and_goes_on(tmp_path):
    path = tmp_path / "run.jsonl"
    first = LBFGSB().minimize(hill, START, maximize=True, journal=path, maxfun=4)
    recording = load(path)
    assert np.array_equal(recording.values, [hill(x) for x in recording.points])
    assert recording.result.fun == first.fun == hill(first.x)
    again = LBFGSB().minimize(hill, START, maximize=True, journal=path)
    assert again.nreplayed == 4
    assert again.fun == pytest.approx(5.0)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    killed = load(path)
    assert killed.result.fun == max(killed.values)


@residuals
def misses(x):
    return x - 0.3


def test_what_cannot_maximize_says_so():
    with pytest.raises(InvalidInputError, match="residuals are minimized"):
        minimize(misses, START, maximize=True)
    with pytest.raises(OptionError, match="A stepper does not take maximize"):
        SPSA(maximize=True).stepper(START)
    with pytest.raises(OptionError, match="minimize_many does not take maximize"):
        LBFGSB().minimize_many(hill, [START], maximize=True)
    with pytest.raises(OptionError, match="multistart does not take maximize"):
        multistart(hill, [(0, 1)] * 2, 100, optimizer=LBFGSB(maximize=True))
    with pytest.raises(OptionError, match="race does not take maximize"):
        race([LBFGSB(maximize=True)], hill, START)
