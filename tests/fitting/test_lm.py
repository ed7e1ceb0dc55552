"""LM: NIST's fits, bounds, rank, noise, waves, and what it does not take."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import curve_fit, least_squares
from scipy.sparse import csr_array

from optimizers import (
    LM,
    Differences,
    InvalidInputError,
    Journal,
    OptionError,
    StopReason,
    TellData,
    residuals,
    vectorized,
)
from optimizers.problems import all_problems, more_wild_problems, nist_fits
from optimizers.problems.reference import SumOfSquares

FITS = {fit.name: fit for fit in nist_fits()}
T = np.linspace(0.0, 4.0, 30)
DATA = 2.0 * np.exp(-0.7 * T) + 0.1 * np.cos(7.0 * T)


def decay(x):
    return x[0] * np.exp(-x[1] * T) - DATA


def jacobian(x):
    slope = np.exp(-x[1] * T)
    return np.array([slope, -T * x[0] * slope]).T


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("fit", FITS.values(), ids=lambda fit: fit.name)
def test_a_fit_of_nist_has_six_certified_digits(fit, start):
    result = LM().minimize(fit.residuals, fit.starts[start])
    assert result.success
    assert fit.digits(result.x) >= 6.0
    # MGH17 from far away is the longest; each probe counts.
    assert result.nfev <= 700
    assert result.fun == pytest.approx(fit.rss / 2, rel=1e-9, abs=1e-20)


def test_the_median_fit_of_nist_takes_at_most_64_evaluations():
    counts = [LM().minimize(f.residuals, start).nfev for f in FITS.values() for start in f.starts]
    assert np.median(counts) <= 64


class Rounds(Executor):
    """Workers that are quick: an algorithm is to use so many of them."""

    def __init__(self, workers):
        self._max_workers = workers

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("name", ["Chwirut2", "Rat43", "MGH09", "Thurber", "BoxBOD", "Eckerle4"])
def test_in_waves_a_fit_takes_few_rounds_whoever_evaluates(name):
    fit = FITS[name]

    def run(workers):
        return LM().minimize(fit.residuals, fit.starts[1], workers=workers)

    result = run(Rounds(fit.n + 1))
    assert fit.digits(result.x) >= 6.0
    # An iteration is one wave, but for the first looks for noise and the last steps.
    assert result.nit <= 24
    with ThreadPoolExecutor(fit.n + 1) as threads:
        same = run(threads)
    np.testing.assert_array_equal(same.x, result.x)
    assert same.nfev == result.nfev


@pytest.mark.parametrize("workers", [2, 3, 4, 8, 40])
def test_any_number_of_workers_finds_the_same_minimum(workers):
    fit = FITS["Kirby2"]
    result = LM().minimize(fit.residuals, fit.starts[1], workers=Rounds(workers))
    assert fit.digits(result.x) >= 6.0


def test_a_stack_is_one_call_a_wave():
    calls = []

    @vectorized
    def stack(points):
        calls.append(len(points))
        return np.array([decay(x) for x in points])

    result = LM().minimize(stack, [1.0, 1.0])
    assert result.success
    assert result.nfev == sum(calls)
    assert max(calls) > 2
    assert len(calls) <= result.nit + 3


def test_differences_of_the_users_choice_travel_with_their_point_where_workers_are_idle():
    calls = []

    @vectorized
    def stack(points):
        calls.append(len(points))
        return np.array([decay(x) for x in points])

    result = LM().minimize(stack, [1.0, 1.0], Differences("3-point"))
    np.testing.assert_allclose(result.x, LM().minimize(decay, [1.0, 1.0]).x, rtol=1e-6)
    # All but a look for noise and the last step.
    assert set(calls) == {1, 5}
    assert calls.count(5) == result.nit
    assert calls.count(1) == 2
    serial = LM().minimize(decay, [1.0, 1.0], Differences("3-point"))
    assert serial.nfev < result.nfev


def test_a_jacobian_is_evaluated_with_its_point_where_workers_are_idle():
    meets, counts = threading.Barrier(2), {"fun": 0, "jac": 0}

    def meeting(name, function):
        def called(x):
            counts[name] += 1
            if counts[name] <= 2:  # the start and the first step
                meets.wait(timeout=30)
            return function(x)

        return called

    fun, jac = meeting("fun", decay), meeting("jac", jacobian)
    result = LM().minimize(fun, [1.0, 1.0], jac, workers=lambda: ThreadPoolExecutor(3))
    assert result.success
    assert meets.n_waiting == 0


def smooth_problems():
    given = [p for p in all_problems() if isinstance(p.objective, SumOfSquares)]
    return [*more_wild_problems(), *given]


@pytest.mark.parametrize("problem", smooth_problems(), ids=lambda p: p.name)
def test_with_a_jacobian_it_comes_as_low_as_scipy(problem):
    fun, jac = problem.objective.residuals, problem.objective.jacobian
    low, high = np.full(problem.n, -np.inf), np.full(problem.n, np.inf)
    if problem.box is not None:
        low = np.array([-np.inf if a is None else a for a, _ in problem.box])
        high = np.array([np.inf if b is None else b for _, b in problem.box])
    with np.errstate(all="ignore"):
        result = LM().minimize(fun, problem.x0, jac, bounds=problem.bounds, on_failure="reject")
        theirs = least_squares(
            fun,
            np.clip(problem.x0, low + 1e-9, high - 1e-9),
            jac,
            bounds=(low, high),
            x_scale="jac",
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
        )
    assert result.success
    assert np.all((low <= result.x) & (result.x <= high))
    if problem.name == "wood_bounded":  # it ends in another local minimum
        columns = np.linalg.norm(result.jacobian, axis=0) * np.linalg.norm(result.residuals)
        assert (np.abs(result.jac) / columns)[1:].max() < 1e-9
    else:
        assert result.fun <= theirs.cost * (1 + 1e-6) + 1e-12


@pytest.mark.parametrize("name", ["Chwirut2", "Misra1a", "Rat42", "Gauss1", "Roszman1"])
def test_within_bounds_it_comes_as_low_as_trf(name):
    fit = FITS[name]
    b, start = np.array(fit.certified), np.array(fit.starts[1])
    for i in range(fit.n):
        low, high = np.full(fit.n, -np.inf), np.full(fit.n, np.inf)
        limit = b[i] - 0.1 * abs(b[i])
        if start[i] >= limit:
            start[i] = limit - 0.01 * abs(limit)
        high[i] = limit
        result = LM().minimize(fit.residuals, start, bounds=list(zip(low, high, strict=True)))
        theirs = least_squares(
            fit.residuals,
            start,
            "3-point",
            (low, high),
            x_scale="jac",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=2000,
        )
        assert np.all(result.x <= high)
        assert result.success
        assert result.fun <= theirs.cost * (1 + 1e-6)


def test_a_variable_that_bounds_fix_is_not_probed():
    seen = []

    def fun(x):
        seen.append(x[0])
        return decay(x)

    result = LM().minimize(fun, [2.0, 1.0], bounds=[(2.0, 2.0), (None, None)])
    assert set(seen) == {2.0}
    assert result.success


def test_of_dependent_variables_the_shortest_step_is_taken():
    def fun(x):  # only x0 + x1 matters
        return decay([x[0] + x[1], x[2]])

    result = LM().minimize(fun, [0.5, 0.5, 1.0])
    known = LM().minimize(decay, [1.0, 1.0])
    assert result.success
    assert result.fun == pytest.approx(known.fun, rel=1e-12)
    assert result.x[0] == pytest.approx(result.x[1], rel=1e-6)


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan"])
@pytest.mark.parametrize("jac", [None, jacobian, lambda x: csr_array(jacobian(x))])
def test_a_loss_is_scipys(loss, jac):
    data = DATA.copy()
    data[::7] += 2.0

    def fun(x):
        return decay(x) + DATA - data

    result = LM(loss=loss, f_scale=0.1).minimize(fun, [1.0, 1.0], jac)
    theirs = least_squares(
        fun, [1.0, 1.0], jacobian, loss=loss, f_scale=0.1, xtol=1e-14, ftol=1e-14, gtol=1e-14
    )
    np.testing.assert_allclose(result.x, theirs.x, rtol=1e-6)
    assert result.fun == pytest.approx(theirs.cost, rel=1e-10)
    np.testing.assert_allclose(result.jac, theirs.grad, atol=1e-5)
    np.testing.assert_allclose(result.jacobian, jacobian(result.x), rtol=1e-5, atol=1e-9)


def test_a_wrong_jacobian_is_no_convergence():
    result = LM().minimize(decay, [1.0, 1.0], lambda x: -jacobian(x))
    assert not result.success
    assert result.stop is StopReason.NO_PROGRESS


@pytest.mark.parametrize("told", [False, True])
def test_noise_is_found_or_told(told):
    fit, rng = FITS["Chwirut2"], np.random.default_rng(3)
    sigma = 0.01 * np.std(fit.y)

    def noisy(b):
        return fit.residuals(b) + sigma * rng.standard_normal(fit.y.size)

    start = np.array(fit.starts[1])
    deviation = sigma * float(np.linalg.norm(fit.residuals(start)))
    result = LM(maxfun=1000).minimize(noisy, start, **({"noise": deviation} if told else {}))
    assert result.stop is StopReason.NOISE
    assert result.success
    assert np.sum(fit.residuals(result.x) ** 2) < 1.1 * fit.rss
    assert 0.3 < result.noise / (sigma * fit.rss**0.5) < 3.0


@pytest.mark.parametrize("name", ["Misra1a", "Chwirut1", "Gauss2", "Rat43", "Chwirut2"])
def test_rough_residuals_are_found(name):
    fit = FITS[name]

    def single(b):
        return (fit.residuals(b) + fit.y).astype(np.float32).astype(np.float64) - fit.y

    result = LM(maxfun=1500).minimize(single, fit.starts[1])
    assert result.stop is StopReason.NOISE
    assert np.sum(fit.residuals(result.x) ** 2) < 1.02 * fit.rss


def test_values_that_do_not_change_nearby_are_no_convergence():
    fit = FITS["Misra1a"]

    def coarse(b):  # to three digits
        return np.round((fit.residuals(b) + fit.y) / 0.1) * 0.1 - fit.y

    result = LM(maxfun=1500).minimize(coarse, fit.starts[1])
    assert result.stop is StopReason.NOISE
    assert np.sum(fit.residuals(result.x) ** 2) < 1.5 * fit.rss


def test_the_message_says_which_test_was_met():
    assert "`xtol` termination condition is satisfied" in LM().minimize(decay, [5.0, 5.0]).message
    exact = LM(xtol=1e-15).minimize(decay, [5.0, 5.0])
    assert exact.success
    assert "no further reduction of the sum of squares" in exact.message


def test_noise_of_zero_spends_nothing_on_looking_for_it():
    counts = {noise: LM().minimize(decay, [5.0, 5.0], noise=noise).nfev for noise in (None, 0)}
    assert counts[0] <= counts[None]


def test_fewer_residuals_than_variables_are_an_error_that_names_trf():
    with pytest.raises(InvalidInputError, match=r"1 residuals for 2 variables.*use TRF"):
        LM().minimize(lambda x: np.array([x.sum() - 1.0]), [1.0, 2.0])
    result = LM().minimize(lambda x: np.array([x.sum() - 1.0]), [1.0, 2.0], bounds=[(0, 3)] * 2)
    assert result.fun < 1e-20


def test_never_updates_if_told_so():
    fit = FITS["Kirby2"]
    updated = LM().minimize(fit.residuals, fit.starts[1])
    measured = LM(jac_update="never").minimize(fit.residuals, fit.starts[1])
    assert min(fit.digits(updated.x), fit.digits(measured.x)) >= 6.0
    assert measured.nfev != updated.nfev


def test_x_scale_is_the_size_of_a_variable_that_is_zero():
    def fun(x):
        return decay([x[0] * 1e-9, x[1]])

    result = LM(x_scale=[1e9, 1.0]).minimize(fun, [0.0, 0.5])
    known = LM().minimize(decay, [1.0, 1.0])
    np.testing.assert_allclose(result.x * [1e-9, 1.0], known.x, rtol=1e-6)


def test_points_that_fail_are_stepped_around():
    def fun(x):
        if x[1] > 1.4:
            raise RuntimeError("The model does not exist there.")
        return decay(x)

    result = LM().minimize(fun, [1.0, 1.3], on_failure="reject")
    np.testing.assert_allclose(result.x, LM().minimize(decay, [1.0, 1.0]).x, rtol=1e-6)


def test_budgets_hold_and_the_best_point_is_returned():
    for maxfun in range(1, 25):
        values = []

        def fun(x, values=values):
            values.append(0.5 * np.sum(decay(x) ** 2))
            return decay(x)

        result = LM(maxfun=maxfun).minimize(fun, [5.0, 5.0])
        assert result.nfev == len(values) <= maxfun
        assert result.best.fun == pytest.approx(min(values), rel=1e-14)
    assert LM(maxiter=3).minimize(decay, [5.0, 5.0]).nit == 3


KILLED = """
import os, signal, sys
import numpy as np
from optimizers import LM, Journal
from tests.fitting.test_lm import FITS
fit, left = FITS["Thurber"], int(sys.argv[2])

def fun(b):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return fit.residuals(b)

result = LM().minimize(fun, fit.starts[1], journal=Journal(sys.argv[1]))
"""


@pytest.mark.parametrize("left", [1, 9, 40])
def test_a_killed_run_resumes_to_the_last_bit(tmp_path, left):
    fit, path = FITS["Thurber"], tmp_path / "run.jsonl"
    done = subprocess.run([sys.executable, "-c", KILLED, path, str(left)], check=False)
    assert done.returncode == -signal.SIGKILL
    resumed = LM().minimize(
        fit.residuals, fit.starts[1], journal=Journal(path), journal_check="off"
    )
    expected = LM().minimize(fit.residuals, fit.starts[1])
    assert resumed.nreplayed >= left
    assert resumed.nfev == expected.nfev
    np.testing.assert_array_equal(resumed.x, expected.x)
    np.testing.assert_array_equal(resumed.residuals, expected.residuals)


def test_ask_and_tell_finds_the_same_minimum():
    stepper = LM().stepper([1.0, 1.0], residuals=True)
    while not stepper.done:
        asked = stepper.ask()
        stepper.tell(asked, TellData([decay(x) for x in asked.x_fun]))
    np.testing.assert_allclose(stepper.result().x, LM().minimize(decay, [1.0, 1.0]).x, rtol=1e-7)


def test_a_marked_objective_is_taken_as_well():
    marked = LM().minimize(residuals(decay, "cauchy", 0.1), [1.0, 1.0])
    own = LM(loss="cauchy", f_scale=0.1).minimize(decay, [1.0, 1.0])
    np.testing.assert_array_equal(marked.x, own.x)


@pytest.mark.parametrize("is_joint", [False, True])
def test_errors_by_a_given_jacobian_are_those_of_curve_fit(is_joint):
    def model(t, a, k):
        return a * np.exp(-k * t)

    def slopes(t, a, k):
        return jacobian([a, k])

    popt, pcov = curve_fit(
        model, T, DATA, [1.0, 1.0], jac=slopes, method="trf", xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    fun = (lambda x: (decay(x), jacobian(x))) if is_joint else decay
    result = LM(xtol=1e-10).minimize(fun, [1.0, 1.0], True if is_joint else jacobian)
    np.testing.assert_allclose(result.x, popt, rtol=1e-8)
    np.testing.assert_allclose(result.covariance, pcov, rtol=1e-8)
    np.testing.assert_array_equal(result.jacobian, jacobian(result.x))


@pytest.mark.parametrize("power", [-150, -100, 100])
def test_residuals_of_any_size_are_fitted(power):
    result = LM().minimize(lambda x: decay(x) * 10.0**power, [1.0, 1.0])
    assert result.success
    assert result.x == pytest.approx(LM().minimize(decay, [1.0, 1.0]).x, rel=1e-6)


@pytest.mark.parametrize("jac", [None, lambda x: (T * np.exp(x[0] * T))[:, np.newaxis]])
def test_a_great_fall_from_a_far_start_is_no_convergence(jac):
    result = LM().minimize(lambda x: np.exp(x[0] * T) - 2.0, [20.0], jac=jac)
    assert result.fun == pytest.approx(LM().minimize(lambda x: np.exp(x[0] * T) - 2.0, [0.1]).fun)


@pytest.mark.parametrize("which", [2, 3, 4, 5])
@pytest.mark.parametrize("workers", [None, 4])
def test_a_point_whose_jacobian_fails_is_stepped_around(which, workers):
    calls = []

    def failing(x):
        calls.append(x)
        return jacobian(x) * (np.nan if len(calls) == which else 1.0)

    pool = None if workers is None else Rounds(workers)
    result = LM().minimize(decay, [1.0, 1.0], jac=failing, on_failure="reject", workers=pool)
    assert result.success
    assert len(calls) >= which
    assert result.x == pytest.approx(LM().minimize(decay, [1.0, 1.0]).x, rel=1e-6)


def test_a_point_that_fails_when_it_is_measured_again_stays_what_it_was():
    rng, seen = np.random.default_rng(1), set()

    def failing(x):
        key = x.tobytes()
        if key in seen:
            raise RuntimeError("once is enough")
        seen.add(key)
        return decay(x) + 1e-4 * rng.normal(size=T.size)

    result = LM().minimize(failing, [1.0, 1.0], on_failure="reject")
    assert np.isfinite(result.fun)
    assert result.x == pytest.approx(LM().minimize(decay, [1.0, 1.0]).x, rel=1e-2)


@pytest.mark.parametrize("tiny", [1e-8, 1e-12, 1.2246467991473532e-16, 1e-50, 1e-200])
@pytest.mark.parametrize("which", [0, 1])
def test_a_start_next_to_zero_is_as_good_as_zero(tiny, which):
    start = np.array([1.0, 1.0])
    start[which] = tiny
    with np.errstate(over="ignore"):
        result = LM().minimize(decay, start)
        start[which] = 0.0
        plain = LM().minimize(decay, start)
    assert result.success
    assert result.x == pytest.approx(LM().minimize(decay, [1.0, 1.0]).x, rel=1e-6)
    assert result.nfev <= plain.nfev + 10


@pytest.mark.parametrize("tiny", [1e-8, 1e-16, 1e-50, 1e-100])
def test_with_a_jacobian_too_a_start_next_to_zero_is_no_solution(tiny):
    result = LM().minimize(lambda x: x - 1.0, [tiny], jac=lambda x: np.eye(1))
    assert result.x == pytest.approx([1.0])
    with np.errstate(over="ignore"):
        result = LM().minimize(decay, [1.0, tiny], jac=jacobian)
    assert result.x == pytest.approx(LM().minimize(decay, [1.0, 1.0]).x, rel=1e-6)


@pytest.mark.parametrize("unit", [1e-100, 1e-20, 1e20, 1e150])
def test_variables_of_any_unit_are_fitted(unit):
    result = LM().minimize(lambda x: decay(x / unit), [unit, unit])
    assert result.x / unit == pytest.approx(LM().minimize(decay, [1.0, 1.0]).x, rel=1e-6)


@pytest.mark.parametrize("size", [0.0, -1.0, np.inf, np.nan, [1.0, np.inf]])
def test_x_scale_that_is_no_size_is_an_error(size):
    with pytest.raises(OptionError, match="expected finite numbers > 0"):
        LM(x_scale=size)


def test_a_jacobian_of_another_point_does_not_tell_what_rounding_is():
    t = np.linspace(0.0, 1.0, 9)
    result = LM().minimize(lambda x: x[0] * np.exp(x[1] * t) - 3.0 * np.exp(-t), [1.0, 45.0])
    assert result.stop is not StopReason.FUN
