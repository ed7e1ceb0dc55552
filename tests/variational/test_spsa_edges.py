"""SPSA and QNSPSA where it is easy to go wrong in silence."""

import numpy as np
import pytest

from optimizers import QNSPSA, SPSA, NonFiniteValueError, OptionError, StopReason, vectorized
from optimizers.flow import Products, ended
from optimizers.problem.problem import Problem
from optimizers.problems import h2
from optimizers.variational.perturbations import Probes
from tests.making import fidelity
from tests.test_flow import Waves

RATES = {"learning_rate": 0.1, "perturbation": 0.1}
MATRIX = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]])
SAMPLES = 20_000


def bowl(x):
    return float(x @ x)


def stop(*_):
    raise StopIteration


def probes(start, bounds):
    problem = Problem.check("SPSA", SPSA().get_support_level(), bowl, start, bounds=bounds)
    rng = np.random.default_rng(1)
    return Probes.drawn(problem, rng, problem.x0, 0.1, SAMPLES, is_shifted=True)


@pytest.mark.parametrize(
    ("start", "bounds"),
    [
        ([0, 0, 0], None),
        ([0, 0, 0], [(0, 1)] * 3),  # a corner
        ([0, 1, 0.95], [(0, 1)] * 3),
        ([0, 0, 0], [(0, None), (None, 0), (-0.05, 0.05)]),  # and narrow
    ],
)
def test_the_sampled_hessian_is_right_at_bounds_too(start, bounds):
    # With a slope, which must not show in it.
    drawn = probes(start, bounds)
    points = drawn.all
    values = np.einsum("kmi,ij,kmj->km", points, MATRIX, points) / 2 + points @ [1.0, -2.0, 3.0]
    found = drawn.mean_curvature(values, np.ones(SAMPLES, dtype=bool))
    # An entry of a sample has at most the variance |matrix|^2, times the square of how much two
    # variables' moves differ where bounds are narrow, here 4: five standard errors.
    ratio = 4 if bounds is not None and bounds[0][1] is None else 1
    margin = 5 * ratio * np.linalg.norm(MATRIX) / np.sqrt(SAMPLES)
    assert found == pytest.approx(MATRIX, abs=margin)


def test_the_metric_is_sampled_around_the_centre_of_the_probes():
    # Of product states it is a quarter of the identity, at a corner of the bounds too.
    seen = []

    @vectorized
    def pairs(xs, ys):
        assert (xs >= 0).all()
        assert (ys >= 0).all()
        return np.prod(np.cos((xs - ys) / 2) ** 2, axis=1)

    QNSPSA(
        pairs,
        maxiter=1,
        blocking=False,
        resamplings=SAMPLES,
        regularization=0.0,
        lse_solver=lambda metric, gradient: seen.append(metric) or gradient,
        learning_rate=0.1,
        perturbation=0.01,
        seed=3,
    ).minimize(vectorized(lambda x: x.sum(axis=1)), np.zeros(3), bounds=[(0, 1)] * 3)
    found = 2 * seen[0] - np.eye(3)
    # Products of signs, over 4: five standard errors; the fourth derivatives are of order 1e-4.
    assert found == pytest.approx(np.eye(3) / 4, abs=5 * np.sqrt(3) / 4 / np.sqrt(SAMPLES) + 1e-3)


def test_stop_iteration_of_a_checker_or_a_fidelity_ends_the_run():
    for optimizer in (
        SPSA(termination_checker=stop, **RATES),
        QNSPSA(fidelity, termination_checker=stop, **RATES),
        QNSPSA(stop, **RATES),
    ):
        result = optimizer.minimize(bowl, [1.0, 2.0], seed=1)
        assert result.stop is StopReason.CALLBACK
        assert result.nit <= 1
        assert result.fun == bowl(result.x)


def test_a_perturbation_that_is_no_length_is_an_error():
    optimizer = SPSA(learning_rate=0.1, perturbation=lambda: iter([0.1, -0.1]))
    with pytest.raises(OptionError, match=r"perturbation returned -0.1 in iteration 2") as raised:
        optimizer.minimize(bowl, [1.0, 2.0])
    assert raised.value.optimizer_result.nfev == 2
    with pytest.raises(OptionError, match="maxiter is None"):
        SPSA(maxiter=None)


@pytest.mark.parametrize("answer", [[np.nan, 1.0], [1.0]])
def test_a_solver_that_solves_nothing_is_an_error(answer):
    optimizer = SPSA(second_order=True, lse_solver=lambda matrix, gradient: answer, **RATES)
    with pytest.raises(OptionError, match="lse_solver returned"):
        optimizer.minimize(bowl, [1.0, 2.0])


def test_a_solver_may_spoil_what_it_is_given():
    def spoiling(matrix, gradient):
        step = np.linalg.solve(matrix, gradient)
        matrix[:], gradient[:] = np.nan, np.nan
        return step

    options = {"second_order": True, "maxiter": 10, "seed": 1, **RATES}
    spoilt = SPSA(lse_solver=spoiling, **options).minimize(bowl, [1.0, 2.0])
    assert np.array_equal(spoilt.x, SPSA(**options).minimize(bowl, [1.0, 2.0]).x)


def test_steep_functions_are_calibrated_as_others_are():
    # Qiskit takes a rate below 1e-10 for none, and leaps by 1e12.
    plain = SPSA(maxiter=5, seed=1).minimize(bowl, [1.0, 2.0])
    steep = SPSA(maxiter=5, seed=1).minimize(lambda x: 2.0**40 * bowl(x), [1.0, 2.0])
    assert steep.x == pytest.approx(plain.x, rel=1e-12)


def test_values_that_are_no_numbers_calibrate_nothing():
    for measure in (SPSA.calibrate, SPSA.estimate_stddev):
        with pytest.raises(NonFiniteValueError):
            measure(lambda x: np.nan, [1.0])


def test_flows_may_ask_for_products():
    class Product(Waves):
        def _flow(self, problem, run):
            told = yield Products(problem.x0, np.array([2.0, 0.5]))
            return ended(told.fun, StopReason.MAXITER)

        def get_support_level(self):
            return {**super().get_support_level(), "hessian": 2}

    result = Product().minimize(bowl, [1.0, 2.0], hessp=lambda x, p: x * p)
    assert result.x.tolist() == [2.0, 1.0]
    assert result.nhev == 1


def test_a_failing_fidelity_ends_the_run_with_its_result_so_far():
    calls = []

    def failing(x, y):
        calls.append(x)
        if len(calls) > 6:
            raise ZeroDivisionError("no sampler")
        return fidelity(x, y)

    energy = h2()
    with pytest.raises(ZeroDivisionError) as raised:
        QNSPSA(failing, seed=1).minimize(energy, energy.x0)
    result = raised.value.optimizer_result
    assert (result.nfev, result.nit, result.stop) == (76 + 2 + 1 + 2, 1, StopReason.FAILED)
    assert result.fun == energy(result.x)


@pytest.mark.parametrize("width", [1e-254, 1e-320])
@pytest.mark.parametrize(
    "options", [{}, {"trust_region": True}, {"second_order": True}, {"blocking": True}]
)
def test_a_box_of_hardly_any_width_brings_no_warning(options, width):
    bounds = [(None, None), (0.0, width)]  # the slope along it is beyond what can be squared
    result = SPSA(maxiter=50, **options, **RATES).minimize(
        lambda x: bowl(x - 1), [0.0, 0.0], bounds=bounds, seed=7
    )
    assert result.x == pytest.approx([1.0, 0.0], abs=0.1)
