"""Noise that nobody spoke of, and values that do not change, are noticed where a run ends."""

import warnings

import numpy as np
import pytest
from scipy.optimize import rosen

import optimizers
from optimizers import LBFGSB, OptimizerWarning, SteppableOptimizer, StopReason, TellData
from optimizers.problems import get_problem, h2

START = [0.7, 1.1]
BY_DIFFERENCES = ["LBFGSB", "TNC", "SLSQP", "BFGS", "CG", "TrustConstr", "ADAM", "GradientDescent"]
#: Those that end by their own tests on noise, mostly before the budget.
ENDING = ["LBFGSB", "TNC", "SLSQP", "TrustConstr", "BFGS", "CG", "COBYLA", "COBYQA", "GSLS"]


def bowl(x):
    return float(((x - [1.0, 2.0]) ** 2).sum())


def noisy(sigma=0.03, seed=0):
    rng = np.random.default_rng(seed)
    return lambda x: bowl(x) + rng.normal(0.0, sigma)


@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("seed", range(3))
def test_shot_noise_is_no_success(name, seed):
    energy = h2(shots=1000, noise_seed=seed)
    with pytest.warns(OptimizerWarning, match="two values at x differ by 0.0") as told:
        result = getattr(optimizers, name)(seed=seed).minimize(energy, energy.x0, maxfun=2000)
    assert not result.success
    assert result.status != 0
    assert result.stop is StopReason.NOISE
    assert "NoisyLBFGSB, SPSA or NFT" in str(told[0].message)
    assert "LM for residuals" in str(told[0].message)
    assert result.fun <= result.best.fun + 1e-6 * max(1, abs(result.best.fun))


@pytest.mark.parametrize(
    ("name", "seed"), [*(("COBYLA", seed) for seed in range(8)), ("GSLS", 5), ("GSLS", 7)]
)
def test_a_wild_step_hides_no_noise_of_a_search_without_gradients(name, seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform(-1.5, 1.0, 4)
    optimizer = getattr(optimizers, name)(seed=seed, maxfun=400)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = optimizer.minimize(lambda x: rosen(x) + rng.normal(0.0, 0.01), start)
    assert result.stop is StopReason.NOISE
    assert "two values at x differ" in str(told[-1].message)


@pytest.mark.parametrize("settings", [{"workers": 2}, {"on_failure": "reject"}, {"jac": "3-point"}])
def test_noise_is_noticed_however_values_are_had(settings):
    with pytest.warns(OptimizerWarning, match="The objective has noise"):
        result = LBFGSB().minimize(h2(shots=1000, noise_seed=1), h2().x0, **settings)
    assert result.stop is StopReason.NOISE


def test_noise_beside_a_gradient_that_is_given_is_noticed():
    def slope(x):
        return 2 * (x - [1.0, 2.0])

    value = noisy()
    for jac, fun in ((slope, value), (True, lambda x: (value(x), slope(x)))):
        with pytest.warns(OptimizerWarning, match="The objective has noise"):
            result = LBFGSB().minimize(fun, [1.0 + 1e-4, 2.0], jac)
        assert not result.success


def test_a_stepper_asks_the_end_once_more():
    fun, asked = noisy(), []
    stepper = optimizers.COBYLA().stepper(START)

    def go():
        for ask in stepper:
            asked.append(ask.x_fun[0])
            stepper.tell(ask, TellData(fun(ask.x_fun[0])))

    with pytest.warns(OptimizerWarning, match="The objective has noise"):
        go()
    result = stepper.result()
    assert result.stop is StopReason.NOISE
    assert result.nfev == len(asked)
    assert any(np.array_equal(asked[-1], x) for x in asked[:-1])


def test_noise_is_noticed_in_a_run_that_goes_on_from_its_journal(tmp_path):
    results = []
    for _ in range(2):
        with pytest.warns(OptimizerWarning, match="The objective has noise"):
            result = optimizers.COBYLA().minimize(noisy(), START, journal=tmp_path / "run.jsonl")
        results.append(result)
    assert [r.nfev for r in results] == [results[0].nfev] * 2
    assert np.array_equal(results[0].x, results[1].x)


@pytest.mark.parametrize("noise", [0, 0.0])
def test_an_objective_that_is_declared_exact_is_believed(noise):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = optimizers.COBYLA(noise=noise).minimize(noisy(), START)
    assert result.success


@pytest.mark.parametrize("name", [*ENDING, "NELDER_MEAD", "POWELL"])
@pytest.mark.parametrize("fun", [bowl, lambda x: float(np.exp(x - 1).sum() - x.sum()) - 50.0])
def test_nothing_is_bought_where_there_is_no_reason(name, fun):
    cls, counts = getattr(optimizers, name), []
    for noise in (None, 0):
        settings = {} if noise is None or not cls().is_gradient_supported else {"noise": noise}
        counts.append(cls(seed=1, **settings).minimize(fun, [0.7, 1.1], maxfun=400).nfev)
    assert counts[0] == counts[1]


# Values that do not change within the step.


def sampled(seed=7, shots=1024):
    """Return counts of a sampler that draws the same numbers in each call."""
    drawn = np.random.default_rng(seed).random((2, shots))

    def fun(x):
        up = drawn < ((1 + np.cos(x)) / 2)[:, np.newaxis]
        return float(np.where(up, 1, -1).mean(axis=1).sum())

    return fun


COARSE = {
    "sampler": (sampled(), START),
    "counts": (lambda x: int(1000 * bowl(x)), [0.3, 0.4]),
    "far from zero": (lambda x: 1e8 + bowl(x), [0.3, 0.4]),
    "float32": (lambda x: np.float32(1e5 + bowl(x)), [0.3, 0.4]),
}


@pytest.mark.parametrize("case", COARSE)
@pytest.mark.parametrize("scheme", ["2-point", "3-point", optimizers.Differences("2-point")])
@pytest.mark.parametrize("name", BY_DIFFERENCES)
def test_differences_that_are_zero_for_want_of_resolution_are_no_success(name, scheme, case):
    fun, start = COARSE[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = getattr(optimizers, name)().minimize(fun, start, scheme, maxfun=300)
    assert not result.success or fun(np.array(start)) - result.fun > 0.3
    if result.nit == 0 and not result.stop.is_budget:
        assert "The values do not change within the step" in result.message


def test_a_noise_estimate_of_zero_does_not_stay():
    for optimizer in (optimizers.NoisyLBFGSB(noise="estimate", seed=1), optimizers.GSLS(seed=1)):
        result = optimizer.minimize(sampled(), START)
        assert not result.success or result.fun < -1.9
        assert result.success or "do not change within the step" in result.message


def test_a_minimum_whose_differences_are_zero_is_one():
    for fun in (lambda x: bowl(x) + 3.0, lambda x: bowl(x) + 1e8):
        result = LBFGSB().minimize(fun, [1.0, 2.0])
        assert result.success
        assert result.x.tolist() == [1.0, 2.0]


def test_many_runs_and_wrapped_ones_notice_too():
    starts = [START, [0.5, 0.9]]
    results = LBFGSB().minimize_many(sampled(), starts)
    assert [result.success for result in results] == [False, False]
    assert not SteppableOptimizer(LBFGSB()).minimize(sampled(), START).success


VALLEY = [-1.2, 1.0]


def valley(sigma, seed):
    rng = np.random.default_rng(seed)
    return lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 + sigma * rng.normal()


@pytest.mark.filterwarnings("ignore:The objective has noise")
@pytest.mark.parametrize("name", ["LBFGSB", "TNC", "SLSQP", "BFGS"])
@pytest.mark.parametrize("sigma", [1e-1, 1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("seed", range(3))
def test_no_success_is_far_from_the_minimum_whatever_the_noise(name, sigma, seed):
    # Wild steps make values so large that none that follows looks steep beside them.
    for fun, start in ((valley(sigma, seed), VALLEY), (noisy(sigma, seed), [3.0, -2.0])):
        result = getattr(optimizers, name)().minimize(fun, start)
        assert not (result.success and result.fun > 0.1 + 3 * sigma)
        assert result.fun <= result.best.fun + 1e-6 * max(1, abs(result.fun))


def test_what_cannot_be_looked_at_is_no_success():
    energy = h2(shots=1000, noise_seed=0)
    with pytest.warns(OptimizerWarning, match="The objective has noise"):
        whole = LBFGSB().minimize(energy, energy.x0)
    energy = h2(shots=1000, noise_seed=0)
    result = LBFGSB().minimize(energy, energy.x0, maxfun=whole.nfev - 1)
    assert (result.success, result.stop) == (False, StopReason.MAXFUN)
    coarse = LBFGSB().minimize(lambda x: round(bowl(x), 3), [2.0, -1.5], maxfun=3)
    assert (coarse.success, coarse.stop) == (False, StopReason.MAXFUN)


@pytest.mark.parametrize("name", ["LBFGSB", "BFGS", "SLSQP", "TrustConstr"])
def test_coarse_values_are_told_along_more_than_one_direction(name):
    # Along a single one the slopes nearly cancel from this start.
    def fun(x):
        return round(float(((x - [-0.23, -0.26, 0.96, -1.18]) ** 2).sum()), 2)

    start = [1.38, -1.41, 0.96, -1.94]
    for bounds in (None,) if name == "BFGS" else (None, [(-3, 4)] * 4):
        result = getattr(optimizers, name)().minimize(fun, start, bounds=bounds)
        assert not (result.success and result.fun > 0.1)


# Successes that a longer step belies.


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize("base", [1e5, 1e6, 1e7, 1e8])
def test_newton_cg_does_not_believe_steps_that_rounding_makes_short(base, scheme):
    for start in ([-2.0, 1.5, 2.5], [2.6, -2.9, 0.3], [0.1, 2.2, -2.4]):
        result = optimizers.NewtonCG().minimize(
            lambda x: base + float(((x - [1.0, -1.0, 0.5]) ** 2).sum()), start, scheme
        )
        assert not result.success or result.x == pytest.approx([1.0, -1.0, 0.5], abs=0.2)


@pytest.mark.parametrize("start", [[2.75, -2.65], [1.32, -2.68], [-1.21, 0.56]])
@pytest.mark.parametrize("scale", [1e5, 1e6])
def test_a_success_at_a_steep_start_is_none(start, scale):
    # SLSQP's step to the corner does not pay, and nothing has changed: that is its test.
    result = optimizers.SLSQP().minimize(
        lambda x: scale * float(((x - 5) ** 2).sum()), start, bounds=[(-10, 10)] * 2
    )
    assert not result.success or result.x == pytest.approx([5, 5], abs=0.1)
    if not result.success:
        assert "lower near this end, along its gradient" in result.message


@pytest.mark.parametrize("name", ["hs5", "wood_bounded"])
def test_an_end_above_the_start_is_no_success(name):
    problem = get_problem(name)  # not one of angles, for which parameter shift is made
    result = optimizers.AQGD().minimize(problem.fun, problem.x0, bounds=problem.bounds)
    assert not result.success
    assert result.fun <= problem.fun(problem.x0)


def test_a_rate_that_is_too_small_is_no_convergence():
    result = optimizers.AQGD(eta=1e-9).minimize(bowl, START, lambda x: 2 * (x - [1.0, 2.0]))
    assert (result.success, result.stop) == (False, StopReason.NO_PROGRESS)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_values_that_are_the_same_at_the_end_of_a_simplex_are_looked_beside(n):
    start = np.linspace(-1.5, 1.8, n)
    result = optimizers.NELDER_MEAD().minimize(lambda x: round(float((x**2).sum()), 1), start)
    assert not result.success or result.fun < 0.5
    result = optimizers.NELDER_MEAD().minimize(lambda x: float((x**2).sum()), start)
    assert result.stop is not StopReason.NO_PROGRESS


@pytest.mark.parametrize("name", [*BY_DIFFERENCES, "GSLS"])
@pytest.mark.parametrize("seed", range(8))
def test_hundred_shots_of_a_seeded_sampler_are_coarse(name, seed):
    rng = np.random.default_rng(seed)
    center, start, drawn = rng.uniform(-2, 2, 8), rng.uniform(-2, 2, 8), rng.random((8, 100))

    def fun(x):
        up = drawn < ((1 + np.cos(x - center)) / 2)[:, np.newaxis]
        return -float(np.where(up, 1, -1).mean(axis=1).sum())

    result = getattr(optimizers, name)(seed=1).minimize(fun, start, maxfun=300)
    assert not result.success or result.fun + 8 < 0.3 * (fun(start) + 8)


@pytest.mark.parametrize(
    ("name", "problem"), [("NELDER_MEAD", "penalty_1"), ("POWELL", "penalty_2")]
)
def test_an_end_within_the_tolerance_of_a_large_value_is_believed(name, problem):
    known = get_problem(problem)
    result = getattr(optimizers, name)().minimize(lambda x: known.fun(x) + 1e4, known.x0)
    assert result.success


@pytest.mark.parametrize("method", ["BFGS", "Nelder-Mead", "COBYQA", "ADAM", "DFOTR"])
def test_a_constant_objective_is_a_success_that_says_so(method):
    result = optimizers.minimize(lambda x: 3.0, [1.0, 2.0], method=method)
    assert result.success
    assert f"All {result.nfev} values were equal" in result.message


def test_values_that_differ_and_single_ones_are_not_called_equal():
    assert "equal" not in optimizers.minimize(rosen, [1.0, 1.0]).message
    still = optimizers.minimize(lambda x: 3.0, [1.0, 2.0], jac=lambda x: np.zeros(2))
    assert "equal" not in still.message


@pytest.mark.parametrize("method", [None, "LBFGSB", "SPSA", "Nelder-Mead", "TNC"])
def test_an_empty_start_is_called_empty(method):
    for start in ([], {}):
        result = optimizers.minimize(lambda x: 3.0, start, method=method)
        assert result.message == "x0 is empty: there is no variable to search."
        assert result.stop.sentence == "there is no free variable"
    fixed = {"a": optimizers.Param(1.0, fixed=True)}
    result = optimizers.minimize(lambda x: 3.0, fixed, method=method)
    assert result.message == "All variables of x0 are fixed."
