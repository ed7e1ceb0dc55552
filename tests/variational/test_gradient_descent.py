import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from optimizers import GradientDescent, OptionError, StopReason
from optimizers.problems import h2


def quadratic(x):
    return float(np.sum([1.0, 3.0] * x**2)) / 2


def quadratic_jac(x):
    return np.array([1.0, 3.0]) * x


@pytest.mark.parametrize("rates", [0.1, np.linspace(0.3, 0.01, 40), [0.1] * 40])
def test_iterates_are_those_of_the_closed_form(rates):
    # On a diagonal quadratic each step multiplies component i by 1 - rate * curvature_i.
    start = np.array([3.0, -2.0])
    optimizer = GradientDescent(maxiter=40, learning_rate=rates, tol=0.0)
    result = optimizer.minimize(quadratic, start, quadratic_jac)
    factors = np.prod(1 - np.outer(np.broadcast_to(rates, 40), [1.0, 3.0]), axis=0)
    # 40 products and differences round by some 1e-16 each.
    assert result.x == pytest.approx(start * factors, rel=1e-13)
    assert (result.nit, result.nfev, result.njev) == (40, 41, 40)
    assert result.stop is StopReason.MAXITER
    assert not result.success


def test_a_generator_factory_is_called_once_a_run():
    calls = []

    def rates():
        calls.append(1)
        k = 0
        while True:
            yield 0.5 / (1 + k)
            k += 1

    optimizer = GradientDescent(learning_rate=rates)
    first = optimizer.minimize(quadratic, [1.0, 1.0], quadratic_jac)
    second = optimizer.minimize(quadratic, [1.0, 1.0], quadratic_jac)
    assert len(calls) == 2
    assert np.array_equal(first.x, second.x)
    assert optimizer.settings["learning_rate"] is rates
    assert GradientDescent(**optimizer.settings) == optimizer


def test_a_whole_number_is_a_rate():
    # x0 of whole numbers and a whole rate: nothing is done in whole numbers.
    result = GradientDescent(maxiter=1, learning_rate=1).minimize(rosen, [1, 2], rosen_der)
    assert result.x == pytest.approx([1 + 400, 2 - 200])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"learning_rate": [0.1] * 9}, "at least maxiter = 10"),
        ({"learning_rate": iter([0.1] * 20)}, "used up"),
        ({"learning_rate": "fast"}, "expected a number"),
        ({"learning_rate": np.nan}, "finite"),
        ({"learning_rate": [[0.1] * 10]}, "expected a number"),
        ({"perturbation": 0.0}, "perturbation is 0.0"),
        ({"tol": "small"}, "tol is 'small'"),
    ],
)
def test_what_cannot_be_used_is_an_error_at_once(given, words):
    with pytest.raises(OptionError, match=words):
        GradientDescent(maxiter=10, **given)
    optimizer = GradientDescent(maxiter=10)
    with pytest.raises(OptionError, match=words):
        optimizer.set_options(**given)
    assert optimizer == GradientDescent(maxiter=10)


def test_rates_that_end_too_soon_say_so_and_keep_the_result():
    optimizer = GradientDescent(learning_rate=lambda: iter([0.1, 0.1]))
    with pytest.raises(OptionError, match="ended after 2 numbers") as raised:
        optimizer.minimize(quadratic, [1.0, 1.0], quadratic_jac)
    assert raised.value.optimizer_result.nfev == 3


def test_qiskits_callback_gets_counts_point_value_and_norm():
    rows = []
    anything = []
    GradientDescent(maxiter=1, callback=lambda *row: anything.append(len(row))).minimize(
        quadratic, [1.0, 1.0], quadratic_jac
    )
    assert anything == [4]
    optimizer = GradientDescent(
        maxiter=3,
        learning_rate=0.1,
        callback=lambda nfev, x, fun, stepsize: rows.append((nfev, x, fun, stepsize)),
    )
    optimizer.minimize(quadratic, [1.0, 1.0], quadratic_jac)
    assert [row[0] for row in rows] == [2, 3, 4]
    x = np.array([1.0, 1.0])
    for _, at, fun, norm in rows:
        assert norm == pytest.approx(np.linalg.norm(quadratic_jac(x)))
        x = x - 0.1 * quadratic_jac(x)
        assert at == pytest.approx(x)
        assert fun == quadratic(at)


def test_differences_have_qiskits_step_unless_told_otherwise():
    points = []

    def fun(x):
        points.append(x.copy())
        return float(x @ x)

    GradientDescent(maxiter=1).minimize(fun, [1.0, 2.0])
    assert np.abs(np.diff(points[:3], axis=0)).max() == pytest.approx(0.01)
    points.clear()
    GradientDescent(maxiter=1, perturbation=0.25).minimize(fun, [1.0, 2.0])
    assert [p.tolist() for p in points[:3]] == [[1.0, 2.0], [1.25, 2.0], [1.0, 2.25]]
    points.clear()
    result = GradientDescent(maxiter=1).minimize(fun, [1.0, 2.0], "3-point")
    assert len(points) == result.nfev == 6
    assert result.njev == 0


def test_bounds_are_projected_to():
    result = GradientDescent(maxiter=200, learning_rate=0.2).minimize(
        quadratic, [3.0, 2.0], quadratic_jac, [(1.0, None), (None, 2.5)]
    )
    assert result.x == pytest.approx([1.0, 0.0], abs=1e-12)


def test_it_minimises_the_energy_of_a_molecule():
    energy = h2()
    result = GradientDescent(maxiter=500, learning_rate=0.4, tol=1e-6).minimize(
        energy, energy.x0, energy.jac
    )
    assert result.stop is StopReason.GRADIENT
    # The energy errs by about the square of the gradient, 1e-12, over the curvature.
    assert result.fun == pytest.approx(energy.ground_energy, abs=1e-9)


def test_options_are_attributes_as_in_qiskit():
    optimizer = GradientDescent(maxiter=7)
    assert optimizer.maxiter == 7
    optimizer.maxiter = 9
    assert optimizer.settings["maxiter"] == 9
    with pytest.raises(OptionError, match="maxiter"):
        optimizer.maxiter = -1
    with pytest.raises(AttributeError, match="maxitre"):
        optimizer.maxitre  # noqa: B018  # the attribute is what is tested
