"""TRF and DOGBOX beside SciPy's least_squares: the same points, counts, ends and options."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.optimize
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import aslinearoperator

import optimizers
from optimizers import (
    DOGBOX,
    TRF,
    CapabilityError,
    Differences,
    InvalidInputError,
    OptionError,
    StopReason,
    residuals,
    vectorized,
)
from tests.fitting.test_form import START, both, decay, decays, jacobian

CLASSES = {TRF: "trf", DOGBOX: "dogbox"}
BOUNDS = scipy.optimize.Bounds([0.5, 0.2], [1.5, 3.0])
OPTIONS = [
    {},
    {"loss": "soft_l1", "f_scale": 0.1},
    {"loss": lambda z: np.array([np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])},
    {"x_scale": "jac"},
    {"x_scale": [2.0, 0.5]},
    {"tr_solver": "lsmr", "tr_options": {"damp": 1e-9}},
    {"max_nfev": 3},
    {"xtol": None, "ftol": 1e-12},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o))
@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("jac", [None, "3-point", "cs", jacobian])
@pytest.mark.parametrize("bounds", [None, BOUNDS])
def test_it_is_scipys_least_squares(cls, jac, bounds, options):
    calls = []

    def counted(x):
        calls.append(x)
        return decay(x)

    box = {} if bounds is None else {"bounds": bounds}
    expected = scipy.optimize.least_squares(
        counted, START, jac or "2-point", method=CLASSES[cls], **box, **options
    )
    evaluated = len(calls)
    calls.clear()
    result = cls(**options).minimize(counted, START, jac, bounds)
    assert result.nfev == len(calls) == evaluated
    assert result.njev == (expected.njev if jac is jacobian else 0)
    assert (result.success, result.status) == (expected.success, expected.status)
    np.testing.assert_array_equal(result.residuals, decay(result.x))
    if not result.success:  # it is on the best point, which may be a probe
        assert result.fun <= expected.cost * (1 + 1e-12)
        return
    np.testing.assert_allclose(result.x, expected.x, rtol=1e-8)
    assert result.fun == pytest.approx(expected.cost, rel=1e-9)
    np.testing.assert_allclose(result.jacobian, jacobian(result.x), atol=1e-6)
    np.testing.assert_array_equal(result.active_mask, expected.active_mask)
    assert result.optimality == pytest.approx(expected.optimality, rel=1e-2, abs=1e-7)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_loss_of_the_mark_holds_unless_an_option_says_otherwise(cls):
    marked = residuals(decay, "cauchy", 0.2)
    expected = scipy.optimize.least_squares(
        decay, START, jacobian, method=CLASSES[cls], loss="cauchy", f_scale=0.2
    )
    result = cls().minimize(marked, START, jacobian)
    np.testing.assert_array_equal(result.x, expected.x)
    assert result.fun == pytest.approx(expected.cost, rel=1e-12)
    plain = cls(loss="linear").minimize(marked, START, jacobian)
    np.testing.assert_array_equal(plain.x, cls().minimize(decay, START, jacobian).x)


@pytest.mark.parametrize("cls", CLASSES)
def test_points_and_probes_are_one_wave(cls):
    sizes = []

    @vectorized
    def counted(points):
        sizes.append(len(points))
        return decays(points)

    result = cls().minimize(counted, START)
    assert set(sizes[1:]) == {3}
    alone = cls().minimize(decay, START)
    np.testing.assert_allclose(result.x, alone.x, rtol=1e-9)
    joint = cls().minimize(both, START, True)
    np.testing.assert_allclose(joint.x, alone.x, rtol=1e-6)


@pytest.mark.parametrize("cls", CLASSES)
def test_callbacks_budgets_and_the_best_point(cls):
    seen = []
    result = cls().minimize(decay, START, jacobian, callback=lambda x, fun: seen.append(fun))
    assert len(seen) == result.nit > 3
    assert seen[-1] == result.fun
    assert seen == sorted(seen, reverse=True)
    calls = []

    def counted(x):
        calls.append(x.copy())
        return decay(x)

    short = cls().minimize(counted, START, maxfun=10)
    assert short.nfev == len(calls) == 10
    assert short.stop is StopReason.MAXFUN
    best = min(calls, key=lambda x: np.sum(decay(x) ** 2))
    np.testing.assert_array_equal(short.x, best)
    # A limit in points stands in for SciPy's own.
    far = cls(xtol=1e-15, ftol=1e-15, gtol=1e-15).minimize(decay, START, jacobian, maxfun=1000)
    assert far.nfev < 1000
    stopped = cls().minimize(decay, START, callback=lambda xk: True)
    assert (stopped.stop, stopped.nit) == (StopReason.CALLBACK, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, ValueError("no")])
@pytest.mark.parametrize("jac", [None, jacobian])
@pytest.mark.parametrize("cls", CLASSES)
def test_bad_trial_points_shorten_the_step(cls, jac, bad):
    def holed(x):
        if x[0] > 1.7:
            if isinstance(bad, Exception):
                raise bad
            return np.full(20, bad)
        return decay(x)

    result = cls(on_failure="reject").minimize(holed, START, jac)
    assert result.nrejected > 0
    assert result.x[0] <= 1.7
    if bad is not np.inf:
        with pytest.raises((optimizers.NonFiniteValueError, ValueError)):
            cls().minimize(holed, START, jac)


def broyden(x):
    """A tridiagonal system, Moré, Garbow and Hillstrom's 30th."""
    left, right = np.append(0.0, x[:-1]), np.append(x[1:], 0.0)
    return (3 - 2 * x) * x - left - 2 * right + 1


TRIDIAGONAL = diags_array([np.ones(39), np.ones(40), np.ones(39)], offsets=[-1, 0, 1])


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("bounds", [None, ([-2.0] * 39 + [-0.5], [-0.2] * 39 + [3.0])])
def test_columns_without_a_common_row_share_a_probe(cls, scheme, bounds):
    box = {} if bounds is None else {"bounds": bounds}
    options = {"jac_sparsity": TRIDIAGONAL}
    expected = scipy.optimize.least_squares(
        broyden, -np.full(40, 0.5), scheme, method=CLASSES[cls], **box, **options
    )
    bounds = None if bounds is None else scipy.optimize.Bounds(*bounds)
    result = cls(**options).minimize(broyden, -np.full(40, 0.5), scheme, bounds)
    np.testing.assert_allclose(result.x, expected.x, atol=1e-7)
    probes = 6 if scheme == "3-point" else 3
    assert result.nfev == expected.nfev + probes * (result.nit + 1)
    assert isinstance(result.jacobian, csr_array)
    dense = cls().minimize(broyden, -np.full(40, 0.5), scheme, bounds)
    np.testing.assert_allclose(result.x, dense.x, atol=1e-6)


@pytest.mark.parametrize("kind", [csr_array, aslinearoperator])
@pytest.mark.parametrize("cls", CLASSES)
def test_variables_without_room_are_left_out(cls, kind):
    fixed = [(1.0, 1.0), (None, None)]
    result = cls().minimize(decay, START, lambda x: kind(jacobian(x)), fixed)
    expected = scipy.optimize.least_squares(lambda x: decay([1.0, x[0]]), START[:1], xtol=1e-12)
    np.testing.assert_allclose(result.x, [1.0, expected.x[0]], rtol=1e-6)
    assert result.jacobian.shape == (20, 2)
    assert result.active_mask.tolist() == [0, 0]


def test_what_cannot_be_used_is_a_named_error():
    with pytest.raises(OptionError, match=r"x_scale is -1, expected 'jac' or numbers > 0"):
        TRF(x_scale=-1)
    with pytest.raises(OptionError, match=r"x_scale is .* for 2 variables"):
        TRF(x_scale=[1.0, 2.0, 3.0]).minimize(decay, START)
    with pytest.raises(InvalidInputError, match="Did you mean 'huber'"):
        TRF(loss="hubber").minimize(decay, START)
    with pytest.raises(InvalidInputError, match=r"jac_sparsity has shape \(20, 3\), expected \(m"):
        TRF(jac_sparsity=np.ones((20, 3))).minimize(decay, START)
    with pytest.raises(InvalidInputError, match="expected a row for each of 20 residuals"):
        TRF(jac_sparsity=np.ones((19, 2))).minimize(decay, START)
    scheme = Differences("3-point", richardson=True)
    with pytest.raises(CapabilityError, match="jac_sparsity was given with jac=Differences"):
        TRF(jac_sparsity=np.ones((20, 2))).minimize(decay, START, scheme)
    with pytest.raises(InvalidInputError, match="At least one of the tolerances"):
        TRF(ftol=None, xtol=None, gtol=None).minimize(decay, START)
    with pytest.raises(optimizers.EvaluationError, match="expected residuals of shape"):
        TRF().minimize(lambda x: float(x @ x), START)


def test_held_raced_and_stateful_faces_need_no_mark():
    expected = TRF().minimize(decay, START)
    stepper = TRF(loss="huber").stepper(START)
    for ask in stepper:
        stepper.tell(ask, optimizers.TellData([decay(x) for x in ask.x_fun]))
    huber = TRF(loss="huber").minimize(vectorized(decays), START)
    np.testing.assert_array_equal(stepper.result().x, huber.x)
    raced = optimizers.race([TRF(), optimizers.LBFGSB()], decay, START)
    np.testing.assert_array_equal(raced["TRF"].x, expected.x)
    np.testing.assert_allclose(raced["LBFGSB"].x, expected.x, rtol=1e-4)
    many = TRF().minimize_many(decay, [START, [2.0, 0.5]], jacobian)
    np.testing.assert_array_equal(many[0].x, TRF().minimize(decay, START, jacobian).x)
    steppable = optimizers.SteppableOptimizer(TRF())
    steppable.start(decay, START, jacobian)
    while steppable.continue_condition():
        steppable.step()
    np.testing.assert_allclose(steppable.create_result().x, expected.x, rtol=1e-6)


@pytest.mark.parametrize("cls", CLASSES)
def test_probes_travel_with_their_point_where_workers_are_idle(cls):
    meets, count = threading.Barrier(3), itertools.count(1)

    def meeting(x):
        if next(count) <= 9:  # the start, and two steps: each with two probes
            meets.wait(timeout=30)
        return decay(x)

    result = cls().minimize(meeting, START, workers=lambda: ThreadPoolExecutor(3))
    alone = cls().minimize(decay, START)
    np.testing.assert_array_equal(result.x, alone.x)
    assert result.nit == alone.nit
    assert result.nfev >= alone.nfev  # the probes of rejected steps
    assert result.nfev % 3 == 0
    few = cls().minimize(decay, START, workers=lambda: ThreadPoolExecutor(2))
    assert few.nfev == alone.nfev
